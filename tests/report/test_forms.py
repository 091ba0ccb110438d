"""Every form of a record: complete, escaped, and honest about what is missing."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console

from emulab.cli import main
from emulab.errors import InputError, ToolError
from emulab.model.quantity import Quantity, unavailable
from emulab.model.record import (
    ExpectationResult,
    LayerRow,
    Provenance,
    Result,
    RunRecord,
    WindowRecord,
    read_record,
)
from emulab.report import html, junit, markdown, table, terminal
from emulab.report.metrics import expectation_bound
from emulab.report.units import duration, engineering, show, size

EVIL = "<script>alert(1)</script>|`x`\n]]>"


@pytest.fixture
def record() -> RunRecord:
    window = WindowRecord(
        name="inference",
        start_s=1.0,
        stop_s=1.1,
        inferences=2,
        cycles=1000,
        instructions=800,
        layers=[LayerRow(name="CONV_2D", symbol="emulab_layer_0_conv_2d", cycles=400.0, instructions=300, macs=200)],
    )
    good = Result(
        platform="board-a",
        backend="unicorn",
        status="failed",
        metrics={
            "latency_s": Quantity(value=0.05, unit="s", kind="modelled", source=EVIL),
            "accuracy_top1": unavailable("1", f"no inputs {EVIL}"),
            "flash_bytes": Quantity(value=2048, unit="B", kind="emulated"),
        },
        windows=[window],
        artifacts={"current_trace": "trace.csv"},
        notes=[EVIL],
        details={"energy_by_component_j": {"core": 1e-3}},
    )
    bad = Result(platform="board-b", backend="qemu", status="unavailable", message=f"not here {EVIL}")
    broken = ExpectationResult(
        metric="latency_s", target="board-a/unicorn", bound="max 0.01 s", value=0.05, status="failed", message=EVIL
    )
    return RunRecord(
        scenario={"name": EVIL, "title": ""},
        provenance=Provenance(emulab="0", started_at="2026-01-01T00:00:00+00:00"),
        results=[good, bad],
        expectations=[broken],
    )


def test_html_is_self_contained_and_escaped(record: RunRecord, tmp_path: Path) -> None:
    (tmp_path / "trace.csv").write_text("Timestamp(ms),Current(uA),Min(uA),Max(uA)\n0,1,1,2\n1,1000,1000,1000\n")
    text = html.write_html(record, tmp_path).read_text()
    assert "<script>alert" not in text
    assert "http://" not in text and "https://" not in text
    assert (tmp_path / "plotly.min.js").stat().st_size > 1_000_000
    data = text.split('id="plot-data">')[1].split("</script>")[0]
    titles = [p["title"] for p in html.plots(record, tmp_path)]
    assert len(json.loads(data)) == len(titles) == 4
    assert "Current over one duty cycle: board-a" in titles


def test_markdown_escapes_and_puts_broken_first(record: RunRecord) -> None:
    text = markdown.markdown(record)
    assert "<script>" not in text
    assert "❌ broken" in text
    assert all(line.count("|") == line.count("\\|") + 4 for line in text.splitlines() if line.startswith("| latency"))
    assert markdown.workflow_commands(record)[0].startswith("::error title=latency_s on board-a/unicorn::")
    assert all("\n" not in line for line in markdown.workflow_commands(record))


def test_names_of_metrics_are_text_too(record: RunRecord, tmp_path: Path) -> None:
    """A scenario may ask for a metric of any name, and a plug-in may give one."""
    evil = "<script>alert(1)</script>[red]"
    asked = record.expectations[0].model_copy(update={"metric": evil})
    result = record.results[0].model_copy(update={"metrics": {evil: Quantity(value=1.0)}})
    named = record.model_copy(update={"expectations": [asked], "results": [result]})
    assert "<script>" not in markdown.markdown(named)
    assert "<script>alert(1)" not in html.write_html(named, tmp_path).read_text()
    screen = Console(width=200, record=True, file=io.StringIO())
    terminal.print_record(named, screen)
    assert screen.export_text().count(evil) == 2


def test_markdown_fits_a_comment(record: RunRecord) -> None:
    many = record.model_copy(update={"expectations": record.expectations * 2000})
    assert len(markdown.markdown(many)) <= markdown.LIMIT


def test_junit_is_xml_with_the_failure(record: RunRecord) -> None:
    root = ElementTree.fromstring(junit.junit(record))
    suites = root.findall("testsuite")
    assert [s.get("name") for s in suites] == ["board-a/unicorn", "board-b/qemu"]
    assert suites[0].get("failures") == "1" and suites[0].find("testcase/failure") is not None
    assert suites[1].find("testcase/skipped") is not None
    names = {p.get("name"): p.get("value") for p in suites[0].iter("property")}
    assert names["latency_s [modelled]"] == "0.05"


def test_junit_drops_what_xml_cannot_hold(record: RunRecord) -> None:
    result = record.results[1].model_copy(update={"message": "bell \x07 nul \x00", "status": "error"})
    ElementTree.fromstring(junit.junit(record.model_copy(update={"results": [result]})))


def test_csv_has_one_row_per_metric(record: RunRecord) -> None:
    rows = list(csv.DictReader(io.StringIO(table.csv_text(record))))
    assert [row["metric"] for row in rows] == ["latency_s", "accuracy_top1", "flash_bytes", ""]
    assert rows[0]["value"] == "0.05" and rows[1]["value"] == ""


def test_terminal_says_why_something_is_missing(record: RunRecord) -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=160)
    terminal.print_record(record, console)
    terminal.print_layers(record, console)
    text = stream.getvalue()
    assert "50 ms" in text and "unavailable (board-a)" in text and "not here" in text
    assert "broken" in text and "emulab_layer_0_conv_2d" in text


def test_record_round_trip_and_its_errors(record: RunRecord, tmp_path: Path) -> None:
    record.write(tmp_path)
    assert read_record(tmp_path) == record
    assert [f.name for f in tmp_path.iterdir()] == ["run.json"]
    (tmp_path / "run.json").write_text('{"schema_version": 99}')
    with pytest.raises(InputError, match="version 99 is newer"):
        read_record(tmp_path)
    (tmp_path / "run.json").write_text("{")
    (tmp_path / "empty.json").touch()
    with pytest.raises(InputError, match="not a run record: the file is empty"):
        read_record(tmp_path / "empty.json")
    with pytest.raises(InputError, match="not a run record"):
        read_record(tmp_path)
    with pytest.raises(InputError, match="no run record there"):
        read_record(tmp_path / "absent")


def test_a_full_disk_leaves_nothing_half_written(
    record: RunRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    record.write(tmp_path)
    before = (tmp_path / "run.json").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(ToolError, match=r"run\.json: cannot be written: No space left on device"):
        record.write(tmp_path)
    assert [f.name for f in tmp_path.iterdir()] == ["run.json"]
    assert (tmp_path / "run.json").read_bytes() == before


def test_units_for_people() -> None:
    assert engineering(0.01234, "s") == "12.34 ms"
    assert engineering(0, "A") == "0 A"
    assert engineering(1.2e-13, "J") == "1.2e-13 J"
    assert engineering(999.99999, "Hz").endswith("Hz")
    assert size(100) == "100 B" and size(2048) == "2.0 KB" and size(3 << 20) == "3.00 MB"
    assert duration(3 * 365.25 * 86400) == "3.0 years" and duration(3.4 * 86400) == "3.4 days"
    assert show("accuracy_top1", Quantity(value=0.901, unit="1")) == "90.1 %"


def test_several_forms_at_once(record: RunRecord, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record.write(tmp_path)
    assert main(["report", str(tmp_path), "--format", "html,markdown,junit,csv"]) == 0
    names = [Path(line).name for line in capsys.readouterr().out.split()]
    assert names == ["report.html", "report.md", "junit.xml", "report.csv"]
    assert all((tmp_path / name).stat().st_size > 100 for name in names)
    assert main(["report", str(tmp_path), "--format", "html,pdf"]) == 2
    assert "expected one of table, html" in capsys.readouterr().err


def test_a_limit_is_told_in_the_unit_of_its_metric(record: RunRecord) -> None:
    broken = record.expectations[0]
    known = record.results[0].metrics | {"accuracy_top1": Quantity(value=0.9, unit="1", kind="emulated")}
    shown = record.model_copy(
        update={"results": [record.results[0].model_copy(update={"metrics": known}), record.results[1]]}
    )
    same = {"update": {"metric": "accuracy_top1", "bound": "min 0.8"}}
    assert expectation_bound(shown, broken) == "max 10 ms"
    assert expectation_bound(shown, broken.model_copy(**same)) == "min 80.0 %"
    # what is relative, or of no result, stays in its own words
    relative = broken.model_copy(update={"bound": "within 5 % of published", "of": "published"})
    assert expectation_bound(shown, relative) == "within 5 % of published"
    assert expectation_bound(shown, broken.model_copy(update={"metric": "none"})) == "max 0.01 s"


def test_many_targets_are_told_in_tables_that_fit(record: RunRecord) -> None:
    """Beside each other while there is room; each value whole, each target once, each reason once."""
    first = record.results[0]
    gone = unavailable("J", "platform 'board-00' has no power data")
    results = []
    for n in range(12):
        reason = gone.reason.replace("board-00", f"board-{n:02d}")
        metrics = {
            **first.metrics,
            "energy_per_inference_j": unavailable("J", reason),
            "battery_life_s": unavailable("s", reason),
        }
        results.append(first.model_copy(update={"platform": f"board-{n:02d}", "metrics": metrics, "message": ""}))
    many = record.model_copy(update={"results": results, "expectations": []})
    for width in (40, 80, 120):
        stream = io.StringIO()
        terminal.print_record(many, Console(file=stream, width=width))
        text = stream.getvalue()
        lines = [line for line in text.splitlines() if line[:1] in "┃│"]
        assert lines and max(map(len, lines)) <= width and "…" not in text
        assert text.count("50 ms modelled") == text.count("2.0 KB emulated") == 12
        heads = " ".join(line for line in lines if "board-" in line)
        assert [heads.count(f"board-{n:02d}") for n in range(12)] == [1] * 12
        said = " ".join(text.split())
        assert said.count("energy / inference, battery life: the platform has no power data") == 1


def test_commands_in_a_description_are_set_as_code(record: RunRecord, tmp_path: Path) -> None:
    described = record.model_copy(
        update={"scenario": {"name": "x", "description": "run `emulab <b> pull`, or a ` alone"}}
    )
    text = html.write_html(described, tmp_path).read_text()
    assert "<p>run <code>emulab &lt;b&gt; pull</code>, or a ` alone</p>" in text
