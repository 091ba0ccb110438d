"""Who is held against whom: results of two records on the same platform, by model, or published figures under a key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from emulab.errors import InputError
from emulab.model.quantity import Quantity
from emulab.model.record import Result, RunRecord
from emulab.run.expectations import PHYSICAL_BACKENDS
from emulab.run.published import find_published


@dataclass(frozen=True)
class Pair:
    """An emulated result and what it is held against (a result, or published figures under a key).

    ``place`` is how tables call it: the emulated result's label, and the other's where it is held against several.
    ``models`` are the two models by file and hash, where they are known.
    """

    emulated: Result
    metrics: dict[str, Quantity]
    name: str
    physical: Result | None = None
    place: str = ""
    models: tuple[str, str] = ("", "")


def model_of(record: RunRecord) -> str:
    """Name of the record's model in the benchmark, else of its workload; empty where it says neither."""
    workload: Any = record.scenario.get("workload", {})
    if not isinstance(workload, dict):
        return ""
    return str(workload.get("mlperf_id") or workload.get("name") or "")


def finished(results: Sequence[Result]) -> list[Result]:
    """Those that came to an end, whatever was expected of them."""
    return [result for result in results if result.status in ("passed", "failed")]


def emulated_of(results: Sequence[Result]) -> list[Result]:
    """The results to judge: the emulated ones, or all where every one is physical."""
    return [r for r in results if r.backend not in PHYSICAL_BACKENDS] or list(results)


def published_pair(result: Result, key: str, record: RunRecord) -> Pair:
    """*result* against the published one under *key*; InputError where there is no such key."""
    row = find_published(key, model_of(record))
    metrics = row.metrics()
    other = metrics.pop("energy_mode_latency_s", None)
    if other is not None and _in_energy_mode(record):
        metrics["latency_s"] = other
    return Pair(result, metrics, row.key, place=result.label)


def _in_energy_mode(record: RunRecord) -> bool:
    """Whether the record's latency was taken in energy mode."""
    measure: Any = record.scenario.get("measure", {})
    modes = measure.get("modes", []) if isinstance(measure, dict) else []
    return "energy" in modes and "performance" not in modes


def record_pairs(
    emulated: RunRecord, physical: RunRecord | None, allow_different: bool
) -> tuple[list[Pair], list[str]]:
    """Results of *emulated* with those of *physical* (or with the physical ones among its own) on the same platform,
    and lines about what was left out.

    Those of the same variant belong together, else those of the same model, else, with *allow_different*, all. Raises
    InputError where nothing belongs together, or where firmware or model of a pair are known to differ and
    *allow_different* was not given.
    """
    if physical is None:
        references = [r for r in emulated.results if r.backend in PHYSICAL_BACKENDS]
        if not references:
            raise InputError("compare: the record holds no physical result; give a second record or --published KEY")
        subjects = [r for r in emulated.results if r.backend not in PHYSICAL_BACKENDS]
    else:
        references = [r for r in physical.results if r.backend in PHYSICAL_BACKENDS] or list(physical.results)
        subjects = emulated_of(emulated.results)
    done = finished(references)
    if not done:
        said = "; ".join(f"{r.platform}/{r.backend}: {r.status} {r.message}".strip() for r in references)
        raise InputError(f"compare: the physical record holds no finished result: {said or 'it is empty'}")
    pairs: list[Pair] = []
    left: list[str] = []
    for result in finished(subjects):
        there = [r for r in done if r.platform == result.platform]
        chosen = [r for r in there if r.variant == result.variant]
        others: list[Result] = []
        if not chosen:
            chosen = [r for r in there if r.model_sha256 and r.model_sha256 == result.model_sha256]
            others = [r for r in there if r not in chosen]
        if allow_different:
            chosen += others
        elif chosen:
            left += [
                f"{r.label} runs another model and was left out; --allow-different compares it too" for r in others
            ]
        places = [result.label + (f" against {r.label}" if len(chosen) > 1 else "") for r in chosen]
        for reference, place in zip(chosen, places, strict=True):
            models = _described(result, emulated), _described(reference, physical or emulated)
            pairs.append(Pair(result, dict(reference.metrics), reference.label, reference, place, models))
    if not pairs:
        raise _nothing_in_common(finished(subjects) or subjects, done)
    for pair in pairs:
        said = different_hashes(pair)
        if said and not allow_different:
            raise InputError(f"{pair.emulated.platform}: {said}; compare runs of the same, or give --allow-different")
    return pairs, list(dict.fromkeys(left))


def _nothing_in_common(subjects: Sequence[Result], references: Sequence[Result]) -> InputError:
    common = {r.platform for r in subjects} & {r.platform for r in references}
    if common:
        mine, theirs = (
            ", ".join(sorted({r.label for r in results if r.platform in common})) for results in (subjects, references)
        )
        return InputError(
            f"compare: no model in common; emulated: {mine}; physical: {theirs}; compare runs of the same, or give "
            "--allow-different"
        )
    mine, theirs = (", ".join(sorted({r.platform for r in results})) or "none" for results in (subjects, references))
    return InputError(f"compare: no platform in common; emulated: {mine}; physical: {theirs}")


def _described(result: Result, record: RunRecord) -> str:
    """The result's model by file name and hash; empty where the record does not know it."""
    if not result.model_sha256:
        return ""
    workload: Any = record.scenario.get("workload", {})
    file: Any = ""
    if isinstance(workload, dict):
        variants = workload.get("variants", {})
        own = variants.get(result.variant, {}) if isinstance(variants, dict) else {}
        file = own.get("model", "") if isinstance(own, dict) and result.variant else workload.get("model", "")
    name = str(file or "").rpartition("/")[2].rpartition(":")[2]
    return f"{name} {result.model_sha256[:12]}".strip()


def different_hashes(pair: Pair) -> str:
    """Which hashes are known on both sides and differ; empty where none."""
    if pair.physical is None:
        return ""
    for what, mine, theirs in differences(pair):
        return f"the {what} differs: {mine} emulated, {theirs} in {pair.name}"
    return ""


def differences(pair: Pair) -> list[tuple[str, str, str]]:
    """(what, emulated, reference) of each of model and firmware that both sides know and that differ."""
    if pair.physical is None:
        return []
    found = []
    for what in ("model", "firmware"):
        mine, theirs = getattr(pair.emulated, f"{what}_sha256"), getattr(pair.physical, f"{what}_sha256")
        if mine and theirs and mine != theirs:
            texts = pair.models if what == "model" and all(pair.models) else (mine[:12], theirs[:12])
            found.append((what, *texts))
    return found
