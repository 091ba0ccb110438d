"""CSV of records: one row per result and metric."""

from __future__ import annotations

import csv
import io

from emulab.model.record import RunRecord

COLUMNS = (
    "scenario",
    "platform",
    "backend",
    "variant",
    "fidelity",
    "status",
    "metric",
    "value",
    "unit",
    "kind",
    "uncertainty",
    "source",
    "reason",
)


def csv_text(record: RunRecord) -> str:
    """The record as CSV with a header row."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for result in record.results:
        head = [record.scenario.get("name", ""), result.platform, result.backend, result.variant, result.fidelity]
        head.append(result.status)
        for name, q in result.metrics.items():
            value = "" if q.value is None else repr(q.value)
            uncertainty = "" if q.uncertainty is None else repr(q.uncertainty)
            writer.writerow([*head, name, value, q.unit, q.kind, uncertainty, q.source, q.reason])
        if not result.metrics:
            writer.writerow([*head, "", "", "", "", "", "", result.message])
    return stream.getvalue()
