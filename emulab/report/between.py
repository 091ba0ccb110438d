"""Whether the backends of one run agree about a platform: outputs, instructions, and which image each of them ran."""

from __future__ import annotations

from typing import Any

from emulab.model.record import Result, RunRecord


def lines(record: RunRecord) -> list[str]:
    """A sentence per backend that ran a rebuilt image, and per pair of backends of one platform."""
    found = []
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in record.results:
        if result.fidelity == "core":
            found += [f"{result.label}: {note}" for note in result.notes if note.startswith("fidelity core")]
        if result.status in ("passed", "failed") and result.details.get("results"):
            groups.setdefault((result.platform, result.variant), []).append(result)
    for results in groups.values():
        # what others are held against: an image as the board would run it
        reference = next((r for r in results if r.fidelity == "board"), results[0])
        found += [agreement(result, reference) for result in results if result is not reference]
    return found


def agreement(result: Result, reference: Result) -> str:
    """How *result* compares with *reference*, another backend's of the same platform."""
    image = "the same image as" if result.firmware_sha256 == reference.firmware_sha256 else "another image than"
    pairs = _outputs(result, reference)
    equal = sum(1 for a, b in pairs if a == b)
    text = f"{result.label} ran {image} {reference.backend}: outputs equal on {equal} of {len(pairs)} inputs"
    counts = [r.metrics["instructions"].value if "instructions" in r.metrics else None for r in (result, reference)]
    if counts[0] is None or counts[1] is None:
        return text
    difference = counts[0] - counts[1]
    share = f" ({difference / counts[1]:+.4%})" if counts[1] else ""
    return f"{text}; instructions per inference {counts[0]:,.0f}, {difference:+,.0f}{share}"


def _outputs(result: Result, reference: Result) -> list[tuple[Any, Any]]:
    """Outputs of both for the same inputs: the samples of the accuracy mode, else the result of the first window."""
    ours, theirs = result.details.get("outputs") or {}, reference.details.get("outputs") or {}
    common = [(ours[name], theirs[name]) for name in ours if name in theirs]
    return common or [(result.details["results"], reference.details["results"])]
