"""A duty cycle that cannot be is told before anything is built or run, and leaves no folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from emulab.cli import main


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("duty_cycle.battery={type: lipo-500}", "duty_cycle.battery: lipo-500 has 4.2 V when full"),
        ("duty_cycle.battery={type: cr2032, parameters: {capacity_c: {value: 0, unit: C, assumed: true}}}", "above 0"),
        ("duty_cycle.phases=[{name: send, use: uart2, bytes: 1}]", "duty_cycle.phases.0 (send): component 'uart2'"),
    ],
)
def test_it_is_told_first(
    change: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("something was run")

    monkeypatch.setattr("emulab.run.execute._run", never)
    command = ["run", "vibration-node", "--platform", "nucleo-l4r5zi", "--set", change, "--output", str(tmp_path / "o")]
    assert main(command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("emulab: error: ") and "scenario.yaml: " in line and said in line
    assert not (tmp_path / "o").exists()
