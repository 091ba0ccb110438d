"""Functions of one element equal the reference interpreters for every byte, floats within rounding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from codegen_host import HostModel
from side_by_side import LiteRT, SideBySide
from tflite_builder import T

from emulab.errors import InputError
from emulab.firmware.codegen import KernelTarget, generate

pytest.importorskip("tflite_micro", reason="the reference interpreter is missing: pip install tflite-micro")

BYTES = np.arange(-128, 128, dtype=np.int8)


@pytest.mark.parametrize("seed", range(4))
def test_every_byte(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sx, sy = (float(np.float32(2.0 ** rng.uniform(-8, -3))) for _ in range(2))
    zx, zy = (int(v) for v in rng.integers(-128, 100, 2))
    m = SideBySide([T((256,), scale=sx, zero=zx)])
    m.add("ABS", [0], T((256,), scale=sx, zero=zy), options="AbsOptions")
    m.add("ABS", [0], T((256,), scale=sy, zero=zy), options="AbsOptions")
    m.add("ELU", [0], T((256,), scale=sy, zero=zy))
    m.check(values=[[BYTES]])
    positive = SideBySide([T((256,), scale=sx, zero=zx)])
    for s in (sy, sy * 10):
        positive.add("RSQRT", [0], T((256,), scale=s, zero=zy))
    positive.check(values=[[np.maximum(BYTES, zx).astype(np.int8)]])


@pytest.mark.parametrize("seed", range(2))
def test_every_byte_as_the_full_interpreter(seed: int) -> None:
    pytest.importorskip("ai_edge_litert", reason="the interpreter is missing: pip install ai-edge-litert")
    rng = np.random.default_rng(seed)
    sx, sy = (float(np.float32(2.0 ** rng.uniform(-7, -4))) for _ in range(2))
    zx, zy = (int(v) for v in rng.integers(-100, 100, 2))
    m = SideBySide([T((256,), scale=sx, zero=zx)])
    m.add("EXP", [0], T((256,), scale=sy * 20, zero=zy), options="ExpOptions")
    m.add("GELU", [0], T((256,), scale=sy, zero=zy), options="GeluOptions", Approximate=True)
    m.add("GELU", [0], T((256,), scale=sy, zero=zy), options="GeluOptions", Approximate=False)
    m.check(LiteRT, values=[[BYTES]])
    positive = SideBySide([T((256,), scale=sx, zero=-128)])
    positive.add("LOG", [0], T((256,), scale=sy, zero=zy))
    positive.check(LiteRT, values=[[np.maximum(BYTES, -127).astype(np.int8)]])


def test_square_roots_of_bytes_are_the_nearest(tmp_path: Path) -> None:
    """The interpreters do not agree on them: the one for microcontrollers has none, the other rounds them down."""
    m = SideBySide([T((256,), scale=0.05, zero=-128)])
    m.add("SQRT", [0], T((256,), scale=0.02, zero=-100))
    (tmp_path / "m.tflite").write_bytes(m.model())
    y = HostModel(tmp_path / "m.tflite", KernelTarget.PORTABLE, tmp_path)(BYTES)[0]
    real = np.sqrt(0.05 * (BYTES.astype(float) + 128)) / 0.02 - 100
    assert np.abs(np.clip(real, -128, 127) - y).max() <= 0.501


def test_float() -> None:
    m = SideBySide([T((2, 150), "float32")])
    for kind in ("ABS", "NEG", "SQUARE", "EXP", "FLOOR", "CEIL", "ROUND", "ELU"):
        m.add(kind, [0], T((2, 150), "float32"))
    m.check(tolerance=1e-6)
    m = SideBySide([T((300,), "float32")])
    for kind in ("SQRT", "RSQRT", "LOG"):
        m.add(kind, [0], T((300,), "float32"))
    m.check(tolerance=1e-6, values=[[np.geomspace(1e-6, 1e6, 300).astype(np.float32)]])


def test_float_gelu() -> None:
    pytest.importorskip("ai_edge_litert", reason="the interpreter is missing: pip install ai-edge-litert")
    m = SideBySide([T((300,), "float32")])
    m.add("GELU", [0], T((300,), "float32"), options="GeluOptions", Approximate=True)
    m.add("GELU", [0], T((300,), "float32"), options="GeluOptions", Approximate=False)
    m.check(LiteRT, tolerance=1e-6)


@pytest.mark.parametrize("source", ["int8", "int16", "int32", "float32", "bool"])
def test_casts(source: str) -> None:
    m = SideBySide([T((100,), source)])
    for to in ("int8", "int16", "int32", "float32"):
        if (source, to) != ("float32", "int8"):  # undefined beyond the type's range
            m.add("CAST", [0], T((100,), to), options="CastOptions")
    m.add("LOGICAL_NOT", [0], T((100,), "bool"), options="LogicalNotOptions") if source == "bool" else None
    m.check(tolerance=1e-9)


@pytest.mark.parametrize(
    ("x", "y", "kind", "words"),
    [
        (T((4,), scale=0.1), T((4,), scale=0.1), "NEG", "INT8, expected FLOAT32"),
        (T((4,), "float32"), T((3,), "float32"), "EXP", "expected"),
        (T((4,), scale=0.1), T((4,)), "ELU", "no quantisation"),
        (T((4,), "int64"), T((4,), "int8"), "CAST", "INT64, expected"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, x: T, y: T, kind: str, words: str) -> None:
    m = SideBySide([x])
    m.add(kind, [0], y, options="")
    path = tmp_path / "bad.tflite"
    path.write_bytes(m.model())
    with pytest.raises(InputError, match=words):
        generate(path, tmp_path / "out", target=KernelTarget.PORTABLE)
