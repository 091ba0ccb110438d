"""What a run says about two backends of one platform."""

from __future__ import annotations

from typing import Any

import pytest

from emulab.model.quantity import Quantity
from emulab.model.record import Provenance, Result, RunRecord
from emulab.report import between


def result(backend: str, sha256: str, instructions: float, outputs: Any, **more: Any) -> Result:
    return Result(
        platform="board",
        backend=backend,
        status="passed",
        metrics={"instructions": Quantity(value=instructions, unit="1", kind="emulated", source="counted")},
        firmware_sha256=sha256,
        details={"results": [0.5, 0.5], "outputs": outputs},
        **more,
    )


def record(*results: Result) -> RunRecord:
    return RunRecord(scenario={"name": "x"}, provenance=Provenance(emulab="0"), results=list(results))


@pytest.mark.parametrize("order", [0, 1])
def test_a_rebuilt_image_is_held_against_the_board_s(order: int) -> None:
    note = "fidelity core: ran on QEMU mps2-an386 with the timing of board"
    results = [
        result("unicorn", "a" * 64, 1000, {"s0": [1.0], "s1": [0.25]}),
        result("qemu", "b" * 64, 1010, {"s0": [1.0], "s1": [0.5]}, fidelity="core", notes=[note]),
    ]
    said = between.lines(record(*(results if order else reversed(results))))
    assert said == [
        f"board/qemu: {note}",
        "board/qemu ran another image than unicorn: outputs equal on 1 of 2 inputs; "
        "instructions per inference 1,010, +10 (+1.0000%)",
    ]


def test_the_same_image() -> None:
    results = [result("unicorn", "a" * 64, 1000, {}), result("qemu", "a" * 64, 1000, {})]
    assert between.lines(record(*results)) == [
        "board/qemu ran the same image as unicorn: outputs equal on 1 of 1 inputs; "
        "instructions per inference 1,000, +0 (+0.0000%)"
    ]


def test_one_backend_has_nothing_to_be_held_against() -> None:
    assert between.lines(record(result("unicorn", "a" * 64, 1000, {}))) == []
