"""Compares runs metric by metric: emulated and physical, deviation, both uncertainties, a verdict where one was
asked."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from emulab.errors import InputError
from emulab.model.base import validate
from emulab.model.quantity import Quantity
from emulab.model.record import ExpectationResult, Result, RunRecord
from emulab.model.scenario import Expectation
from emulab.run.expectations import PHYSICAL_BACKENDS, References, applies, evaluate
from emulab.run.published import find_published, stated

Verdict = Literal["passed", "failed", "no tolerance", "unavailable"]

SPREAD = (
    "± is the spread over windows, of modelled energy the uncertainty of the platform's power data; "
    "emulated windows repeat exactly, so ± 0 says nothing of how far the model is from silicon"
)
ORDER = ("latency_s", "cycles", "energy_per_inference_j", "power_w", "accuracy_top1", "auc")


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """One metric of one platform. ``deviation`` is emulated / reference - 1; ``sigmas`` the same in combined standard
    deviations (None where neither side states one). ``message`` says why a field is empty or a verdict failed."""

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


@dataclass(frozen=True)
class Pair:
    """An emulated result and what it is held against (a result, or published figures under a key)."""

    emulated: Result
    metrics: dict[str, Quantity]
    name: str
    physical: Result | None = None


@dataclass(frozen=True)
class Comparison:
    """All rows, the expectations behind the verdicts, and what a reader must know."""

    rows: list[ComparisonRow]
    pairs: list[Pair]
    expectations: list[ExpectationResult]
    notes: list[str] = field(default_factory=list)
    title: str = ""

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
        pairs = [_published_pair(result, published, emulated) for result in _finished(_emulated(emulated.results))]
        wanted = [e for e in tolerances if e.of == "published"]
        refs = References(published={p.emulated.platform: published for p in pairs}, model=_model(emulated))
        notes += _published_notes(published, _model(emulated))
        what = f"published {published}"
    else:
        pairs = _record_pairs(emulated, physical)
        for pair in pairs:
            differing = different_hashes(pair)
            if differing and not allow_different:
                raise InputError(
                    f"{pair.emulated.platform}: {differing}; compare runs of the same, or give --allow-different"
                )
            if differing:
                notes.append(f"{pair.emulated.platform}: {differing}")
        wanted = [e for e in tolerances if e.of == "physical"]
        refs = References(physical=[p.physical for p in pairs if p.physical is not None])
        notes += _published_beside(emulated, pairs)
        what = "physical"
        for pair in pairs:
            if pair.physical is not None and pair.physical.backend not in PHYSICAL_BACKENDS:
                notes.append(f"{pair.name} is emulated too: under `physical` stands the second record")
    _check_asked(within or {}, pairs)
    if not pairs:
        raise InputError("compare: the first record holds no finished result to compare; did its run fail?")
    outcomes: list[ExpectationResult] = []
    rows: list[ComparisonRow] = []
    for pair in pairs:
        own = [e for e in wanted if applies(e, pair.emulated)]
        own_refs = replace(refs, physical=[pair.physical] if pair.physical is not None else [])
        found = evaluate(
            [e.model_copy(update={"target": ""}) for e in own], [pair.emulated], own_refs, judge_physical=True
        )
        outcomes += found
        rows += _rows(pair, found)
        own_notes = pair.physical.notes if pair.physical else []
        notes += [f"{pair.name}: {note}" for note in own_notes if not note.startswith("beside it, ")]
    notes.append(SPREAD)
    return Comparison(rows, pairs, outcomes, list(dict.fromkeys(notes)), f"{emulated.scenario.get('name', '')}: {what}")


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


def _model(record: RunRecord) -> str:
    workload: Any = record.scenario.get("workload", {})
    if not isinstance(workload, dict):
        return ""
    return str(workload.get("mlperf_id") or workload.get("name") or "")


def _finished(results: Sequence[Result]) -> list[Result]:
    return [result for result in results if result.status in ("passed", "failed")]


def _emulated(results: Sequence[Result]) -> list[Result]:
    """The results to judge: the emulated ones, or all where every one is physical."""
    return [r for r in results if r.backend not in PHYSICAL_BACKENDS] or list(results)


def _record_pairs(emulated: RunRecord, physical: RunRecord | None) -> list[Pair]:
    if physical is None:
        references = [r for r in emulated.results if r.backend in PHYSICAL_BACKENDS]
        if not references:
            raise InputError("compare: the record holds no physical result; give a second record or --published KEY")
        subjects = [r for r in emulated.results if r.backend not in PHYSICAL_BACKENDS]
    else:
        references = [r for r in physical.results if r.backend in PHYSICAL_BACKENDS] or list(physical.results)
        subjects = _emulated(emulated.results)
    finished = _finished(references)
    if not finished:
        said = "; ".join(f"{r.platform}/{r.backend}: {r.status} {r.message}".strip() for r in references)
        raise InputError(f"compare: the physical record holds no finished result: {said or 'it is empty'}")
    pairs = [
        Pair(result, dict(reference.metrics), f"{reference.platform}/{reference.backend}", reference)
        for result in _finished(subjects)
        for reference in finished
        if (reference.platform, reference.variant) == (result.platform, result.variant)
    ]
    if not pairs:
        mine = ", ".join(sorted({r.platform for r in subjects})) or "none"
        theirs = ", ".join(sorted({r.platform for r in finished}))
        raise InputError(f"compare: no platform in common; emulated: {mine}; physical: {theirs}")
    return pairs


def _published_pair(result: Result, key: str, record: RunRecord) -> Pair:
    row = find_published(key, _model(record))
    metrics = row.metrics()
    other = metrics.pop("energy_mode_latency_s", None)
    if other is not None and _in_energy_mode(record):
        metrics["latency_s"] = other
    return Pair(result, metrics, row.key)


def _in_energy_mode(record: RunRecord) -> bool:
    """Whether the record's latency was taken in energy mode."""
    measure: Any = record.scenario.get("measure", {})
    modes = measure.get("modes", []) if isinstance(measure, dict) else []
    return "energy" in modes and "performance" not in modes


