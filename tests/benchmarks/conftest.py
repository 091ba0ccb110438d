"""Times are taken and judged on a machine that does nothing else: ``pytest tests/benchmarks --benchmark-enable``."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def timed(request: pytest.FixtureRequest) -> Any:
    """The benchmark, for what is nothing but a time; skips where times are not asked for."""
    if not request.config.getoption("--benchmark-enable"):
        pytest.skip("nothing but a time: run it with --benchmark-enable on a machine that does nothing else")
    return request.getfixturevalue("benchmark")
