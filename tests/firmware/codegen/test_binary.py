"""Operators on two tensors equal the reference interpreter, of random shapes, scales and zero points."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from codegen_host import HostModel, Reference
from side_by_side import SideBySide
from tflite_builder import T

from emulab.errors import InputError
from emulab.firmware.codegen import KernelTarget, generate

pytest.importorskip("tflite_micro", reason="the reference interpreter is missing: pip install tflite-micro")

COMPARISONS = ("EQUAL", "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL")
SHAPES = [((2, 5, 4, 9), (2, 5, 4, 9)), ((2, 5, 4, 9), (9,)), ((2, 1, 4, 9), (1, 5, 1, 9)), ((3, 40), (1,))]


@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize("seed", range(2))
def test_int8(seed: int, shapes: tuple) -> None:
    rng = np.random.default_rng(seed)

    def scale() -> float:
        return float(np.float32(2.0 ** rng.uniform(-9, -3)))

    sa, sb = scale(), scale()
    za, zb, zy = (int(v) for v in rng.integers(-128, 128, 3))
    out = np.broadcast_shapes(*shapes)
    m = SideBySide([T(shapes[0], scale=sa, zero=za), T(shapes[1], scale=sb, zero=zb)])
    for kind in COMPARISONS:
        m.add(kind, [0, 1], T(out, "bool"), options=f"{kind.title().replace('_', '')}Options")
    square = T(out, scale=(128 * max(sa, sb)) ** 2 / 80, zero=zy)
    m.add("SQUARED_DIFFERENCE", [0, 1], square, options="SquaredDifferenceOptions")
    if shapes[0] == out:
        m.add("PRELU", [0, 1], T(out, scale=sa * 1.3, zero=zy))
        m.add("PRELU", [0, 1], T(out, scale=sa * 0.4, zero=zy))
    m.check(targets=[KernelTarget.PORTABLE])
    one = SideBySide([T(shapes[0], scale=sa, zero=za), T(shapes[1], scale=sa, zero=za)])
    for kind in ("MAXIMUM", "MINIMUM"):
        one.add(kind, [0, 1], T(out, scale=sa, zero=za), options="MaximumMinimumOptions")
    one.check()


@pytest.mark.parametrize("seed", range(3))
def test_int8_quotients(tmp_path: Path, seed: int) -> None:
    """Every pair of bytes. The reference shifts by more than 31 where a quotient is less than one unit: not compared."""
    rng = np.random.default_rng(seed)
    sa, sb = (float(np.float32(2.0 ** rng.uniform(-8, -3))) for _ in range(2))
    za, zb, zy = (int(v) for v in rng.integers(-128, 128, 3))
    m = SideBySide([T((256, 256), scale=sa, zero=za), T((256, 256), scale=sb, zero=zb)])
    units = (1 / 20, float(rng.uniform(0.1, 1)), 3.0)
    for unit in units:
        for activation in (0, 1):
            y = T((256, 256), scale=sa / sb * unit, zero=zy)
            m.add("DIV", [0, 1], y, options="DivOptions", FusedActivationFunction=activation)
    a, b = np.meshgrid(np.arange(-128, 128), np.arange(-128, 128))
    b = np.where(b == zb, zb + (1 if zb < 127 else -1), b)
    model = m.model()
    (tmp_path / "div.tflite").write_bytes(model)
    inputs = a.astype(np.int8), b.astype(np.int8)
    wanted = Reference(model, outputs=6)(*inputs)
    given = HostModel(tmp_path / "div.tflite", KernelTarget.PORTABLE, tmp_path)(*inputs)
    for k, (y, z) in enumerate(zip(given, wanted, strict=True)):
        real = (a - za) / (b - zb) / units[k // 2]
        far = abs(real) > 1
        np.testing.assert_array_equal(y[far], z[far])
        low = zy if k % 2 else -128
        assert abs(np.clip(zy + real, low, 127) - y)[~far].max() <= 1


def test_division_by_zero_gives_the_limit(tmp_path: Path) -> None:
    m = SideBySide([T((4,), scale=0.1, zero=3), T((4,), scale=0.1, zero=-7)])
    m.add("DIV", [0, 1], T((4,), scale=0.1, zero=5), options="DivOptions")
    path = tmp_path / "div.tflite"
    path.write_bytes(m.model())
    host = HostModel(path, KernelTarget.PORTABLE, tmp_path)
    x, y = np.array([3, 50, 2, -128], np.int8), np.full(4, -7, np.int8)
    assert host(x, y)[0].tolist() == [127, 127, -128, -128]


@pytest.mark.parametrize("shapes", SHAPES)
def test_float(shapes: tuple) -> None:
    out = np.broadcast_shapes(*shapes)
    m = SideBySide([T(shapes[0], "float32"), T(shapes[1], "float32")])
    for kind in COMPARISONS:
        m.add(kind, [0, 1], T(out, "bool"), options=f"{kind.title().replace('_', '')}Options")
    for kind in ("MAXIMUM", "MINIMUM"):
        m.add(kind, [0, 1], T(out, "float32"), options="MaximumMinimumOptions")
    for kind in ("DIV", "FLOOR_DIV", "FLOOR_MOD", "SQUARED_DIFFERENCE"):
        name = kind.title().replace("_", "")
        m.add(kind, [0, 1], T(out, "float32"), options=f"{name}Options")
    m.add("DIV", [0, 1], T(out, "float32"), options="DivOptions", FusedActivationFunction=3)
    if shapes[0] == out:
        m.add("PRELU", [0, 1], T(out, "float32"))
        m.add("ADD_N", [0, 0, 0], T(out, "float32"), options="AddNOptions")
    m.check(tolerance=2e-6)


def test_whole_numbers_and_bits() -> None:
    m = SideBySide([T((3, 4), "int32"), T((4,), "int32"), T((3, 4), "bool"), T((3, 1), "bool")])
    for kind in COMPARISONS:
        m.add(kind, [0, 1], T((3, 4), "bool"), options=f"{kind.title().replace('_', '')}Options")
    for kind in ("MAXIMUM", "MINIMUM"):
        m.add(kind, [0, 1], T((3, 4), "int32"), options="MaximumMinimumOptions")
    for kind in ("ADD", "SUB", "MUL"):
        m.add(kind, [0, 1], T((3, 4), "int32"), options=f"{kind.title()}Options")
    for kind in ("LOGICAL_AND", "LOGICAL_OR"):
        m.add(kind, [2, 3], T((3, 4), "bool"), options=f"{kind.title().replace('_', '')}Options")
    m.check()


@pytest.mark.parametrize("dtype", ["int8", "float32", "int16", "int32"])
def test_selections(dtype: str) -> None:
    q = {"scale": 0.1, "zero": 0 if dtype == "int16" else 5} if dtype in ("int8", "int16") else {}
    m = SideBySide([T((2, 5, 3), "bool"), T((2, 5, 3), dtype, **q), T((2, 5, 3), dtype, **q)])
    m.add("SELECT_V2", [0, 1, 2], T((2, 5, 3), dtype, **q))
    if dtype != "int32":
        m.check()
    from side_by_side import LiteRT

    pytest.importorskip("ai_edge_litert", reason="the interpreter is missing: pip install ai-edge-litert")
    m = SideBySide([T((2,), "bool"), T((2, 5, 3), dtype, **q), T((2, 5, 3), dtype, **q), T((5, 1), "bool")])
    m.add("SELECT", [0, 1, 2], T((2, 5, 3), dtype, **q))
    m.add("SELECT_V2", [3, 1, 2], T((2, 5, 3), dtype, **q))
    m.check(LiteRT)


def test_an_operand_of_another_size_is_not_overwritten() -> None:
    """A comparison of floats gives bytes: it must not start to write where it still reads."""
    m = SideBySide([T((64,), "float32")])
    m.add("ABS", [0], T((64,), "float32"), options="AbsOptions")
    m.tensors.append(T((64,), "bool"))
    m.ops.append(type(m.ops[0])("GREATER", [1, 0], [2], "GreaterOptions", {}))
    m.outputs = [2]
    m.check()


@pytest.mark.parametrize(
    ("a", "b", "y", "kind", "words"),
    [
        (T((4,), scale=0.1), T((4,), scale=0.2), T((4,), scale=0.1), "MAXIMUM", "same quantisation"),
        (T((4,), scale=0.1), T((4,), "float32"), T((4,), scale=0.1), "MINIMUM", "FLOAT32, expected INT8"),
        (T((4,), "int64"), T((4,), "int64"), T((4,), "bool"), "LESS", "INT64, expected"),
        (T((4,), scale=0.1), T((3,), scale=0.1), T((4,), scale=0.1), "DIV", "does not broadcast"),
        (T((4,), scale=0.1), T((4,), scale=0.1), T((4,), scale=0.1), "ADD_N", "INT8, expected FLOAT32"),
        (T((4,)), T((4,)), T((4,)), "SQUARED_DIFFERENCE", "no quantisation"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, a: T, b: T, y: T, kind: str, words: str) -> None:
    m = SideBySide([a, b])
    m.add(kind, [0, 1], y, options="DivOptions" if kind == "DIV" else "")
    path = tmp_path / "bad.tflite"
    path.write_bytes(m.model())
    with pytest.raises(InputError, match=words):
        generate(path, tmp_path / "out", target=KernelTarget.PORTABLE)
