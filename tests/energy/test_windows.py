"""Energy of a window: what was counted in it is charged, in each window alike."""

from __future__ import annotations

import pytest

from emulab.energy.windows import energy_per_inference, window_activity
from emulab.model.platform import load_platform
from emulab.model.record import LayerRow, WindowRecord

BOARD = load_platform("nucleo-l4r5zi").platform


def window(inferences: int, **counted: object) -> WindowRecord:
    cycles = 120_000 * inferences
    return WindowRecord.model_validate(
        {
            "name": "inference",
            "start_s": 0.0,
            "stop_s": cycles / 120e6,
            "inferences": inferences,
            "cycles": cycles,
            "instructions": cycles,
            "stall_cycles": 0,
            **counted,
        }
    )


def test_classes_are_of_the_whole_window_and_layers_of_one_inference() -> None:
    """However a window tells its multiply-accumulates, and of however many inferences it is, one costs the same."""
    layers = [
        LayerRow(name="a", instruction_classes={"mac": 30_000}),
        LayerRow(name="b", instruction_classes={"alu": 5}),
    ]
    alike = [
        window(1, instruction_classes={"mac": 30_000}),
        window(4, instruction_classes={"mac": 120_000}),
        window(1, layers=layers),
        window(4, layers=layers),
        window(4, layers=layers, instruction_classes={"mac": 120_000}),
    ]
    values = [energy_per_inference(BOARD, one).value for one in alike]
    assert values == pytest.approx([values[0]] * len(values), rel=1e-12)
    busy = energy_per_inference(BOARD, window(4, instruction_classes={"mac": 240_000})).value
    assert busy is not None and values[0] is not None
    power = BOARD.power
    assert power is not None
    price = power.components["core"].states["run"].per_activity["mac"].value
    assert busy - values[0] == pytest.approx(30_000 * price * power.supply_v.value, rel=1e-9)


def test_nothing_counted_is_the_typical_share() -> None:
    """Without classes the platform's typical share of multiply-accumulates is charged; none at all is none."""
    assert "mac" not in window_activity(BOARD, window(2))
    typical = energy_per_inference(BOARD, window(2)).value
    none = energy_per_inference(BOARD, window(2, instruction_classes={"alu": 240_000})).value
    assert typical is not None and none is not None and typical > none
