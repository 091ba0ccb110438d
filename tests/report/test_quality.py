"""Quality in the reports: interval, classes, confusion and groups of each model, once."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from emulab.model.record import Provenance, Result, RunRecord
from emulab.quality.evaluation import Answer, QualityResult
from emulab.report import html, markdown, memory, quality, terminal

EVIL = "<script>alert(1)</script>"


def record() -> RunRecord:
    answers = tuple(
        Answer(f"s{i}", label, values, group)
        for i, (label, values, group) in enumerate(
            [(0, (0.9, 0.1), "anna"), (0, (0.2, 0.8), "anna"), (1, (0.1, 0.9), "ben"), (1, (0.3, 0.7), "ben")]
        )
    )
    found = QualityResult("classification", "field", "m.tflite on the host (x)", ("up", EVIL), answers, 4)
    details = {"quality_accuracy_top1": found.details()}
    results = [Result(platform=p, backend="unicorn", status="passed", details=details) for p in ("a", "b")]
    return RunRecord(scenario={"name": "x"}, provenance=Provenance(emulab="0"), results=results)


def test_figures_of_a_model_that_two_boards_ran() -> None:
    tables = {table.title: table for table in quality.tables(record())}
    assert list(tables) == [
        "m.tflite: by class",
        "m.tflite: what is (down) and what it said (across)",
        "m.tflite: by group",
    ]
    assert tables["m.tflite: by class"].rows[0] == ("up", "2", "50.0 %", "100.0 %")
    assert tables["m.tflite: what is (down) and what it said (across)"].rows[0] == ("up", "1", "1")
    assert tables["m.tflite: by group"].rows == (("anna", "50.0 %"), ("ben", "100.0 %"))
    (line,) = quality.lines(record())
    assert line == "m.tflite: 75.0 %, 95 % interval 30.1 % to 95.4 %, of 4 samples of field"


def test_in_every_form(tmp_path: Path) -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=140)
    terminal.print_record(record(), console)
    memory.print_list(quality.tables(record()), console)
    assert "95 % interval 30.1 %" in stream.getvalue() and "ben" in stream.getvalue()
    assert "95 % interval" in markdown.markdown(record())
    page = html.write_html(record(), tmp_path).read_text()
    assert "m.tflite: by group" in page and EVIL not in page
