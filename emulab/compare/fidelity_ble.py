"""Energy of published Bluetooth LE beacons beside the shipped radio parts: a table.

    python -m emulab.compare.fidelity_ble --published RESULTS.csv [--without COLUMN=PATTERN,...] [-o docs/fidelity-ble.md]

The currents of a part are its data sheet's. What a vendor's protocol stack computes around an event no data sheet
says: it is a time at the core's active current, taken from *other* boards' published events, never from the board's
own rows. RESULTS.csv has one row per capture (board, capture, supply_V, sleep_current_uA, sleep_power_uW,
adv_event_energy_uJ, energy_per_1s_period_uJ), as the BlueJoule project publishes them.
"""

from __future__ import annotations

import argparse
import csv
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from emulab.errors import InputError

if TYPE_CHECKING:
    from emulab.energy.component import Component

LIMIT = 0.15
DATA_BYTES = 19
SHORT_PACKETS = {("ti-23-lp", "emscript-2V2-J"), ("ti-23-lp", "emscript-3V0-J")}
"""Two captures show packets of 200 us instead of 280: 9 bytes of advertising data."""


DCDC_FROM_V = 2.2
"""Below this supply the DC/DC of an EFR32 of series 2 is bypassed (Silicon Labs peripheral_examples, dcdc_vmon)."""


@dataclass(frozen=True, slots=True)
class Radio:
    """How a board's captures map onto a part.

    ``ldo``: its DC/DC is not used; ``dcdc_from_v``: nor is it below this supply. ``stacks``: captures of a protocol
    stack that computes per event. ``sleeps``: state of the part between events, where a capture's firmware chooses
    another than the initial one. ``derived``: what of the part is another chip's, ``bypass_derived``: what of it once
    the DC/DC is bypassed; such captures teach no stack.
    """

    part: str
    ldo: bool = False
    dcdc_from_v: float = 0.0
    stacks: tuple[str, ...] = ()
    sleeps: Mapping[str, str] = field(default_factory=dict)
    derived: str = ""
    bypass_derived: str = ""

    def borrowed(self, supply_v: float) -> str:
        """What of the part's figures at *supply_v* is another chip's; empty: nothing."""
        return self.derived or (self.bypass_derived if supply_v < self.dcdc_from_v else "")

    def suffix(self, supply_v: float) -> str:
        """Ending of the names of states and uses at *supply_v*."""
        return "_ldo" if self.ldo or supply_v < self.dcdc_from_v else ""


RADIOS = {
    "ti-23-lp": Radio("cc2340r5-radio", stacks=("simplelink",)),
    # the published zephyr2 image powers one block of RAM only (MEMCONF CONTROL 0x80) and lets the RRAM go off
    "nrf-54-dk": Radio("nrf54l15-radio", sleeps={"zephyr2": "sleep_32kb"}),
    # the published project keeps the debug connection in EM2 (SL_POWER_MANAGER_INIT_EMU_EM2_DEBUG_ENABLE 1)
    "sil-g22e-ehk": Radio(
        "efr32bg22-radio",
        dcdc_from_v=DCDC_FROM_V,
        stacks=("rail",),
        sleeps={"rail": "standby_debug"},
        bypass_derived="ratio without DC/DC (EFR32MG24)",
    ),
    # notes of both captures doubt that the DC/DC is on, and both traces transmit with more than the data sheet's power
    "sil-g24-ek": Radio("efr32mg24-radio", ldo=True, stacks=("rail",)),
    "sil-g27-dk": Radio("efr32bg27-radio", ldo=True, stacks=("rail",), derived="all currents (EFR32BG22)"),
    "in-100-dk": Radio("in100-radio", derived="active currents (CC2340R5, EFR32MG24)"),
    "emm-9305-dvk": Radio("em9305-radio", stacks=("embleu",), derived="all currents (CC2340R5, EFR32)"),
    "adi-m17-ek": Radio("maxim-max32655-radio", stacks=("msdk",), derived="transmit current (four boards)"),
}
"""Boards with a part. Nordic's controller sends the channels from hardware events: its core is hardly awake in the
published traces, so its rows are the radio alone, as bare metal; so is the IN100, which has no core."""

NOTES = (
    "Where no current table of the chip itself was found, the part says which other chip each figure is from, and the",
    "last column says so. A prediction of that kind is printed with its error, whatever it is; its capture teaches no",
    "stack. Told from a board's captures is only how it is supplied: that the DC/DC of the EFR32MG24 and EFR32BG27 is",
    "not used (notes; power while transmitting) and that the EM9305 is supplied linearly (same charge at three supplies).",
    "Told from published firmware: the zephyr2 image of the nRF54L15 switches off all RAM but 32 KB, the zephyr image",
    "none (of emscript there is no image: as after reset); the EFR32BG22's keeps the debug connection while asleep.",
    "Below 2.2 V the DC/DC of an EFR32 is bypassed, as in the vendor's example; the EFR32BG22's currents are then by the",
    "ratio of the EFR32MG24's data sheet. The capture rail-3V3-P ran at 1.8 V, as its own settings say.",
    "EFR32BG27: its transmit power fits the figures without DC/DC; what misses is the stack, far shorter in its trace.",
    "EM9305 and MAX32655: their stacks take other times than those of the boards learnt from, and nothing published says",
    "which. Sleep currents scatter by meter, supply and sample far more than a data sheet's typical figure can tell.",
)

