"""Bluetooth LE beacons: measured energy per second and sleep current against the shipped radio parts.

The parts' currents are data sheet figures and their times are the protocol's, or assumed alike for every row; nothing
is fitted on the board or the row. The beacon is the benchmark's: 0 dBm, three channels, 19 bytes of advertising data,
once a second. Two captures of November 2025 show packets of 200 us instead of 280: 9 bytes.
"""

from __future__ import annotations

import csv
import os
import statistics
from pathlib import Path

import pytest
from nodes import n, platform

from emulab.energy.duty import simulate_duty_cycle
from emulab.energy.parts import load_part
from emulab.model.dutycycle import DutyCycle

FILE = Path(os.environ.get("EMULAB_ASSETS", ""), "published", "ble_energy_bluejoule.csv")

pytestmark = pytest.mark.skipif(not FILE.is_file(), reason="needs the published measurements: set EMULAB_ASSETS")

PARTS = {"ti-23-lp": "cc2340r5-radio", "nrf-54-dk": "nrf54l15-radio"}
BARE_METAL = "emscript"
"""The kit without a protocol stack: how long a stack computes per event is not the radio's, and no data sheet says."""
SHORT_PACKETS = {("ti-23-lp", "emscript-2V2-J"), ("ti-23-lp", "emscript-3V0-J")}


def rows() -> list[dict[str, str]]:
    with open(FILE, encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["board"] in PARTS]


def beacon_j(part: str, supply_v: float, data_bytes: int) -> float:
    """Energy of the radio alone over one second with one advertising event."""
    power = {
        "supply_v": n(supply_v, "V"),
        "sleep_state": "sleep",
        "components": {"core": {"initial": "run", "states": {"run": {}, "sleep": {}}}},
    }
    cycle = DutyCycle.model_validate(
        {
            "period_s": 1.0,
            "sleep": "sleep",
            "parts": {"ble": part},
            "phases": [{"name": "beacon", "use": "ble.advertise", "bytes": data_bytes}],
        }
    )
    result = simulate_duty_cycle(platform(power), cycle, duration_s=1000.0, trace=False)
    return result.energy_j / 1000.0


def test_beacons_from_the_data_sheet() -> None:
    """Energy per second: every bare-metal beacon within 15 %, whatever chip, supply and instrument."""
    errors = {}
    print()
    for row in rows():
        name = (row["board"], row["capture"])
        predicted = beacon_j(PARTS[row["board"]], float(row["supply_V"]), 9 if name in SHORT_PACKETS else 19)
        measured = float(row["energy_per_1s_period_uJ"]) * 1e-6
        errors[name] = predicted / measured - 1
        print(
            f"{name[0]:10s} {name[1]:16s} {measured * 1e6:6.1f} uJ  predicted {predicted * 1e6:6.1f}  {errors[name]:+.0%}"
        )
    bare = [abs(error) for (_, capture), error in errors.items() if capture.startswith(BARE_METAL)]
    within = sum(abs(error) <= 0.15 for error in errors.values())
    print(f"bare metal: {len(bare)} rows, largest {max(bare):.0%}; {within} of all {len(errors)} within 15 %")
    assert len(bare) == 9
    assert max(bare) <= 0.15
    stacks = [abs(error) for (_, capture), error in errors.items() if not capture.startswith(BARE_METAL)]
    assert statistics.median(stacks) < 0.25


def test_sleep_of_the_data_sheet() -> None:
    """Median of a board's captures against its data sheet; single captures differ among themselves by a factor."""
    print()
    for board, name in PARTS.items():
        component = load_part(name).component
        assert component is not None and component.states[component.initial].current_a is not None
        sleep_a = component.states[component.initial].current_a.value
        currents = [float(row["sleep_current_uA"]) * 1e-6 for row in rows() if row["board"] == board]
        middle = statistics.median(currents)
        print(
            f"{board:10s} {min(currents) * 1e6:.1f} to {max(currents) * 1e6:.1f} uA, median {middle * 1e6:.2f}, "
            f"data sheet {sleep_a * 1e6:.2f} ({sleep_a / middle - 1:+.0%})"
        )
        assert abs(sleep_a / middle - 1) <= 0.15
