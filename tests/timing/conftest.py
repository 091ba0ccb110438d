"""The memory simulator as a shared library, built once per session."""

from __future__ import annotations

import ctypes
import importlib.util
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from emulab.probe.build import C_FOLDER, MEMSIM_SOURCES


@pytest.fixture(scope="session")
def memsim_library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    if importlib.util.find_spec("ziglang") is None:
        pytest.skip("needs a C compiler: pip install ziglang")
    sources = [str(C_FOLDER / name) for name in MEMSIM_SOURCES]
    target = tmp_path_factory.mktemp("memsim") / "memsim.so"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "ziglang",
            "cc",
            "-O1",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-shared",
            "-fPIC",
            "-o",
            str(target),
            *sources,
        ],
        check=True,
        timeout=300,
    )
    library = ctypes.CDLL(str(target))
    library.em_new.restype = ctypes.c_void_p
    library.em_new.argtypes = [ctypes.POINTER(ctypes.c_uint32), ctypes.c_size_t]
    for name in (
        "em_free",
        "em_reset",
        "em_execute",
        "em_fetch",
        "em_data",
        "em_branch",
        "em_set",
        "em_tracks",
        "em_at",
    ):
        getattr(library, name).argtypes = [ctypes.c_void_p] + [ctypes.c_uint32] * {
            "em_free": 0,
            "em_reset": 0,
            "em_execute": 1,
            "em_fetch": 3,
            "em_data": 4,
            "em_branch": 5,
            "em_set": 2,
            "em_tracks": 1,
            "em_at": 1,
        }[name]
    library.em_counters.restype = ctypes.c_size_t
    library.em_counters.argtypes = [ctypes.c_void_p, ctypes.POINTER(ctypes.c_uint64), ctypes.c_size_t]
    library.em_counter_name.restype = ctypes.c_char_p
    library.em_counter_name.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    return library


class MemSim:
    """One simulator; frees itself with the test."""

    def __init__(self, library: ctypes.CDLL, words: list[int]) -> None:
        self._library = library
        array = (ctypes.c_uint32 * len(words))(*words)
        self._handle = library.em_new(array, len(words))
        assert self._handle, "configuration refused"

    def __getattr__(self, name: str) -> Callable[..., Any]:
        function = getattr(self._library, f"em_{name}")
        return lambda *arguments: function(self._handle, *arguments)

    def counters(self) -> dict[str, int]:
        values = (ctypes.c_uint64 * 128)()
        count = self._library.em_counters(self._handle, values, 128)
        return {self._library.em_counter_name(self._handle, i).decode(): values[i] for i in range(count)}


@pytest.fixture
def make_memsim(memsim_library: ctypes.CDLL) -> Any:
    made: list[MemSim] = []

    def make(words: Any) -> MemSim:
        made.append(MemSim(memsim_library, list(words)))
        return made[-1]

    yield make
    for simulator in made:
        simulator.free()
