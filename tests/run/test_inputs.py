"""Samples of accuracy mode: which ones, and which windows of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from emulab.model.scenario import load_scenario
from emulab.quality.samples import Sample
from emulab.run.inputs import Inputs, evenly

WINDOW, STRIDE, WINDOWS = 16, 4, 10


class Files:
    """Four normal files, then four that are not, each of ten windows."""

    name, task, labels, value_range = "files", "anomaly", ("normal", "anomaly"), (0.0, 1.0)

    def __len__(self) -> int:
        return 8

    def __iter__(self) -> Iterator[Sample]:
        for number in range(8):
            data = bytes(range(WINDOW + STRIDE * (WINDOWS - 1)))
            real = np.arange(WINDOWS * 4, dtype=np.float32).reshape(WINDOWS, 4)
            yield Sample(f"f{number}", int(number >= 4), real, data, WINDOW, STRIDE)


def inputs(*assignments: str) -> Inputs:
    loaded = load_scenario("har-wearable", [f"measure.{text}" for text in assignments])
    return Inputs(loaded, None, None, Files(), "")  # type: ignore[arg-type]


def test_samples_of_both_kinds() -> None:
    found = inputs("accuracy_samples=4").samples
    assert [sample.name for sample in found] == ["f0", "f2", "f4", "f6"]
    assert {sample.stride for sample in found} == {STRIDE}
    assert len(inputs("accuracy_samples=0").samples) == len(inputs("accuracy_samples=99").samples) == 8


@pytest.mark.parametrize(("limit", "sent"), [(0, 10), (1, 1), (3, 3), (4, 4), (6, 5), (10, 10), (99, 10)])
def test_so_many_windows_at_most(limit: int, sent: int) -> None:
    """What is sent are the windows that the host is asked about."""
    from emulab.dut.procedures import sliding_windows

    made = inputs("accuracy_samples=1", f"accuracy_windows={limit}")
    sample = made.samples[0]
    assert sample.size is not None and sample.stride is not None
    pieces = list(sliding_windows(sample.data, sample.size, sample.stride))
    whole = next(iter(Files()))
    assert len(pieces) == sent == len(made._sent(whole).real)
    starts = [sample.data.index(piece) // STRIDE for piece in pieces]
    assert np.array_equal(made._sent(whole).real, whole.real[starts])


def test_evenly() -> None:
    assert evenly(40, 20) == list(range(0, 40, 2)) and evenly(3, 5) == [0, 1, 2]
    assert evenly(7, 3) == [0, 2, 4]
