"""Energy of published Bluetooth LE beacons beside the shipped radio parts: a table.

    python -m emulab.compare.fidelity_ble --published RESULTS.csv [--without COLUMN=PATTERN,...] [-o docs/fidelity-ble.md]

The currents of a part are its data sheet's. What a vendor's protocol stack computes around an event no data sheet
says: it is work at the rate of the core's CoreMark, taken from *other* boards' published events, never from the
board's own rows. RESULTS.csv has one row per capture (board, capture, supply_V, sleep_current_uA, sleep_power_uW,
adv_event_energy_uJ, energy_per_1s_period_uJ), as the BlueJoule project publishes them.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from emulab.compare.beacons import RADIOS, Beacon, read_beacons

if TYPE_CHECKING:
    from emulab.energy.component import Component

LIMIT = 0.15
NOTES = (
    "Where no current table of the chip itself was found, the part says which other chip each figure is from, and the",
    "last column says so. A prediction of that kind is printed with its error, whatever it is; its capture teaches no",
    "stack. A data sheet's radio current leaves the chip around the radio out: what firmware leaves on is added, by the",
    "vendor's own measurement (Silicon Labs RAIL, EM1P; the EFR32MG24 by it too), the data sheet (CC2340R5: flash and",
    "DMA) or the vendor's code (MAX32655: the core does not sleep).",
    "",
    "Told from a board's traces is only the form of an event: that the EFR32MG24's DC/DC is not used (its note doubts it;",
    "Zephyr's board description has it on), that the EFR32BG27's is (as that description), that the EM9305 is supplied",
    "linearly (same charge at three supplies), that the MAX32655 listens after each packet. Told from published",
    "firmware: the zephyr image of the nRF54L15 is scannable, sends 8 bytes and keeps all RAM, zephyr2 switches off all",
    "RAM but 32 KB (of emscript there is no image: as after reset; zephyr-3V0-J, whose trace neither listens nor has",
    "short packets, is taken for another image); the EFR32BG22's keeps the debug connection asleep.",
    "Told from published source: how long the MAX32655 waits before the first packet and between two (msdk, Cordio).",
    "Below 2.2 V the DC/DC of an EFR32 is bypassed, as in the vendor's example; the EFR32BG22's currents are then by the",
    "ratio of the EFR32MG24's data sheet. The capture rail-3V3-P ran at 1.8 V, as its own settings say.",
    "",
    "EM9305: nothing published says what it draws; the mean of two other chips without DC/DC is a third too much.",
    "nRF54L15: between two meters, and between two captures of one image, it differs by more than the limit (below);",
    "the charge of the wake-up pulse, in the traces of its Zephyr images, is in no data sheet. A DC/DC that loses more",
    "at a higher supply, its exponent learnt from the other boards, was tried: no better, not applied. Sleep currents",
    "scatter by meter, supply and sample far more than a data sheet's typical figure can tell.",
)

NO_FIGURES = "no data sheet figures found"


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
    alone_j = use_j(component, row.use, row.data_bytes)
    return (row.event_j - alone_j) / (component.current_a(f"cpu{suffix}") * row.supply_v)


def stack_of_others(rows: Iterable[Beacon], board: str) -> tuple[float, tuple[str, ...]]:
    """Time of a stack for *board* from the other boards: mean over boards of the median over their captures.

    It is work: a slower core takes longer, by CoreMark. Only captures whose currents are the chip's own teach.
    """
    own_hz = RADIOS[board].coremark_hz
    times: dict[str, list[float]] = {}
    for row in rows:
        if row.stack and row.board != board and not row.borrowed:
            ratio = RADIOS[row.board].coremark_hz / own_hz if own_hz else 1.0
            times.setdefault(row.board, []).append(stack_s(row) * ratio)
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
        event_j, time_s = use_j(component, row.use, row.data_bytes), 0.0
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


def disagreeing(rows: Sequence[Beacon], figure: Callable[[Beacon], float]) -> list[str]:
    """Captures of one image and supply whose *figure* by two meters no single prediction can be within the limit of."""
    by_key: dict[tuple[str, str, float], list[float]] = {}
    for row in rows:
        if row.meter:
            by_key.setdefault((row.board, row.image, row.supply_v), []).append(figure(row))
    return [
        f"{board} {image} at {supply_v:g} V ({max(found) / min(found):.2f})"
        for (board, image, supply_v), found in by_key.items()
        if len(found) == 2 and max(found) * (1 - LIMIT) > min(found) * (1 + LIMIT)
    ]


PAIRED: tuple[tuple[str, Callable[[Beacon], float]], ...] = (
    ("energy per second", lambda row: row.second_j),
    ("advertising event", lambda row: row.event_j),
    ("sleep current", lambda row: row.sleep_a),
)


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
        "parts in `platforms/parts`, from data sheets. A vendor's stack is work at the core's active current and CoreMark",
        "rate, learnt from the other boards with such a stack, never from a row of the same board. Which captures have a",
        "stack that computes was told from their traces and notes; figures of the rows were seen while this form was",
        "chosen, so it is a check by boards left out, not a blind one.",
        "In a duty cycle: `parts: {ble: efr32bg22-radio}`, then `use: ble.advertise_stack` (or `ble.advertise`, the radio",
        "alone; `advertise_scannable` listens after each packet, where the part has it) with `bytes: 19`.",
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
            "none is applied. Pairs so far apart that no one prediction is within the limit of both, larger over smaller:",
            "",
        ]
        for name, figure in PAIRED:
            lines.append(f"- {name}: {', '.join(disagreeing(rows, figure)) or 'none'}")
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
