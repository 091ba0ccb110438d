"""What all tests share: a cache of the test session's own, and the reference data where there is some."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes, or its making, says how busy the host is, and nothing of what is tested. The same examples
# every time: what is found by chance is found on somebody else's pull request. A number of them on request is random.
settings.register_profile(
    "emulab",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="EMULAB_FUZZ_EXAMPLES" not in os.environ,
)
settings.load_profile("emulab")


@pytest.fixture(scope="session", autouse=True)
def session_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests neither use nor change the user's cache, unless EMULAB_CACHE says so."""
    if "EMULAB_CACHE" not in os.environ:
        base = tmp_path_factory.getbasetemp()
        worker = os.environ.get("PYTEST_XDIST_WORKER")
        os.environ["EMULAB_CACHE"] = str((base.parent if worker else base) / "emulab-cache")


@pytest.fixture(scope="session")
def assets() -> Path:
    """Folder of reference models and inputs; the test skips without it."""
    folder = os.environ.get("EMULAB_ASSETS", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("needs EMULAB_ASSETS, a folder with MLPerf Tiny models and inputs (emulab assets pull)")
    return Path(folder)
