"""Bluetooth LE beacons: measured energy per second and sleep current against the shipped radio parts.

The parts' currents are data sheet figures and their times are the protocol's, or assumed alike for every row; what a
vendor's stack computes is learnt on the other boards with one. Nothing is fitted on the board or the row.
"""

from __future__ import annotations

import os
import statistics
from pathlib import Path

import pytest
from nodes import n, platform

from emulab.compare.fidelity_ble import (
    LIMIT,
    RADIOS,
    Beacon,
    main,
    markdown,
    predict,
    radio,
    read_beacons,
    stack_of_others,
    stack_s,
    use_j,
)
from emulab.energy.duty import simulate_duty_cycle
from emulab.energy.parts import load_part
from emulab.errors import InputError
from emulab.model.dutycycle import DutyCycle

FILE = Path(os.environ.get("EMULAB_ASSETS", ""), "published", "ble_energy_bluejoule.csv")

published = pytest.mark.skipif(not FILE.is_file(), reason="needs the published measurements: set EMULAB_ASSETS")


def beacon(board: str, capture: str, event_j: float, supply_v: float = 3.0) -> Beacon:
    return Beacon(board, capture, supply_v, 1e-6, event_j, event_j + 3e-6)


@pytest.mark.parametrize(
    ("part", "use", "states"),
    [
        ("cc2340r5-radio", "advertise", {}),
        ("cc2340r5-radio", "advertise_stack", {}),
        ("efr32bg22-radio", "advertise_stack", {}),
        ("efr32mg24-radio", "advertise_stack_ldo", {"ble": "standby_ldo"}),
    ],
)
def test_an_event_is_what_the_duty_cycle_charges(part: str, use: str, states: dict[str, str]) -> None:
    """The table's arithmetic and the simulation of one event a second agree."""
    power = {
        "supply_v": n(2.2, "V"),
        "sleep_state": "sleep",
        "components": {"core": {"initial": "run", "states": {"run": {}, "sleep": {}}}},
    }
    cycle = DutyCycle.model_validate(
        {
            "period_s": 1.0,
            "sleep": "sleep",
            "parts": {"ble": part},
            "states": states,
            "phases": [{"name": "beacon", "use": f"ble.{use}", "bytes": 19}],
        }
    )
    simulated = simulate_duty_cycle(platform(power), cycle, duration_s=1000.0, trace=False).energy_j / 1000.0
    board = next(name for name, known in RADIOS.items() if known.part == part)
    component = radio(beacon(board, "x", 1.0, supply_v=2.2))
    asleep_a = component.current_a(states.get("ble", component.schema.initial))
    described = component.schema.uses[use]
    awake_s = sum(
        (step.time_s.value if step.time_s else 0.0) + (step.s_per_byte.value * 19 if step.s_per_byte else 0.0)
        for step in (*described.lead, *described.steps * described.repeat)
    )
    assert simulated == pytest.approx(use_j(component, use, 19) + asleep_a * 2.2 * (1 - awake_s), rel=1e-9)


def test_a_stack_is_learnt_on_other_boards_only() -> None:
    rows = [beacon("ti-23-lp", "simplelink-a", 30e-6), beacon("sil-g22e-ehk", "rail-a", 23e-6)]
    time_s, others = stack_of_others(rows, "ti-23-lp")
    assert others == ("sil-g22e-ehk",)
    assert time_s == pytest.approx(stack_s(rows[1]))
    changed = [beacon("ti-23-lp", "simplelink-a", 90e-6), rows[1]]
    assert predict(changed)[0].event_j == predict(rows)[0].event_j  # its own row does not matter
    assert predict(changed)[1].event_j > predict(rows)[1].event_j
    assert predict(rows[:1]) == []  # no other board: no prediction


def test_rows_without_figures_stay_visible() -> None:
    text = markdown([beacon("unknown-kit", "x", 30e-6), beacon("nrf-54-dk", "emscript-a", 16e-6)])
    assert "| unknown-kit | x | 1.0 |  | 30.0 |  | 33.0 |  |  | no data sheet figures found |" in text
    assert "1 rows are not predicted" in text


@pytest.mark.parametrize("text", ["", "board,capture\nti,x\n", "board,capture,supply_V\n"])
def test_not_such_a_table(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "rows.csv"
    file.write_text(text)
    with pytest.raises(InputError, match=r"rows\.csv"):
        read_beacons(file)
    assert main(["--published", str(file)]) == 2
    assert capsys.readouterr().err.startswith("emulab: error: ")


@published
def test_beacons_from_data_sheets_and_other_boards() -> None:
    """Energy per second: bare metal and stacks within 15 %, but for a named few."""
    rows = read_beacons(FILE)
    found = predict(rows)
    print("\n" + markdown(rows))
    bare = [abs(one.error) for one in found if one.row.capture.startswith("emscript")]
    assert len(bare) == 9
    assert max(bare) <= LIMIT
    stacks = [abs(one.error) for one in found if one.row.stack]
    assert len(stacks) == 10
    assert sum(error <= LIMIT for error in stacks) >= 9
    assert max(stacks) <= 0.16
    assert sum(abs(one.error) <= LIMIT for one in found) >= 23


@published
@pytest.mark.parametrize("board", ["ti-23-lp", "sil-g22e-ehk", "sil-g24-ek"])
def test_parts_hold_what_other_boards_say(board: str) -> None:
    """The stack's time in a part file is the one this data gives for its board with the board left out."""
    known = RADIOS[board]
    component = load_part(known.part).component
    assert component is not None
    time_s, others = stack_of_others(read_beacons(FILE), board)
    assert len(others) == 2
    shipped = component.uses[f"advertise_stack{known.suffix}"].lead[1].time_s
    assert shipped is not None
    assert shipped.value == pytest.approx(time_s, abs=6e-6)


@published
def test_sleep_of_the_data_sheet() -> None:
    """Median of a board's captures against its data sheet; single captures differ among themselves by a factor."""
    print()
    rows = read_beacons(FILE)
    for board in RADIOS:
        own = [row for row in rows if row.board == board]
        ratios = [one.sleep_a / one.row.sleep_a for one in predict(rows) if one.row.board == board]
        middle = statistics.median(ratios)
        print(f"{board:14s} {len(own)} captures, data sheet against measured: median {middle - 1:+.0%}")
        assert abs(middle - 1) <= 0.18
