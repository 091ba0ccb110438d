"""Every duty cycle that docs/energy.md shows can be simulated, counted and event by event, to the same figures."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from emulab.energy.duty import simulate_duty_cycle
from emulab.model.dutycycle import DutyCycle
from emulab.model.platform import load_platform

PAGE = (Path(__file__).parents[2] / "docs" / "energy.md").read_text(encoding="utf-8")
CYCLES = [yaml.safe_load(block)["duty_cycle"] for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.S)]


def test_there_are_some() -> None:
    assert len(CYCLES) >= 5
    assert sum("harvest" in cycle for cycle in CYCLES) == 2


@pytest.mark.parametrize("data", CYCLES, ids=range(len(CYCLES)))
def test_it_simulates(data: dict[str, Any]) -> None:
    board, cycle = load_platform("nucleo-l4r5zi").platform, DutyCycle.model_validate(data)
    result = simulate_duty_cycle(board, cycle, duration_s=86400.0, mode="drawn")
    assert result.battery_life_s is not None and result.battery_life_s > 0
    phases = {phase.name for phase in cycle.phases}
    assert phases <= result.energy_by_phase.keys() and all(result.energy_by_phase[name] > 0 for name in phases)
    hour = simulate_duty_cycle(board, cycle, duration_s=3600.0, mode="drawn", trace=False)
    long = simulate_duty_cycle(board, cycle, duration_s=3600.0, mode="exact", trace=False)
    assert long.energy_j == pytest.approx(hour.energy_j, rel=1e-6)


def test_the_python_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    exec(compile(code, "docs/energy.md", "exec"), {})
    assert "'work'" in capsys.readouterr().out