def _published_beside(record: RunRecord, pairs: Sequence[Pair]) -> list[str]:
    """What the scenario's published result of each platform says of latency, in either mode, and energy."""
    keys: Any = record.scenario.get("published", {})
    said = []
    for platform in dict.fromkeys(pair.emulated.platform for pair in pairs):
        key = keys.get(platform, "") if isinstance(keys, dict) else ""
        if not key:
            continue
        line = stated(str(key), _model(record))
        said += [f"beside it, {line}"] if line else []
    return said


def _published_notes(key: str, model: str) -> list[str]:
    row = find_published(key, model)
    return [f"{row.key}: {text}" for text in (row.note, row.framework) if text]


def different_hashes(pair: Pair) -> str:
    """Which hashes are known on both sides and differ; empty where none."""
    if pair.physical is None:
        return ""
    for what in ("firmware", "model"):
        mine, theirs = getattr(pair.emulated, f"{what}_sha256"), getattr(pair.physical, f"{what}_sha256")
        if mine and theirs and mine != theirs:
            return f"the {what} differs: {mine[:12]} emulated, {theirs[:12]} in {pair.name}"
    return ""


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
        sigmas = abs(mine.value - theirs.value) / spread if spread > 0 else None
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
        pair.emulated.platform, pair.emulated.backend, metric, mine, theirs, deviation, sigmas, bound, verdict, message
    )


def comparison_rows(comparison: Comparison) -> list[dict[str, str]]:
    """Rows for a printed table: every cell filled, or a dash with the reason in the last column."""
    return [
        {
            "platform": f"{row.platform}/{row.backend}",
            "metric": row.metric,
            "emulated": show(row.emulated),
            "physical": show(row.reference),
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
        if row.deviation is None and not row.bound:
            missing.setdefault(f"{prefix}{row.message}", []).append(row.metric)
            continue
        if "@" in row.metric and not row.bound and row.deviation is not None:
            noise.setdefault(prefix + row.metric.partition("@")[0], []).append(row.deviation)
            continue
        if not row.bound:
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


def show(quantity: Quantity | None) -> str:
    """Value with its uncertainty, in units people use: ``43.42 ms ± 0.04 ms``; a dash where there is none.

    ``± ?`` where nobody stated the uncertainty (counts have none); below a billionth of the value (rounding of repeats) it is 0.
    """
    if quantity is None or quantity.value is None:
        return "-"
    text = human(quantity.value, quantity.unit)
    if quantity.uncertainty is None:
        return text if quantity.unit in ("B", "cycle", "instruction") else f"{text} ± ?"
    if quantity.uncertainty <= 1e-9 * abs(quantity.value):
        return f"{text} ± 0"
    return f"{text} ± {human(quantity.uncertainty, quantity.unit, 3)}"


def percent(part: float) -> str:
    """A deviation with its sign: ``+0.21 %``; what rounds to nothing has a plus."""
    return f"{round(part * 100, 2) + 0.0:+.2f} %"


def human(value: float, unit: str, digits: int = 5) -> str:
    """A value with an SI prefix; counts and ratios plain."""
    if unit in ("1", "B", "cycle", "instruction") or value == 0:
        plain = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.{digits}g}"
        return plain if unit == "1" else f"{plain} {unit}"
    for factor, prefix in ((1.0, ""), (1e-3, "m"), (1e-6, "u"), (1e-9, "n")):
        if abs(value) >= factor:
            return f"{value / factor:.{digits}g} {prefix}{unit}"
    return f"{value:.{digits}g} {unit}"
