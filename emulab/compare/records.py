"""Compares runs metric by metric: emulated and physical, deviation, both uncertainties, a verdict where one was
asked."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from emulab.compare.pairs import Pair, differences, emulated_of, finished, model_of, published_pair, record_pairs
from emulab.compare.units import SHARES, duration, engineering
from emulab.errors import InputError
from emulab.model.base import validate
from emulab.model.quantity import Quantity
from emulab.model.record import ExpectationResult, RunRecord
from emulab.model.scenario import Expectation
from emulab.run.expectations import PHYSICAL_BACKENDS, References, applies, evaluate
from emulab.run.published import find_published, stated

Verdict = Literal["passed", "failed", "no tolerance", "unavailable", "different"]

SPREAD = (
    "± is the spread over windows, of modelled energy the uncertainty of the platform's power data; "
    "emulated windows repeat exactly, so ± 0 says nothing of how far the model is from silicon, and ± ? that nobody stated it"
)
ROUNDING = 1e-9
"""Part of a value below which its spread is the rounding of repeats, and none."""
ORDER = ("latency_s", "cycles", "energy_per_inference_j", "power_w", "accuracy_top1", "auc")


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """One metric of one platform. ``deviation`` is emulated / reference - 1; ``sigmas`` the same in combined standard
    deviations (None where neither side states one). ``message`` says why a field is empty or a verdict failed.

    Of what is no number (model and firmware that differ, verdict ``different``) the two sides stand in ``texts``.
    """

    platform: str
    backend: str
    metric: str
    emulated: Quantity | None
    reference: Quantity | None
    deviation: float | None
    sigmas: float | None
    bound: str
    verdict: Verdict
    message: str
    place: str = ""
    texts: tuple[str, str] | None = None


@dataclass(frozen=True)
class Comparison:
    """All rows, the expectations behind the verdicts, and what a reader must know."""

    rows: list[ComparisonRow]
    pairs: list[Pair]
    expectations: list[ExpectationResult]
    notes: list[str] = field(default_factory=list)
    title: str = ""
    sides: tuple[str, str] = ("emulated", "physical")
    """What the two columns of values are headed."""

    @property
    def failed(self) -> bool:
        """A tolerance of the scenario is broken."""
        return any(e.status == "failed" for e in self.expectations)

    @property
    def exit_code(self) -> int:
        return 1 if self.failed else 0


def compare_records(
    emulated: RunRecord,
    physical: RunRecord | None = None,
    published: str = "",
    allow_different: bool = False,
    within: Mapping[str, float] | None = None,
) -> Comparison:
    """Compare *emulated* with *physical* (another record, or the physical results of the same one), or with the
    published result under the key *published*.

    Verdicts come from the scenario's expectations ``of: physical`` (``of: published``) and from *within* (metric ->
    greatest deviation), which replaces the scenario's tolerance for its metric. Raises InputError when nothing matches,
    or when firmware or model hashes are both known and differ (unless *allow_different*).
    """
    tolerances = [e for e in _expectations(emulated) if e.metric not in (within or {})]
    of: Literal["published", "physical"] = "published" if published else "physical"
    tolerances += [Expectation(metric=metric, within=part, of=of) for metric, part in (within or {}).items()]
    notes: list[str] = []
    if published:
        pairs = [published_pair(result, published, emulated) for result in finished(emulated_of(emulated.results))]
        wanted = [e for e in tolerances if e.of == "published"]
        refs = References(published={p.emulated.platform: published for p in pairs}, model=model_of(emulated))
        notes += _published_notes(published, model_of(emulated))
        what, sides = f"published {published}", ("emulated", "published")
    else:
        pairs, notes = record_pairs(emulated, physical, allow_different)
        wanted = [e for e in tolerances if e.of == "physical"]
        refs = References(physical=[p.physical for p in pairs if p.physical is not None])
        notes += _published_beside(emulated, pairs)
        sides = _sides(pairs)
        what = "physical" if sides[1] == "physical" else "two runs"
        for pair in pairs:
            if pair.physical is not None and pair.physical.backend not in PHYSICAL_BACKENDS:
                notes.append(f"{pair.name} is emulated too: the deviation is between two models, none from silicon")
    _check_asked(within or {}, pairs)
    if not pairs:
        raise InputError("compare: the first record holds no finished result to compare; did its run fail?")
    outcomes: list[ExpectationResult] = []
    rows: list[ComparisonRow] = []
    for pair in pairs:
        own = [e for e in wanted if applies(e, pair.emulated)]
        other = pair.physical
        # Held against each other on purpose, whatever either calls its model.
        same = [] if other is None else [other.model_copy(update={"variant": pair.emulated.variant})]
        own_refs = replace(refs, physical=same)
        found = evaluate(
            [e.model_copy(update={"target": ""}) for e in own], [pair.emulated], own_refs, judge_physical=True
        )
        outcomes += found
        rows += [_different(pair, *each) for each in differences(pair)] + _rows(pair, found)
        own_notes = pair.physical.notes if pair.physical else []
        notes += [f"{pair.name}: {note}" for note in own_notes if not note.startswith("beside it, ")]
    notes.append(SPREAD)
    return Comparison(
        rows, pairs, outcomes, list(dict.fromkeys(notes)), f"{emulated.scenario.get('name', '')}: {what}", sides
    )


def _sides(pairs: Sequence[Pair]) -> tuple[str, str]:
    """Emulated and physical where that is so; first and second where both are of one kind, or it differs by board."""
    mine = {pair.emulated.backend in PHYSICAL_BACKENDS for pair in pairs}
    theirs = {pair.physical.backend in PHYSICAL_BACKENDS for pair in pairs if pair.physical is not None}
    return ("emulated", "physical") if mine == {False} and theirs <= {True} else ("first", "second")


def _check_asked(within: Mapping[str, float], pairs: Sequence[Pair]) -> None:
    """A tolerance of the command line for a metric that nobody has is a slip, not a comparison that holds."""
    known = {name for pair in pairs for name in (*pair.emulated.metrics, *pair.metrics)}
    for metric in within:
        if pairs and metric not in known:
            close = difflib.get_close_matches(metric, sorted(known), n=1, cutoff=0.5)
            hint = f"did you mean {close[0]!r}?" if close else f"they have {', '.join(sorted(known))}"
            raise InputError(f"--within {metric}: neither run has it; {hint}")


def _expectations(record: RunRecord) -> list[Expectation]:
    found = record.scenario.get("expectations", [])
    return [validate(Expectation, item, "run record") for item in found] if isinstance(found, list) else []


def _published_beside(record: RunRecord, pairs: Sequence[Pair]) -> list[str]:
    """What the scenario's published result of each platform says of latency, in either mode, and energy."""
    keys: Any = record.scenario.get("published", {})
    said = []
    for platform in dict.fromkeys(pair.emulated.platform for pair in pairs):
        key = keys.get(platform, "") if isinstance(keys, dict) else ""
        if not key:
            continue
        line = stated(str(key), model_of(record))
        said += [f"beside it, {line}"] if line else []
    return said


