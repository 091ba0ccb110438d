"""Sound models with one or a few things made wrong: generated all the same, or one line, within bounds of time."""

from __future__ import annotations

import copy
import math
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from networks import parts
from tflite_builder import TYPES, O, T, build_model

from emulab.errors import InputError
from emulab.firmware.codegen import SUPPORTED_OPS, KernelTarget
from emulab.firmware.codegen.generator import generate_from_graph
from emulab.firmware.codegen.tflite_reader import parse_model

MANY = settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
LIMIT_S = 120.0
"""Far more than any of these takes; what it catches is time that grows with a number found in the file."""

numbers = st.sampled_from([-(2**31), -129, -1, 0, 1, 2, 3, 4, 5, 255, 4096, 65536, 2**31 - 1])
scales = st.sampled_from([None, 0.0, -1.0, 1e-38, 1e-9, 1.0, 1e9, 3e38, math.nan, math.inf, [0.1], [0.1] * 3])
seeds = st.integers(0, 5)


@st.composite
def changes(draw: st.DrawFn) -> tuple[str, int, str, Any]:
    """(of what, which one, attribute, new value)."""
    what = draw(st.sampled_from(["tensor", "option", "operator"]))
    which = draw(st.integers(0, 60))
    if what == "option":
        return what, which, "", draw(st.one_of(numbers, st.integers(-3, 9)))
    if what == "operator":
        attribute = draw(st.sampled_from(["kind", "inputs", "outputs", "options_type"]))
        if attribute == "kind":
            return what, which, attribute, draw(st.sampled_from(sorted(SUPPORTED_OPS)))
        if attribute == "options_type":
            return what, which, attribute, ""
        return what, which, attribute, draw(st.lists(st.integers(-1, 40), max_size=4))
    attribute = draw(st.sampled_from(["shape", "dtype", "scale", "zero", "axis", "data"]))
    values: dict[str, st.SearchStrategy[Any]] = {
        "shape": st.lists(numbers, max_size=6),
        "dtype": st.sampled_from(sorted(TYPES)),
        "scale": scales,
        "zero": numbers,
        "axis": numbers,
        "data": st.sampled_from([None, np.zeros(1, np.int8), np.full(64, -128, np.int8)]),
    }
    return what, which, attribute, draw(values[attribute])


def changed(tensors: list[T], ops: list[O], wanted: list[tuple[str, int, str, Any]]) -> None:
    for what, which, attribute, value in wanted:
        if what == "tensor":
            setattr(tensors[which % len(tensors)], attribute, value)
        elif what == "operator":
            setattr(ops[which % len(ops)], attribute, value)
        else:
            options = ops[which % len(ops)].options
            if options:
                options[sorted(options)[which % len(options)]] = value


def generated_or_refused(model: bytes, folder: Path, target: KernelTarget) -> None:
    start = time.monotonic()
    try:
        generate_from_graph(parse_model(model), folder / "out", target=target)
    except InputError as error:
        assert error.exit_code == 2 and "\n" not in str(error) and len(str(error)) < 4000
    assert time.monotonic() - start < LIMIT_S


@MANY
@given(seeds, st.sampled_from(["int8", "int16"]), st.sampled_from(list(KernelTarget)), st.data())
def test_structures_that_do_not_fit(
    tmp_path: Path, seed: int, dtype: str, target: KernelTarget, data: st.DataObject
) -> None:
    tensors, ops, first, last = copy.deepcopy(parts(seed, dtype))
    changed(tensors, ops, data.draw(st.lists(changes(), min_size=1, max_size=3)))
    try:
        model = build_model(tensors, ops, [first], [last])
    except Exception:  # the writer of flatbuffers refuses what does not fit its fields, in ways of its own
        return
    generated_or_refused(model, tmp_path, target)


@MANY
@given(seeds, st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=12))
def test_bytes_that_are_wrong(tmp_path: Path, seed: int, wrong: list[tuple[int, int]]) -> None:
    model = bytearray(build_model(*_lists(seed)))
    for position, value in wrong:
        # weights are most of a file: aim at what is around them more often than at them
        model[position % len(model) if position % 3 else -1 - position % 3000 % len(model)] = value
    generated_or_refused(bytes(model), tmp_path, list(KernelTarget)[seed % 4])


def _lists(seed: int) -> tuple[list[T], list[O], list[int], list[int]]:
    tensors, ops, first, last = parts(seed, "int8")
    return tensors, ops, [first], [last]


def test_a_name_without_end_is_not_repeated(tmp_path: Path) -> None:
    tensors, ops, first, last = parts(0, "int8")
    tensors[2].name, tensors[2].scale = "x" * 100_000, [0.0]
    with pytest.raises(InputError) as caught:
        parse_model(build_model(tensors, ops, [first], [last]))
    assert len(str(caught.value)) < 700


def test_memory_does_not_grow_with_numbers_in_the_file(tmp_path: Path) -> None:
    """A window and an image as large as a file can claim, without the data to match."""
    huge = T((1, 20000, 20000, 1), scale=0.1)
    options = {"Padding": 0, "StrideH": 1, "StrideW": 1, "FilterHeight": 2**31 - 1, "FilterWidth": 2**31 - 1}
    model = build_model([huge, huge], [O("MAX_POOL_2D", [0], [1], "Pool2DOptions", options)], [0], [1])
    tracemalloc.start()
    try:
        with pytest.raises(InputError):
            generate_from_graph(parse_model(model), tmp_path / "out", target=KernelTarget.PORTABLE)
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()
