"""Bluetooth LE beacons: measured sleep and advertising energy against data sheets and what another board's event took.

A board's event is its transmit current for an equivalent time that is taken from the *other* board's rows (same
firmware kit, same beacon); sleep current is the data sheet's. Nothing is fitted on the row or the board it predicts.
"""

from __future__ import annotations

import csv
import os
import statistics
from dataclasses import dataclass
from pathlib import Path

import pytest

FILE = Path(os.environ.get("EMULAB_ASSETS", ""), "published", "ble_energy_bluejoule.csv")

pytestmark = pytest.mark.skipif(not FILE.is_file(), reason="needs the published measurements: set EMULAB_ASSETS")


@dataclass(frozen=True)
class Radio:
    """Figures at 3 V with DC/DC: constant power at other voltages; the sleep current does not follow the supply."""

    transmit_a: float
    sleep_a: float
    source: str


RADIOS = {
    "ti-23-lp": Radio(5.1e-3, 0.71e-6, "TI SWRS272: transmit 0 dBm, standby with RC oscillator"),
    "nrf-54-dk": Radio(4.8e-3, 2.9e-6, "nRF54L15 datasheet: transmit 0 dBm (v0.10), System ON 256 KB with GRTC"),
}
PERIOD_S = 1.0


def rows(kit: str) -> list[dict[str, str]]:
    with open(FILE, encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["board"] in RADIOS and row["capture"].startswith(kit)]


def test_beacons_of_one_kit_predict_each_other() -> None:
    """Energy per second of an EM-Script beacon on two chips, each from the other's event."""
    found = rows("emscript")
    assert {row["board"] for row in found} == set(RADIOS)
    times = {
        board: statistics.median(
            float(row["adv_event_energy_uJ"]) * 1e-6 / (3.0 * radio.transmit_a)
            for row in found
            if row["board"] == board
        )
        for board, radio in RADIOS.items()
    }
    errors = []
    print()
    for row in found:
        radio = RADIOS[row["board"]]
        other = next(time for board, time in times.items() if board != row["board"])
        event = 3.0 * radio.transmit_a * other
        energy = event + radio.sleep_a * float(row["supply_V"]) * PERIOD_S
        measured = float(row["energy_per_1s_period_uJ"]) * 1e-6
        errors.append(energy / measured - 1)
        capture = f"{row['board']:10s} {row['capture']:16s}"
        print(f"{capture} {measured * 1e6:6.1f} uJ  predicted {energy * 1e6:6.1f}  {errors[-1]:+.0%}")
    within = sum(abs(error) <= 0.15 for error in errors)
    middle = statistics.median(map(abs, errors))
    print(f"{within} of {len(errors)} within 15 %, median {middle:.0%}")
    assert middle <= 0.2


def test_sleep_of_the_data_sheet() -> None:
    """Median of a board's captures against its data sheet; single captures differ among themselves by a factor."""
    print()
    for board, radio in RADIOS.items():
        currents = [float(row["sleep_current_uA"]) * 1e-6 for row in rows("") if row["board"] == board]
        middle = statistics.median(currents)
        print(
            f"{board:10s} {min(currents) * 1e6:.1f} to {max(currents) * 1e6:.1f} uA, median {middle * 1e6:.2f}, "
            f"data sheet {radio.sleep_a * 1e6:.2f} ({radio.sleep_a / middle - 1:+.0%})"
        )
        assert abs(radio.sleep_a / middle - 1) <= 0.15
