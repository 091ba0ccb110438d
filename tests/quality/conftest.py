"""What the tests of quality share: the shipped models, the folder of assets, a host that can run models."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

HAR = Path(__file__).resolve().parents[2] / "scenarios" / "har-wearable"


@pytest.fixture(scope="session")
def har() -> Path:
    """Folder of the shipped scenario."""
    return HAR


@pytest.fixture(scope="session")
def litert() -> None:
    """Skip where the host cannot run a model."""
    from emulab.quality import host_model_available

    state = host_model_available()
    if not state.available:
        pytest.skip(f"{state.reason}; {state.how_to_install}")


@pytest.fixture(scope="session")
def mlperf() -> Path:
    """Folder with `models/` and `eval/` of MLPerf Tiny."""
    assets = os.environ.get("EMULAB_ASSETS", "")
    if not assets or not (Path(assets) / "mlperf-tiny").is_dir():
        pytest.skip("EMULAB_ASSETS is not set to a folder with mlperf-tiny/; export EMULAB_ASSETS=FOLDER")
    return Path(assets) / "mlperf-tiny"
