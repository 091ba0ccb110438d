"""Makes the helper modules of this folder importable, and finds the reference models."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def mlperf_tiny() -> Path:
    """Folder with `models/` and `eval/` of MLPerf Tiny."""
    assets = os.environ.get("EMULAB_ASSETS")
    if not assets:
        pytest.skip("EMULAB_ASSETS is not set; export EMULAB_ASSETS=<folder that holds mlperf-tiny/>")
    folder = Path(assets) / "mlperf-tiny"
    if not (folder / "models").is_dir():
        pytest.skip(f"{folder}/models is missing; run: emulab assets pull")
    return folder