NO_FIGURES = "no data sheet figures found"


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
        return 9 if (self.board, self.capture) in SHORT_PACKETS else DATA_BYTES

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


@dataclass(frozen=True, slots=True)
class Predicted:
    """What the part says of a capture; ``stack_s`` from ``others``, 0 without a stack."""

    row: Beacon
    event_j: float
    sleep_a: float
    stack_s: float
    others: tuple[str, ...]

    @property
    def second_j(self) -> float:
        return self.event_j + self.sleep_a * self.row.supply_v

    @property
    def error(self) -> float:
        return self.second_j / self.row.second_j - 1

    @property
    def event_error(self) -> float:
        return self.event_j / self.row.event_j - 1

    @property
    def sleep_error(self) -> float:
        return self.sleep_a / self.row.sleep_a - 1


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


def radio(row: Beacon) -> Component:
    """The row's radio at its supply."""
    from emulab.energy.component import Component
    from emulab.energy.parts import load_component

    part = RADIOS[row.board].part
    return Component(part, load_component(part), supply_v=row.supply_v)


def use_j(component: Component, use: str, data_bytes: int) -> float:
    """Energy in joule of one *use* of a part at its supply."""
    described = component.schema.uses[use]
    charge_c = 0.0
    for step in (*described.lead, *described.steps * described.repeat, *described.tail):
        time_s = (step.time_s.value if step.time_s else 0.0) + (
            step.s_per_byte.value * data_bytes if step.s_per_byte else 0.0
        )
        charge_c += component.current_a(step.state) * time_s
    return charge_c * component.supply_v


def stack_s(row: Beacon) -> float:
    """Time at the core's active current that explains what *row*'s event takes beyond the radio alone."""
    component, suffix = radio(row), RADIOS[row.board].suffix(row.supply_v)
    alone_j = use_j(component, f"advertise{suffix}", row.data_bytes)
    return (row.event_j - alone_j) / (component.current_a(f"cpu{suffix}") * row.supply_v)


def stack_of_others(rows: Iterable[Beacon], board: str) -> tuple[float, tuple[str, ...]]:
    """Time of a stack for *board* from the other boards: mean over boards of the median over their captures.

    Only captures whose currents are the chip's own teach.
    """
    times: dict[str, list[float]] = {}
    for row in rows:
        if row.stack and row.board != board and not row.borrowed:
            times.setdefault(row.board, []).append(stack_s(row))
    if not times:
        return 0.0, ()
    return statistics.mean(statistics.median(found) for found in times.values()), tuple(sorted(times))


def predict(rows: Sequence[Beacon]) -> list[Predicted]:
    """Every row whose board has a part, in order; rows of a stack without another board to learn from are left out."""
    predicted = []
    for row in rows:
        if row.board not in RADIOS:
            continue
        component, known = radio(row), RADIOS[row.board]
        suffix = known.suffix(row.supply_v)
        sleep_a = component.current_a(known.sleeps.get(row.image, component.schema.initial) + suffix)
        event_j, time_s = use_j(component, f"advertise{suffix}", row.data_bytes), 0.0
        others: tuple[str, ...] = ()
        if row.stack:
            time_s, others = stack_of_others(rows, row.board)
            if not others:
                continue
            event_j += time_s * component.current_a(f"cpu{suffix}") * row.supply_v
        predicted.append(Predicted(row, event_j, sleep_a, time_s, others))
    return predicted


def meters(rows: Sequence[Beacon], board: str = "") -> tuple[float, int]:
    """(median of PPK2 over JS220 sleep current, pairs) over captures of one image and supply, *board* left out."""
    by_key: dict[tuple[str, str, float], dict[str, float]] = {}
    for row in rows:
        if row.meter and row.board != board:
            by_key.setdefault((row.board, row.image, row.supply_v), {})[row.meter] = row.sleep_a
    ratios = [both["P"] / both["J"] for both in by_key.values() if len(both) == 2]
    return (statistics.median(ratios) if ratios else 1.0), len(ratios)


