"""LSTM and SVDF equal the reference interpreter, inference after inference: the state goes on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from codegen_host import HostModel, Reference
from side_by_side import SideBySide, random_values
from tflite_builder import T, constant

from emulab.errors import InputError
from emulab.firmware.codegen import KernelTarget, generate

pytest.importorskip("tflite_micro", reason="the reference interpreter is missing: pip install tflite-micro")


def lstm(seed: int, dtype: str, *, clip: float = 0.0, time_major: bool = False, batches: int = 1) -> SideBySide:
    rng = np.random.default_rng(seed)
    steps, inputs, units = (int(v) for v in rng.integers(2, 12, 3))
    integer = dtype == "int8"
    shape = (steps, batches, inputs) if time_major else (batches, steps, inputs)
    hidden_q = {"scale": float(np.float32(1 / 140)), "zero": int(rng.integers(-60, 60))} if integer else {}
    x = T(shape, dtype, **({"scale": 0.02, "zero": int(rng.integers(-128, 128))} if integer else {}))

    def weights(columns: int) -> T:
        if not integer:
            return constant(rng.normal(size=(units, columns)) * 0.5, "float32")
        data = rng.integers(-127, 128, (units, columns)).astype(np.int8)
        return T(data.shape, scale=float(np.float32(rng.uniform(0.003, 0.012))), data=data)

    def bias() -> T:
        if not integer:
            return constant(rng.normal(size=units), "float32")
        return T((units,), "int32", scale=1e-4, data=rng.integers(-9000, 9000, units).astype(np.int32))

    power = int(rng.integers(-13, -9))
    hidden = T((batches, units), dtype, variable=True, **hidden_q)
    cell = T((batches, units), "int16" if integer else dtype, variable=True, scale=2.0**power if integer else None)
    m = SideBySide([x])
    inputs_of_op = [0, *(weights(inputs) for _ in range(4)), *(weights(units) for _ in range(4)), None, None, None]
    inputs_of_op += [bias() for _ in range(4)]
    inputs_of_op += [None, None, hidden, cell, None, None, None, None]
    m.add(
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
        inputs_of_op,
        T((*shape[:2], units), dtype, **hidden_q),
        options="UnidirectionalSequenceLSTMOptions",
        FusedActivationFunction=4,
        CellClip=clip,
        TimeMajor=time_major,
    )
    return m


@pytest.mark.parametrize("seed", range(6))
def test_lstm_int8(seed: int) -> None:
    m = lstm(seed, "int8", clip=0.8 if seed == 1 else 0.0, time_major=seed == 2, batches=1 + (seed in (2, 3)))
    m.check(runs=6, targets=[KernelTarget.PORTABLE, KernelTarget.ARM_DSP])


@pytest.mark.parametrize("seed", range(2))
def test_lstm_float(seed: int) -> None:
    lstm(seed, "float32", clip=0.5 * seed, time_major=bool(seed), batches=1 + seed).check(runs=4, tolerance=2e-5)


def svdf(seed: int, dtype: str, state_type: str) -> SideBySide:
    rng = np.random.default_rng(seed)
    batches, inputs, units, rank, memory = (int(v) for v in rng.integers(1, 9, 5))
    filters, integer = units * rank, dtype == "int8"
    x = T((batches, inputs), dtype, **({"scale": 0.05, "zero": int(rng.integers(-128, 128))} if integer else {}))
    m = SideBySide([x])
    if integer:
        wide = state_type == "int16"
        s_state, s_time = (0.001, 5e-5) if wide else (0.06, 0.01)
        data = rng.integers(-127, 128, (filters, inputs)).astype(np.int8)
        feature = T(data.shape, scale=0.01, data=data)
        info = np.iinfo(state_type)
        data = rng.integers(info.min // 2, info.max // 2, (filters, memory)).astype(state_type)
        over_time = T(data.shape, state_type, scale=s_time, data=data)
        values = rng.integers(-5000, 5000, units).astype(np.int32)
        bias = T((units,), "int32", scale=s_state * s_time, data=values)
        zero = 0 if wide else int(rng.integers(-20, 20))
        state = T((batches, memory * filters), state_type, scale=s_state, zero=zero, variable=True)
        y = T((batches, units), scale=0.05, zero=int(rng.integers(-128, 128)))
    else:
        feature, over_time = (constant(rng.normal(size=(filters, n)), "float32") for n in (inputs, memory))
        bias = constant(rng.normal(size=units), "float32")
        state = T((batches, memory * filters), "float32", variable=True)
        y = T((batches, units), "float32")
    m.add("SVDF", [0, feature, over_time, bias, state], y, options="SVDFOptions", Rank=rank, FusedActivationFunction=1)
    return m


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("state", ["int8", "int16"])
def test_svdf_int8(seed: int, state: str) -> None:
    svdf(seed, "int8", state).check(runs=12)


@pytest.mark.parametrize("seed", range(2))
def test_svdf_float(seed: int) -> None:
    svdf(seed, "float32", "float32").check(runs=12, tolerance=1e-5)


@pytest.mark.parametrize("make", [lambda: lstm(0, "int8"), lambda: svdf(3, "int8", "int8")], ids=["lstm", "svdf"])
def test_reset_starts_anew(tmp_path: Path, make) -> None:
    m = make()
    path = tmp_path / "model.tflite"
    path.write_bytes(m.model())
    host = HostModel(path, KernelTarget.PORTABLE, tmp_path)
    x = random_values(3, m.inputs[0])
    first = host(x)[0]
    assert not np.array_equal(host(x)[0], first)
    host.library.emulab_model_reset()
    np.testing.assert_array_equal(host(x)[0], first)
    np.testing.assert_array_equal(Reference(m.model())(x)[0], first)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: setattr(m.ops[0], "inputs", [*m.ops[0].inputs[:9], m.ops[0].inputs[12], *m.ops[0].inputs[10:]]),
         "peepholes are not supported"),
        (lambda m: setattr(m.ops[0], "inputs", [0, -1, *m.ops[0].inputs[2:]]), "input 1 is missing|coupled"),
        (lambda m: m.ops[0].options.update(FusedActivationFunction=1), "only TANH"),
        (lambda m: setattr(m.tensors[m.ops[0].inputs[19]], "scale", 0.3), "power of two"),
        (lambda m: setattr(m.tensors[m.ops[0].inputs[18]], "variable", False), "must be a variable"),
        (lambda m: setattr(m.tensors[m.ops[0].inputs[6]], "shape", (1, 2)), "bytes of data|expected"),
        (lambda m: setattr(m.ops[0], "inputs", m.ops[0].inputs[:12]), "expected 20"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(tmp_path: Path, change, words: str) -> None:
    m = lstm(0, "int8")
    change(m)
    path = tmp_path / "bad.tflite"
    path.write_bytes(m.model())
    with pytest.raises(InputError, match=words):
        generate(path, tmp_path / "out", target=KernelTarget.PORTABLE)
