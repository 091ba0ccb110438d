"""Quantisation of tensors and the protocol of datasets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulab.errors import InputError
from emulab.quality.datasets import open_dataset
from emulab.quality.samples import INTEGERS, Dataset, TensorSpec, model_io, take

scales = st.floats(2.0**-20, 1024, width=32)


@given(st.sampled_from(["int8", "uint8", "int16"]), scales, st.data())
def test_dequantised_values_come_back_exactly(dtype: str, scale: float, data: st.DataObject) -> None:
    low, high = INTEGERS[dtype]
    zero = data.draw(st.integers(low, high))
    raw = np.array(data.draw(st.lists(st.integers(low, high), min_size=1, max_size=20)), dtype)
    spec = TensorSpec("x", (1, len(raw)), dtype, scale, zero)
    assert (spec.quantise(spec.dequantise(raw)) == raw).all()


@given(st.floats(-1e6, 1e6, width=32), scales, st.integers(-128, 127))
def test_quantising_is_nearest_or_saturates(value: float, scale: float, zero: int) -> None:
    spec = TensorSpec("x", (1, 1), "int8", scale, zero)
    raw = int(spec.quantise(np.array([value]))[0])
    exact = value / scale + zero
    assert raw == -128 if exact < -128 else raw == 127 if exact > 127 else abs(raw - exact) <= 0.5 + 1e-6


def test_float_tensors_pass() -> None:
    spec = TensorSpec("x", (1, 2), "float32")
    assert not spec.quantised
    assert spec.quantise(np.array([0.5, 1.5])).dtype == np.float32
    assert (spec.dequantise(np.array([0.5, 1.5])) == [0.5, 1.5]).all()


def test_model_io_and_protocol(har: Path) -> None:
    source, sink = model_io(har / "har_int8.tflite")
    assert (source.shape, source.dtype, source.scale, source.zero_point) == ((1, 192, 1, 6), "int8", 1 / 128, 0)
    assert (sink.shape, sink.scale, sink.zero_point) == ((1, 7), 1 / 256, -128)
    dataset = open_dataset(har / "eval.npz", model=source)
    assert isinstance(dataset, Dataset)
    assert [s.name for s in take(dataset, 2)] == ["eval-0000", "eval-0001"]
    with pytest.raises(InputError, match="at least 1"):
        list(take(dataset, 0))


def test_drawn_samples_are_of_every_class_whatever_the_order() -> None:
    from emulab.quality.samples import draw

    in_turn, sorted_by_class = [i % 4 for i in range(400)], [i // 100 for i in range(400)]
    found = draw(400, 200, seed=1)
    assert found == draw(400, 200, seed=1) and len(set(found)) == 200 and found == sorted(found)
    for labels in (in_turn, sorted_by_class):
        counts = [sum(labels[i] == c for i in found) for c in range(4)]
        assert min(counts) > 30, counts
    assert draw(5, 9, seed=1) == draw(5, None, seed=1) == [0, 1, 2, 3, 4]