def _published_notes(key: str, model: str) -> list[str]:
    row = find_published(key, model)
    return [f"{row.key}: {text}" for text in (row.note, row.framework) if text]


def _different(pair: Pair, what: str, mine: str, theirs: str) -> ComparisonRow:
    """The row of a model or firmware that differs."""
    return ComparisonRow(
        pair.emulated.platform, pair.emulated.backend, what, None, None, None, None, "", "different",
        f"another {what}, compared with on purpose", pair.place, (mine, theirs),
    )  # fmt: skip


def _rows(pair: Pair, outcomes: Sequence[ExpectationResult]) -> list[ComparisonRow]:
    names = sorted(
        set(pair.emulated.metrics) | set(pair.metrics), key=lambda n: (ORDER.index(n) if n in ORDER else len(ORDER), n)
    )
    asked = {outcome.metric: outcome for outcome in outcomes}
    names += [name for name in asked if name not in names]
    return [_row(pair, name, asked.get(name)) for name in names]


def _row(pair: Pair, metric: str, outcome: ExpectationResult | None) -> ComparisonRow:
    mine, theirs = pair.emulated.metrics.get(metric), pair.metrics.get(metric)
    deviation = sigmas = None
    message = ""
    if mine is None:
        message = "not in the emulated run"
    elif mine.value is None:
        message = f"emulated: {mine.reason}"
    elif theirs is None:
        message = f"not in {pair.name}"
    elif theirs.value is None:
        message = f"{pair.name}: {theirs.reason}"
    elif mine.unit != theirs.unit:
        message = f"in {mine.unit} emulated, in {theirs.unit} in {pair.name}"
    elif theirs.value == 0:
        message = "the reference is 0" if mine.value else ""
        deviation = None if mine.value else 0.0
    else:
        deviation = mine.value / theirs.value - 1
        spread = math.hypot(mine.uncertainty or 0.0, theirs.uncertainty or 0.0)
        sigmas = abs(mine.value - theirs.value) / spread if spread > ROUNDING * abs(theirs.value) else None
    verdict: Verdict = "no tolerance" if deviation is not None else "unavailable"
    bound = ""
    if outcome is not None:
        verdict, bound = outcome.status, outcome.bound
        message = message or outcome.message
        if verdict == "passed" and deviation is not None:
            message = f"{percent(deviation)} is inside"
    elif deviation is not None:
        message = message or "the scenario asks nothing of it"
    return ComparisonRow(
        pair.emulated.platform, pair.emulated.backend, metric, mine, theirs, deviation, sigmas, bound, verdict, message,
        pair.place,
    )  # fmt: skip