def counts(found: Sequence[Predicted]) -> str:
    """How many predictions are within the limit, and how far they are off in the mean: event and sleep too."""
    parts = []
    for name, errors in (
        ("energy per second", [one.error for one in found]),
        ("advertising event", [one.event_error for one in found]),
        ("sleep current", [one.sleep_error for one in found]),
    ):
        within = sum(abs(error) <= LIMIT for error in errors)
        size = statistics.mean(abs(error) for error in errors) if errors else 0.0
        parts.append(f"{name} {within} of {len(errors)} (mean {size:.1%})")
    return ", ".join(parts)


def markdown(rows: Sequence[Beacon]) -> str:
    """The page: every row, those without a prediction too."""
    predicted = predict(rows)
    found = {(one.row.board, one.row.capture): one for one in predicted}
    lines = [
        "# Fidelity of energy: Bluetooth LE beacons",
        "",
        "Written by `python -m emulab.compare.fidelity_ble`. Published captures of the BlueJoule benchmark",
        "(em-foundation/BlueJoule): 0 dBm, three channels, 19 bytes of data, once a second. Currents are those of the",
        "parts in `platforms/parts`, from data sheets. A vendor's stack is a time at the core's active current, learnt",
        "from the other boards with such a stack, never from a row of the same board. Which captures have a stack that",
        "computes was told from their traces and notes; figures of the rows were seen while this form was chosen, so it",
        "is a check by boards left out, not a blind one.",
        "In a duty cycle: `parts: {ble: efr32bg22-radio}`, then `use: ble.advertise_stack` (or `ble.advertise`, the radio",
        "alone) with `bytes: 19`.",
        "",
        "| board | capture | sleep uA | predicted | error | event uJ | predicted | error | per second uJ | predicted "
        "| error | stack | of other chips |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|---|",
    ]
    for row in rows:
        one = found.get((row.board, row.capture))
        published = [f"{row.sleep_a * 1e6:.2f}", f"{row.event_j * 1e6:.1f}", f"{row.second_j * 1e6:.1f}"]
        if one is None:
            cells = [published[0], "", "", published[1], "", "", published[2], "", "", NO_FIGURES, ""]
        else:
            stack = f"{one.stack_s * 1e3:.2f} ms, from {', '.join(one.others)}" if one.others else "none"
            cells = [published[0], f"{one.sleep_a * 1e6:.2f}", f"{one.sleep_error:+.0%}"]
            cells += [published[1], f"{one.event_j * 1e6:.1f}", f"{one.event_error:+.1%}"]
            cells += [published[2], f"{one.second_j * 1e6:.1f}", f"{one.error:+.1%}", stack]
            cells += [row.borrowed]
        lines.append(f"| {row.board} | {row.capture} | {' | '.join(cells)} |")
    own = [one for one in predicted if not one.row.borrowed]
    derived = [one for one in predicted if one.row.borrowed]
    missed = [f"{o.row.board} {o.row.capture} ({o.error:+.1%})" for o in predicted if abs(o.error) > LIMIT]
    lines += ["", f"Within {LIMIT:.0%}, all predicted rows: {counts(predicted)}.", ""]
    lines += [f"- figures of the chip itself: {counts(own)}", f"- figures of other chips: {counts(derived)}", ""]
    if len(predicted) < len(rows):
        lines += [f"{len(rows) - len(predicted)} rows are not predicted: {NO_FIGURES} for their radio."]
    if missed:
        lines += [f"Beyond it: {', '.join(missed)}."]
    lines += ["", *NOTES]
    ratio, pairs = meters(rows)
    if pairs:
        lines += [
            "",
            f"The same image and supply seen by both meters, {pairs} pairs: the PPK2 reads {ratio:.2f} times the sleep",
            "current of the JS220 in the median. With a board left out: "
            + ", ".join(f"{b} {meters(rows, b)[0]:.2f}" for b in sorted({r.board for r in rows if r.meter == "P"}))
            + ".",
            "On the nRF54L15 it reads down to half, elsewhere not: no meter model that one board teaches helps another, so",
            "none is applied.",
        ]
    return "\n".join(lines) + "\n"


def run(arguments: argparse.Namespace) -> int:
    from emulab.compare.fidelity import emit
    from emulab.compare.fidelity_energy import parse_filter

    emit(markdown(read_beacons(arguments.published, [parse_filter(t) for t in arguments.without])), arguments.output)
    return 0


def main(argv: list[str] | None = None) -> int:
    from emulab.compare.fidelity import exit_code

    parser = argparse.ArgumentParser(
        prog="python -m emulab.compare.fidelity_ble", description=__doc__.split("\n", 1)[0]
    )
    parser.add_argument("--published", type=Path, required=True, help="CSV of published captures")
    parser.add_argument(
        "--without", action="append", default=[], metavar="COLUMN=PATTERN,...", help="rows to leave out"
    )
    parser.add_argument("-o", "--output", type=Path, default=None, help="file to write (default: standard output)")
    return exit_code(run, parser.parse_args(argv))


if __name__ == "__main__":
    raise SystemExit(main())
