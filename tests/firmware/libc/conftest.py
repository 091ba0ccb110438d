"""The C library under test, compiled once per test session."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def libc(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    from host import build

    return build(tmp_path_factory.mktemp("libc"))
