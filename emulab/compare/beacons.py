"""Published Bluetooth LE beacons: their rows, and how the captures of each board map onto a radio part.

What stands here of a board is the form of its events and its supply: which captures run a protocol stack, listen after
a packet, sleep in which state. No current and no time does; those are the part's.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from emulab.errors import InputError

DATA_BYTES = 19

DCDC_FROM_V = 2.2
"""Below this supply the DC/DC of an EFR32 of series 2 is bypassed (Silicon Labs peripheral_examples, dcdc_vmon)."""


@dataclass(frozen=True, slots=True)
class Radio:
    """How a board's captures map onto a part.

    ``ldo``: its DC/DC is not used; ``dcdc_from_v``: nor is it below this supply. ``stacks``: captures of a protocol
    stack that computes per event, ``coremark_hz``: how fast the core does, in CoreMark per second (0: not known).
    ``listens``: patterns of captures that listen after each packet; ``data_bytes``: patterns of captures with other
    than the benchmark's bytes of data. ``sleeps``: state of the part between events, where a capture's firmware
    chooses another than the initial one. ``derived``: what of the part is another chip's, ``bypass_derived``: what of
    it once the DC/DC is bypassed; such captures teach no stack.
    """

    part: str
    ldo: bool = False
    dcdc_from_v: float = 0.0
    stacks: tuple[str, ...] = ()
    coremark_hz: float = 0.0
    listens: tuple[str, ...] = ()
    data_bytes: Mapping[str, int] = field(default_factory=dict)
    sleeps: Mapping[str, str] = field(default_factory=dict)
    derived: str = ""
    bypass_derived: str = ""

    def borrowed(self, supply_v: float) -> str:
        """What of the part's figures at *supply_v* is another chip's; empty: nothing."""
        return self.derived or (self.bypass_derived if supply_v < self.dcdc_from_v else "")

    def suffix(self, supply_v: float) -> str:
        """Ending of the names of states and uses at *supply_v*."""
        return "_ldo" if self.ldo or supply_v < self.dcdc_from_v else ""


M0_PLUS, M33, M4 = 2.46, 4.07, 3.42
"""CoreMark per second and hertz: Microchip SAM D21, STM32U575 and STM32L412 data sheets."""

RADIOS = {
    # two captures show packets of 200 us instead of 280: 9 bytes of advertising data
    "ti-23-lp": Radio(
        "cc2340r5-radio",
        stacks=("simplelink",),
        coremark_hz=48e6 * M0_PLUS,
        data_bytes={"emscript-2V2-J": 9, "emscript-3V0-J": 9},
    ),
    # the published zephyr2 image powers one block of RAM only (MEMCONF CONTROL 0x80) and lets the RRAM go off; the
    # zephyr image advertises scannable (BT_LE_ADV_OPT_SCANNABLE), its name in the scan response: 8 bytes of flags and
    # manufacturer data. The trace of zephyr-3V0-J has no receive windows, and packets of full length: another image
    "nrf-54-dk": Radio(
        "nrf54l15-radio",
        listens=("zephyr-1V8-*", "zephyr-3V3-*"),
        data_bytes={"zephyr-1V8-*": 8, "zephyr-3V3-*": 8},
        sleeps={"zephyr2": "sleep_32kb"},
    ),
    # the published project keeps the debug connection in EM2 (SL_POWER_MANAGER_INIT_EMU_EM2_DEBUG_ENABLE 1) and runs
    # from the crystal of 38.4 MHz
    "sil-g22e-ehk": Radio(
        "efr32bg22-radio",
        dcdc_from_v=DCDC_FROM_V,
        stacks=("rail",),
        coremark_hz=38.4e6 * M33,
        sleeps={"rail": "standby_debug"},
        bypass_derived="ratio without DC/DC (EFR32MG24)",
    ),
    # a note of the capture doubts that the DC/DC is on; its trace transmits with the power the part has without
    "sil-g24-ek": Radio("efr32mg24-radio", ldo=True, stacks=("rail",), coremark_hz=39e6 * M33),
    # Zephyr's board description runs its DC/DC (xg27_dk2602a.dts), as the power of its trace says
    "sil-g27-dk": Radio(
        "efr32bg27-radio",
        dcdc_from_v=DCDC_FROM_V,
        stacks=("rail",),
        coremark_hz=38.4e6 * M33,
        derived="all currents (EFR32BG22)",
    ),
    "in-100-dk": Radio("in100-radio", derived="active currents (CC2340R5, EFR32MG24)"),
    "emm-9305-dvk": Radio("em9305-radio", stacks=("embleu",), derived="all currents (CC2340R5, EFR32)"),
    # its traces listen 150 us after each packet, as a connectable event of the vendor's stack does
    "adi-m17-ek": Radio(
        "maxim-max32655-radio",
        stacks=("msdk",),
        coremark_hz=100e6 * M4,
        listens=("msdk-*",),
        derived="transmit current (four boards)",
    ),
}
"""Boards with a part. Nordic's controller sends the channels from hardware events: its core is hardly awake in the
published traces, so its rows are the radio alone, as bare metal; so is the IN100, which has no core."""


@dataclass(frozen=True, slots=True)
class Beacon:
    """One published capture: energy of one advertising event and of one second with it, sleep current."""

    board: str
    capture: str
    supply_v: float
    sleep_a: float
    event_j: float
    second_j: float

    @property
    def data_bytes(self) -> int:
        known = RADIOS[self.board].data_bytes if self.board in RADIOS else {}
        return next((count for pattern, count in known.items() if fnmatchcase(self.capture, pattern)), DATA_BYTES)

    @property
    def use(self) -> str:
        """Use of the part: the radio alone."""
        known = RADIOS[self.board]
        listens = any(fnmatchcase(self.capture, pattern) for pattern in known.listens)
        return f"advertise{'_scannable' if listens else ''}{known.suffix(self.supply_v)}"

    @property
    def image(self) -> str:
        """What ran, e.g. ``zephyr2`` of the capture ``zephyr2-1V8-J``."""
        return self.capture.partition("-")[0]

    @property
    def meter(self) -> str:
        """Letter of the instrument where the capture's name has one: J (JS220) or P (PPK2)."""
        last = self.capture.rpartition("-")[2]
        return last if last in ("J", "P") else ""

    @property
    def stack(self) -> bool:
        """Whether a protocol stack computes around each event."""
        return self.board in RADIOS and self.image in RADIOS[self.board].stacks

    @property
    def borrowed(self) -> str:
        """What of the figures it is predicted with is another chip's; empty: nothing."""
        return RADIOS[self.board].borrowed(self.supply_v) if self.board in RADIOS else ""


def read_beacons(file: Path, without: Sequence[Mapping[str, str]] = ()) -> list[Beacon]:
    """Rows of the table that no filter of *without* matches; InputError when it is not such a table."""
    names = ("supply_V", "sleep_current_uA", "adv_event_energy_uJ", "energy_per_1s_period_uJ")
    found = []
    try:
        with open(file, newline="", encoding="utf-8") as stream:
            for row in csv.DictReader(stream):
                if any(all(fnmatchcase(row.get(n, ""), p) for n, p in one.items()) for one in without):
                    continue
                volts, sleep, event, second = (float(row[name]) for name in names)
                if row.get("sleep_power_uW"):  # the finer of the two: the current has one decimal
                    sleep = float(row["sleep_power_uW"]) / volts
                found.append(Beacon(row["board"], row["capture"], volts, sleep * 1e-6, event * 1e-6, second * 1e-6))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError.at(file, "", f"cannot be read: {error}") from None
    except (KeyError, ValueError, TypeError, ZeroDivisionError) as error:
        columns = ", ".join(("board", "capture", *names))
        raise InputError.at(file, "", f"expected a CSV with the columns {columns}: {error}") from None
    if not found:
        raise InputError.at(file, "", "no row of a beacon")
    return found
