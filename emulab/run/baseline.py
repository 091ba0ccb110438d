"""Baselines: a committed record that later runs are held against, and a diff that explains itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from emulab.errors import InputError
from emulab.model.record import LayerRow, Result, RunRecord, read_record, write_text
from emulab.model.scenario import LoadedScenario


@dataclass(frozen=True, slots=True)
class Change:
    """One quantity that differs from the baseline. ``where`` names the layer, region or instruction class."""

    target: str
    what: str
    where: str
    before: float | None
    after: float | None

    @property
    def difference(self) -> float | None:
        return None if self.before is None or self.after is None else self.after - self.before

    def __str__(self) -> str:
        place = f" in {self.where}" if self.where else ""
        if self.before is None or self.after is None:
            word = "appeared" if self.before is None else "is gone"
            return f"{self.target}: {self.what}{place} {word}"
        share = f" ({self.after / self.before - 1:+.2%})" if self.before else ""
        return f"{self.target}: {self.what}{place}: {self.before:.9g} -> {self.after:.9g}{share}"


def baseline_path(loaded: LoadedScenario) -> Path:
    """Where the scenario's baseline lies; ``baseline.json`` beside it when it names none."""
    return loaded.path(loaded.scenario.baseline or "baseline.json")


def check_lasting(loaded: LoadedScenario) -> None:
    """InputError where the baseline would lie inside the installed package, to be lost with the next installation."""
    import emulab

    file = baseline_path(loaded)
    if Path(emulab.__file__).resolve().parent in file.resolve().parents:
        raise InputError(
            f"{loaded.scenario.name}: ships with the installed package, where a baseline would not last; copy "
            f"{loaded.file.parent} into your project, or give --set baseline=/PATH/TO/FILE.json"
        )


def update_baseline(loaded: LoadedScenario, record: RunRecord) -> Path:
    """Write *record* as the baseline. Targets it does not hold are kept from the old one."""
    file = baseline_path(loaded)
    kept: list[Result] = []
    if file.exists():
        fresh = {r.label for r in record.results}
        kept = [r for r in read_record(file).results if r.label not in fresh]
    results = [_slim(r) for r in [*record.results, *kept]]
    unfinished = [r for r in record.results if r.status in ("error", "unavailable", "skipped")]
    if unfinished:
        raise InputError(f"{file}: not updated, {unfinished[0].label} has no result")
    provenance = record.provenance.model_copy(update={"started_at": "", "wall_s": {}, "command": ""})
    slim = record.model_copy(update={"results": results, "expectations": [], "provenance": provenance})
    data = {"schema_version": slim.schema_version, **slim.model_dump(mode="json", exclude_defaults=True)}
    return write_text(file, json.dumps(data, indent=1) + "\n")


def _slim(result: Result) -> Result:
    """What a later diff needs, and no more: a baseline is committed."""
    windows = [w for w in result.windows if w.index == 0]
    return result.model_copy(update={"windows": windows, "artifacts": {}, "details": {}, "status": "passed"})


def diff(before: RunRecord, after: RunRecord) -> list[Change]:
    """Everything that differs, exactly: metrics, then layers, memory regions and instruction classes of the windows."""
    changes: list[Change] = []
    old = {r.label: r for r in before.results}
    for result in after.results:
        previous = old.get(result.label)
        if previous is not None:
            changes += _diff_result(previous, result)
    return changes


def _diff_result(before: Result, after: Result) -> Iterator[Change]:
    target = after.label
    for metric in sorted(before.metrics.keys() | after.metrics.keys()):
        old, new = before.metrics.get(metric), after.metrics.get(metric)
        values = (old.value if old else None, new.value if new else None)
        if values[0] != values[1]:
            yield Change(target, metric, "", *values)
    windows = {(w.name, w.index): w for w in before.windows}
    for window in after.windows:
        previous = windows.get((window.name, window.index))
        if previous is None:
            continue
        yield from _diff_layers(target, previous.layers, window.layers)
        for what, old_map, new_map in (
            ("bytes read", previous.region_reads, window.region_reads),
            ("bytes written", previous.region_writes, window.region_writes),
            ("misses", previous.cache_misses, window.cache_misses),
        ):
            yield from _diff_map(target, what, "", old_map, new_map)


def _diff_layers(target: str, before: list[LayerRow], after: list[LayerRow]) -> Iterator[Change]:
    old = {row.symbol or row.name: row for row in before}
    new = {row.symbol or row.name: row for row in after}
    for name in dict.fromkeys([*new, *old]):
        was, now = old.get(name), new.get(name)
        for what in ("cycles", "instructions", "stall_cycles"):
            values = (getattr(was, what, None), getattr(now, what, None))
            if values[0] != values[1]:
                yield Change(target, what, name, *values)
        if was is not None and now is not None:
            yield from _diff_map(
                target, "instructions", f"{name}, class ", was.instruction_classes, now.instruction_classes
            )


def _diff_map(target: str, what: str, prefix: str, before: dict[str, int], after: dict[str, int]) -> Iterator[Change]:
    for key in sorted(before.keys() | after.keys()):
        if before.get(key, 0) != after.get(key, 0):
            yield Change(target, what, f"{prefix}{key}", before.get(key, 0), after.get(key, 0))
