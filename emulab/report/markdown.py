"""Markdown summary of a record: fits a pull-request comment."""

from __future__ import annotations

from emulab.model.record import ExpectationResult, RunRecord
from emulab.report import between, golden, memory, quality, robustness, streaming
from emulab.report.metrics import expectation_bound, expectation_value, ordered, title
from emulab.report.units import show

LIMIT = 65_000
"""Longest comment that code forges take, less a margin."""


def escape(text: str) -> str:
    """Text that cannot break out of a Markdown table cell or become HTML."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace(">", "&gt;").replace("\n", " ")


def markdown(record: RunRecord) -> str:
    """Table of metrics per target, then the expectations, broken ones first."""
    name = escape(str(record.scenario.get("title") or record.scenario.get("name", "")))
    lines = [f"### {name}", ""]
    heads = [escape(r.label).replace("/", " / ") for r in record.results]
    lines += ["| | " + " | ".join(heads) + " |", "|---|" + "---:|" * len(heads)]
    lines.append("| status | " + " | ".join(r.status for r in record.results) + " |")
    for metric in ordered({m for r in record.results for m in r.metrics}):
        cells = [show(metric, r.metrics[metric]) if metric in r.metrics else "" for r in record.results]
        lines.append(f"| {escape(title(metric))} | " + " | ".join(cells) + " |")
    told = [memory.fits(result) for result in record.results]
    if any(told):
        lines.append("| fits | " + " | ".join(told) + " |")
    lines += [
        line
        for text in [
            *streaming.record_lines(record),
            *quality.lines(record),
            *between.lines(record),
            *golden.lines(record),
        ]
        for line in ("", escape(text))
    ]
    lines += memory.markdown_lines(record)
    found = robustness.of_record(record)
    if found is not None:
        lines += robustness.markdown_lines(found)
    if record.expectations:
        lines += ["", "| verdict | metric | target | value | asked | |", "|---|---|---|---:|---|---|"]
        rank = {"failed": 0, "unavailable": 1, "passed": 2}
        lines += [_expectation(record, e) for e in sorted(record.expectations, key=lambda e: rank[e.status])]
    lines += [f"- {escape(r.label)}: {escape(r.message)}" for r in record.results if r.message]
    text = "\n".join(lines) + "\n"
    return text if len(text) <= LIMIT else text[: LIMIT - 40] + "\n\n(cut; the whole is in report.html)\n"


def _expectation(record: RunRecord, item: ExpectationResult) -> str:
    mark = {"passed": "✅ holds", "failed": "❌ broken", "unavailable": "⚠️ unknown"}[item.status]
    cells = [
        mark,
        escape(item.metric),
        escape(item.target),
        expectation_value(record, item),
        escape(expectation_bound(record, item)),
        escape(item.message),
    ]
    return "| " + " | ".join(cells) + " |"


def workflow_commands(record: RunRecord) -> list[str]:
    """GitHub workflow commands for what is broken (printed when the run is inside Actions)."""

    def clean(text: str) -> str:
        return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")

    lines = [
        f"::error title={clean(e.metric)} on {clean(e.target)}::{clean(e.message or e.bound)}"
        for e in record.expectations
        if e.status == "failed"
    ]
    return lines + [
        f"::error title={clean(r.label)}::{clean(r.message)}" for r in record.results if r.status == "error"
    ]
