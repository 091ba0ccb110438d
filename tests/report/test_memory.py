"""Memory and data movement in every form: sums that add up, limits, lifetimes that do not overlap."""

from __future__ import annotations

import io
import itertools
from pathlib import Path

import pytest
from rich.console import Console

from emulab.model.record import LayerRow, Provenance, Result, RunRecord, WindowRecord
from emulab.model.scenario import load_scenario
from emulab.report import html, markdown, memory, terminal
from emulab.run.execute import evaluate_job
from emulab.run.plan import Job


@pytest.fixture(scope="module")
def record() -> RunRecord:
    """The shipped bearing network on a Cortex-M4 and, its constants in RAM, on a RISC-V board."""
    loaded = load_scenario(
        "predictive-maintenance",
        [
            "workload.model=cnn_int8.tflite",
            "robustness=null",
            "duty_cycle=null",
            "expectations=[]",
            "measure.loops=1",
            "workload.front_end=null",
        ],
    )
    results = [evaluate_job(loaded, Job(name, "unicorn")) for name in ("nucleo-l4r5zi", "hifive1-revb")]
    return RunRecord(scenario={"name": "bearing"}, provenance=Provenance(emulab="0"), results=results)


def test_flash_of_layers_and_sections_is_the_image(record: RunRecord) -> None:
    for result in record.results:
        found = memory.details(result)
        window = memory.layer_window(result)
        assert window is not None and found["flash_bytes"] == result.metrics["flash_bytes"].value
        rows = {row.symbol: row for row in window.layers}
        for layer in found["layers"]:
            assert rows[layer["symbol"]].flash_bytes == layer["code_bytes"] + layer["weight_bytes"]
        weights = sum(layer["weight_bytes"] for layer in found["layers"])
        code = sum(layer["code_bytes"] for layer in found["layers"])
        sections = found["flash_by_section"]
        assert 0 < sum(found["kernels"].values()) <= sections[".text.kernel"]
        assert 0 < code <= sections[".text.model"]
        assert 0 < weights <= sections[".rodata.model"] + sections.get(".data", 0)
        assert sum(sections.values()) == pytest.approx(found["flash_bytes"], abs=64), "padding between sections"


def test_buffers_alive_together_do_not_overlap(record: RunRecord) -> None:
    for result in record.results:
        arena = memory.details(result)["arena"]
        for a, b in itertools.combinations(arena["buffers"], 2):
            if a["first"] <= b["last"] and b["first"] <= a["last"]:
                assert a["offset"] + a["bytes"] <= b["offset"] or b["offset"] + b["bytes"] <= a["offset"]
        assert max(b["offset"] + b["bytes"] for b in arena["buffers"]) <= arena["bytes"]
        assert arena["buffers"][0]["holds"] == "input"


def test_stack_used_is_within_its_bound_and_the_bound_within_what_is_reserved(record: RunRecord) -> None:
    for result in record.results:
        found = memory.details(result)
        assert 0 < found["stack_painted_bytes"] <= found["stack_bound_bytes"] <= found["stack_reserved_bytes"]
        assert found["ram_bytes"] + found["stack_reserved_bytes"] <= found["ram_limit_bytes"]


def test_data_moved_and_waiting_add_up_to_the_window(record: RunRecord) -> None:
    for result in record.results:
        window = memory.layer_window(result)
        assert window is not None
        for region, count in window.region_reads.items():
            told = sum(row.bytes_read.get(region, 0) for row in window.layers)
            assert told == pytest.approx(count / window.inferences, abs=len(window.layers) + 1)
        stalls = sum(row.stall_cycles or 0 for row in window.layers)
        assert stalls == pytest.approx((window.stall_cycles or 0) / window.inferences)
        assert all(0 <= (r.fetch_stall_cycles or 0) <= (r.stall_cycles or 0) <= (r.cycles or 0) for r in window.layers)
        assert "the core waits" in memory.wall(result) and "bytes per multiply-accumulate" in memory.wall(result)


def test_every_form_shows_it(record: RunRecord, tmp_path: Path) -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=180)
    terminal.print_record(record, console)
    memory.print_tables(record, console)
    text = stream.getvalue()
    for words in ("fits", "RAM by tensor", "data moved per inference", "stack at most", "input", "waits"):
        assert words in text
    assert "#### Memory" in markdown.markdown(record) and "the core waits" in markdown.markdown(record)
    titles = [plot["title"] for plot in html.plots(record, tmp_path)]
    for title in ("RAM by tensor", "Where the cycles go", "Data moved"):
        assert f"{title}: nucleo-l4r5zi" in titles
    page = html.write_html(record, tmp_path).read_text()
    assert "data moved per inference" in page and "RAM left" in page


def test_layers_on_the_page_go_by_the_names_of_its_plots(record: RunRecord, tmp_path: Path) -> None:
    page = html.write_html(record, tmp_path).read_text()
    table = page.split("by layer, per inference</h2>")[1].split("</table>")[0]
    assert "<td>0_conv_2d</td>" in table and "emulab_layer_" not in table


def test_a_record_without_details_has_no_tables() -> None:
    window = WindowRecord(name="inference", start_s=0, stop_s=1, layers=[LayerRow(name="x", cycles=1)])
    bare = Result(platform="p", backend="b", status="passed", windows=[window])
    empty = RunRecord(scenario={}, provenance=Provenance(emulab="0"), results=[bare])
    assert memory.tables(empty) == [] and memory.figures(empty) == [] and memory.markdown_lines(empty) == []
    misfit = bare.model_copy(update={"message": "m.tflite: does not fit p: ram needs 9 bytes"})
    assert memory.fits(bare) == "" and memory.fits(misfit) == "no"


def test_an_image_without_layers_has_its_totals() -> None:
    window = WindowRecord(
        name="inference",
        start_s=0,
        stop_s=1,
        inferences=2,
        cycles=2000,
        stall_cycles=500,
        region_reads={"flash": 4096, "sram": 0},
        region_writes={"sram": 2048},
        cache_misses={"fetch_stall_cycles": 300},
    )
    given = Result(platform="p", backend="b", status="passed", windows=[window])
    table = memory.movement_table(given)
    assert table is not None and table.headings[1:3] == ("flash read", "sram written") and len(table.rows) == 1
    assert table.rows[0][:3] == ("inference", "2.0 KB", "1.0 KB")
    assert memory.wall(given) == (
        "the core waits 25 % of its 1,000 cycles: 15 % for instructions, 10 % for data; 3.0 KB moved"
    )


def test_a_stand_in_may_hold_what_the_board_cannot() -> None:
    """The asked board's limits count: what is over them is told with by how much."""
    found = {"flash_bytes": 30, "flash_limit_bytes": 100, "ram_bytes": 110, "stack_reserved_bytes": 10}
    over = Result(platform="p", backend="qemu", status="passed", details={"memory": {**found, "ram_limit_bytes": 100}})
    assert memory.fits(over) == "no: flash 30 %, RAM 120 %"
    under = over.model_copy(update={"details": {"memory": {**found, "ram_limit_bytes": 240}}})
    assert memory.fits(under) == "flash 30 %, RAM 50 %"


@pytest.mark.parametrize("count", [1, 2, 20, 21, 40, 63, 500])
def test_labels_of_many_layers_stay_legible(count: int) -> None:
    places = memory.legible(count)
    assert len(places) <= memory.MOST_TICKS and places == sorted(set(places))
    assert (places[0], places[-1]) == (0, count - 1)
    if len(places) > 2:
        step = places[1] - places[0]
        assert all(step <= b - a < 2 * step for a, b in itertools.pairwise(places))
