"""What all tests share: a cache of the test session's own, and the reference data where there is some.

Files that take long come first, so that no process of the session is left alone with one of them at the end
(``--no-loadscope-reorder``).
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
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

LONG = (
    "contract/test_outputs",
    "firmware/test_helium",
    "firmware/test_dut_unicorn",
    "codegen/test_operators",
    "quality/test_evaluation",
    "test_pytest_plugin",
    "firmware/test_dut_firmware",
    "codegen/test_reference_models",
    "firmware/test_build",
    "run/test_streaming",
    "run/test_cosim",
    "contract/test_identical_elf",
    "benchmarks/test_command_line",
    "backends/test_bench_kws",
    "sweep/test_engine",
    "codegen/test_int16",
    "run/test_golden",
    "run/test_main_job",
)
"""Files that took half a minute and more, the longest first."""


def pytest_configure(config: pytest.Config) -> None:
    """Ctrl-C reaches the processes that tests start, also where the session itself was started without it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        with suppress(ValueError):  # not the main thread
            signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, in an order that every process of the session finds alike."""

    def rank(item: pytest.Item) -> int:
        path = item.path.with_suffix("").as_posix()
        return next((place for place, name in enumerate(LONG) if path.endswith(name)), len(LONG))

    items.sort(key=rank)


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
