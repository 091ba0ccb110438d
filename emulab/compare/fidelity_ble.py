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
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Radio:
    """How a board's captures map onto a part: ``ldo`` where its DC/DC is not used, ``stacks`` that compute per event."""

    part: str
    ldo: bool = False
    stacks: tuple[str, ...] = ()

    @property
    def suffix(self) -> str:
        return "_ldo" if self.ldo else ""


RADIOS = {
    "ti-23-lp": Radio("cc2340r5-radio", stacks=("simplelink",)),
    "nrf-54-dk": Radio("nrf54l15-radio"),
    "sil-g22e-ehk": Radio("efr32bg22-radio", stacks=("rail",)),
    # the capture's own notes doubt that the DC/DC is on, and its sleep is the data sheet's without it
    "sil-g24-ek": Radio("efr32mg24-radio", ldo=True, stacks=("rail",)),
}
"""Boards whose radio has figures of a data sheet. Nordic's controller sends the channels from hardware events: its
core is hardly awake in the published traces, so its rows are the radio alone, as bare metal."""

NOTES = (
    "The PPK2 reads half the sleep current of the JS220 on the same zephyr2 image and board, so no figure can meet both;",
    "the events of those rows are within the limit. The nRF54L15's sleep depends on the RAM kept, 0.7 to 2.9 uA by its",
    "product page; the captures do not say how much is kept, and the part has all of it.",
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
    def stack(self) -> bool:
        """Whether a protocol stack computes around each event."""
        return self.board in RADIOS and self.capture.partition("-")[0] in RADIOS[self.board].stacks


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
                found.append(Beacon(row["board"], row["capture"], volts, sleep * 1e-6, event * 1e-6, second * 1e-6))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError.at(file, "", f"cannot be read: {error}") from None
    except (KeyError, ValueError, TypeError) as error:
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
    component, suffix = radio(row), RADIOS[row.board].suffix
    alone_j = use_j(component, f"advertise{suffix}", row.data_bytes)
    return (row.event_j - alone_j) / (component.current_a(f"cpu{suffix}") * row.supply_v)


def stack_of_others(rows: Iterable[Beacon], board: str) -> tuple[float, tuple[str, ...]]:
    """Time of a stack for *board* from the other boards: mean over boards of the median over their captures."""
    times: dict[str, list[float]] = {}
    for row in rows:
        if row.stack and row.board != board:
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
        component, suffix = radio(row), RADIOS[row.board].suffix
        sleep_a = component.current_a(f"{component.schema.initial}{suffix}")
        event_j, time_s = use_j(component, f"advertise{suffix}", row.data_bytes), 0.0
        others: tuple[str, ...] = ()
        if row.stack:
            time_s, others = stack_of_others(rows, row.board)
            if not others:
                continue
            event_j += time_s * component.current_a(f"cpu{suffix}") * row.supply_v
        predicted.append(Predicted(row, event_j, sleep_a, time_s, others))
    return predicted


def markdown(rows: Sequence[Beacon]) -> str:
    """The page: every row, those without a prediction too."""
    found = {(one.row.board, one.row.capture): one for one in predict(rows)}
    lines = [
        "# Fidelity of energy: Bluetooth LE beacons",
        "",
        "Written by `python -m emulab.compare.fidelity_ble`. Published captures of the BlueJoule benchmark",
        "(em-foundation/BlueJoule): 0 dBm, three channels, 19 bytes of data, once a second. Currents are those of the",
        "parts in `platforms/parts`, from data sheets. A vendor's stack is a time at the core's active current, learnt",
        "from the other boards with such a stack, never from a row of the same board. Which captures have a stack that",
        "computes, and that the EFR32MG24 runs without its DC/DC, was told from their traces and notes; figures of the",
        "rows were seen while this form was chosen, so it is a check by boards left out, not a blind one.",
        "In a duty cycle: `parts: {ble: efr32bg22-radio}`, then `use: ble.advertise_stack` (or `ble.advertise`, the radio",
        "alone) with `bytes: 19`.",
        "",
        "| board | capture | sleep uA | predicted | event uJ | predicted | per second uJ | predicted | error | stack |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---|",
    ]
    for row in rows:
        one = found.get((row.board, row.capture))
        published = [f"{row.sleep_a * 1e6:.1f}", f"{row.event_j * 1e6:.1f}", f"{row.second_j * 1e6:.1f}"]
        if one is None:
            cells = [published[0], "", published[1], "", published[2], "", "", NO_FIGURES]
        else:
            stack = f"{one.stack_s * 1e3:.2f} ms, from {' and '.join(one.others)}" if one.others else "none"
            cells = [published[0], f"{one.sleep_a * 1e6:.2f}", published[1], f"{one.event_j * 1e6:.1f}"]
            cells += [published[2], f"{one.second_j * 1e6:.1f}", f"{one.error:+.1%}", stack]
        lines.append(f"| {row.board} | {row.capture} | {' | '.join(cells)} |")
    within = sum(abs(one.error) <= LIMIT for one in found.values())
    sizes = [abs(one.error) for one in found.values()]
    missed = [f"{o.row.board} {o.row.capture} ({o.error:+.1%})" for o in found.values() if abs(o.error) > LIMIT]
    lines += [
        "",
        f"{within} of {len(found)} predicted rows within {LIMIT:.0%}, mean {statistics.mean(sizes) if sizes else 0:.1%}; "
        f"{len(rows) - len(found)} rows are not predicted: {NO_FIGURES} for their radio.",
    ]
    events = sum(abs(one.event_j / one.row.event_j - 1) <= LIMIT for one in found.values())
    sleeps = sum(abs(one.sleep_a / one.row.sleep_a - 1) <= LIMIT for one in found.values())
    lines += [f"Alone, {events} advertising events and {sleeps} sleep currents of the {len(found)} are within it."]
    if missed:
        lines += [f"Beyond it: {', '.join(missed)}.", *NOTES]
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