def comparison_rows(comparison: Comparison) -> list[dict[str, str]]:
    """Rows for a printed table: every cell filled, or a dash with the reason in the last column."""
    return [
        {
            "platform": row.place,
            "metric": row.metric,
            "emulated": row.texts[0] if row.texts else show(row.emulated, row.metric),
            "physical": row.texts[1] if row.texts else show(row.reference, row.metric),
            "deviation": "-" if row.deviation is None else percent(row.deviation),
            "sigmas": "-" if row.sigmas is None else f"{row.sigmas:.1f}",
            "tolerance": row.bound or "-",
            "verdict": row.verdict,
            "reason": row.message,
        }
        for row in comparison.rows
    ]


def compact_rows(comparison: Comparison) -> tuple[list[dict[str, str]], list[str]]:
    """Rows fit for a terminal: metrics that both sides have or a tolerance asks for; the rest as lines.

    Lines say what one side lacks, with the reason, and how far apart the levels of noise are that nobody asked for.
    """
    several = len(comparison.pairs) > 1
    rows: list[dict[str, str]] = []
    missing: dict[str, list[str]] = {}
    noise: dict[str, list[float]] = {}
    for row, cells in zip(comparison.rows, comparison_rows(comparison), strict=True):
        prefix = f"{cells['platform']}: " if several else ""
        if row.deviation is None and not row.bound and row.texts is None:
            told = missing.setdefault(f"{prefix}{row.message}", [])
            name, _, level = row.metric.partition("@")
            name += " at levels of noise" if level else ""
            told += [] if name in told else [name]
            continue
        if "@" in row.metric and not row.bound and row.deviation is not None:
            noise.setdefault(prefix + row.metric.partition("@")[0], []).append(row.deviation)
            continue
        if not row.bound and row.texts is None:
            cells["verdict"] = "-"
            cells["reason"] = ""
        rows.append({key: value for key, value in cells.items() if key != "sigmas"})
    if not any(row["reason"] for row in rows):
        rows = [{key: value for key, value in row.items() if key != "reason"} for row in rows]
    lines = [f"{reason}: {', '.join(metrics)}" for reason, metrics in missing.items()]
    for metric, deviations in noise.items():
        most = max(deviations, key=abs)
        lines.append(f"{metric} at {len(deviations)} levels of noise: {percent(most)} at most")
    return rows, lines


def headed(comparison: Comparison, row: Mapping[str, str]) -> dict[str, str]:
    """A row of :func:`comparison_rows` under the headings that a reader sees, which say what the two sides are."""
    names = dict(zip(("emulated", "physical"), comparison.sides, strict=True))
    return {names.get(key, key): value for key, value in row.items()}


def show(quantity: Quantity | None, metric: str = "") -> str:
    """Value with its uncertainty, in units people use: ``43.42 ms ± 0.04 ms``; a dash where there is none.

    ``± ?`` where nobody stated the uncertainty (counts have none); below a billionth of the value (rounding of repeats) it is 0.
    """
    if quantity is None or quantity.value is None:
        return "-"
    if metric.endswith("battery_life_s"):
        return duration(quantity.value)
    if metric.startswith(SHARES):
        hundred = {"value": quantity.value * 100, "unit": "%"}
        spread = None if quantity.uncertainty is None else quantity.uncertainty * 100
        return show(quantity.model_copy(update={**hundred, "uncertainty": spread}))
    text = human(quantity.value, quantity.unit)
    if quantity.uncertainty is None:
        return text if quantity.unit in ("B", "cycle", "instruction") else f"{text} ± ?"
    if quantity.uncertainty <= ROUNDING * abs(quantity.value):
        return f"{text} ± 0"
    return f"{text} ± {human(quantity.uncertainty, quantity.unit, 3)}"


def percent(part: float) -> str:
    """A deviation with its sign: ``+0.21 %``; what rounds to nothing has a plus."""
    return f"{round(part * 100, 2) + 0.0:+.2f} %"


def human(value: float, unit: str, digits: int = 5) -> str:
    """A value with an SI prefix; counts and ratios plain."""
    if unit == "%":
        return f"{value:.{digits - 1}g} %"
    if unit in ("1", "B", "cycle", "instruction") or value == 0:
        plain = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.{digits}g}"
        return plain if unit == "1" else f"{plain} {unit}"
    return engineering(value, unit, digits)
