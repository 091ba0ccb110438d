"""Planning jobs, folding profiles onto layers, baselines."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from emulab.errors import InputError
from emulab.model.base import validate
from emulab.model.record import LayerRow, Provenance, Result, RunRecord, WindowRecord
from emulab.model.scenario import LoadedScenario, Scenario
from emulab.probe.profile import BlockCount, Profile, RegionCount, WindowProfile
from emulab.run.baseline import check_lasting, diff, update_baseline
from emulab.run.layers import SymbolMap, fold, layer_rows
from emulab.run.plan import Job, plan


def scenario(targets: list[dict[str, list[str]]]) -> Scenario:
    return validate(Scenario, {"name": "s", "workload": {"name": "w", "model": "m"}, "targets": targets}, "test")


def test_matrix_narrowed_and_replaced() -> None:
    two = scenario([{"platforms": ["a", "b"], "backends": ["unicorn", "qemu"]}, {"platforms": ["c"]}])
    assert plan(two) == [
        Job("a", "unicorn"),
        Job("a", "qemu"),
        Job("b", "unicorn"),
        Job("b", "qemu"),
        Job("c", "unicorn"),
    ]
    assert plan(two, ["b"]) == [Job("b", "unicorn"), Job("b", "qemu")]
    assert plan(two, ["new"], ["hardware:ppk2"]) == [Job("new", "hardware", "ppk2")]
    assert plan(two, ["c"], ["qemu"]) == [Job("c", "qemu")]
    assert plan(two, ["new"]) == [Job("new", "unicorn"), Job("new", "qemu")]
    with pytest.raises(InputError, match="--backend"):
        plan(two, [], [":x"])


@dataclass(frozen=True)
class Layer:
    symbol: str
    op: str
    macs: int
    flash_bytes: int = 64


def window(name: str, start_s: float, cycles: int, instructions: int) -> WindowProfile:
    regions = {"flash": RegionCount(reads=2, bytes_read=8), "ram": RegionCount()}
    return WindowProfile(
        name, 0, start_s, start_s + 1, 1, Profile(cycles=cycles, instructions=instructions, regions=regions)
    )


def test_layers_come_in_model_order_and_sum_to_the_profile() -> None:
    layers = [Layer("emulab_layer_0_a", "A", 5), Layer("emulab_layer_1_b", "B", 6)]
    seen = [window("layer:0", 0, 50, 40), window("layer:1", 1, 8, 8), window("layer:0", 2, 60, 40)]
    rows = layer_rows(Profile(cycles=200, instructions=100, stall_cycles=0), seen, layers, inferences=2)
    assert [r.symbol or r.name for r in rows] == ["emulab_layer_0_a", "emulab_layer_1_b", "(between layers)"]
    assert rows[0].cycles == 55 and rows[0].instructions == 40 and rows[0].bytes_read == {"flash": 8}
    assert sum(r.cycles or 0 for r in rows) == 100
    seen += [window("front_end", 0, 30, 6), window("front_end", 1, 34, 6)]
    rows = layer_rows(Profile(cycles=200, instructions=100, stall_cycles=0), seen, layers, inferences=2)
    assert [r.name for r in rows] == ["(front end)", "A", "B", "(between layers)"]
    assert rows[0].cycles == 32 and sum(r.cycles or 0 for r in rows) == 100


def test_functions_come_by_weight_and_sum_to_the_profile() -> None:
    symbols = SymbolMap([("small", 0x201, 0x10), ("entry", 0x101, 0x40), ("kernel", 0x301, 0x100)])
    profile = Profile(
        blocks=(
            BlockCount(0x100, 8, 4, count=10, cycles=50),
            BlockCount(0x110, 8, 4, count=2, cycles=10, stall_cycles=4),
            BlockCount(0x200, 8, 2, count=1, cycles=1),
            BlockCount(0x310, 8, 2, count=100, cycles=10000),
            BlockCount(0x900, 8, 1, count=2, cycles=2),
        )
    )
    rows = fold(profile, symbols, inferences=2)
    assert [r.name for r in rows] == ["kernel", "entry", "(other)"]
    assert rows[1].cycles == 30 and rows[1].instructions == 24 and rows[1].stall_cycles == 2
    assert sum(r.cycles or 0 for r in rows) == sum(b.cycles for b in profile.blocks) / 2


def test_symbol_map_knows_its_gaps() -> None:
    symbols = SymbolMap([("f", 0x101, 0x10), ("g", 0x200, 0)])
    assert symbols.at(0x10F) == "f" and symbols.at(0x110) == "" and symbols.at(0x50) == "" and symbols.at(0x999) == "g"


def record(cycles: int, layer_cycles: float, reads: int = 10) -> RunRecord:
    window = WindowRecord(
        name="inference",
        start_s=0,
        stop_s=1,
        cycles=cycles,
        region_reads={"flash": reads},
        layers=[LayerRow(name="A", symbol="emulab_layer_0_a", cycles=layer_cycles, instructions=int(layer_cycles))],
    )
    from emulab.model.quantity import Quantity

    metrics = {"cycles": Quantity(value=cycles, unit="cycle", kind="modelled")}
    result = Result(platform="p", backend="unicorn", status="passed", metrics=metrics, windows=[window])
    return RunRecord(scenario={"name": "s"}, provenance=Provenance(emulab="0"), results=[result])


def test_diff_names_metric_layer_and_region() -> None:
    assert diff(record(100, 80), record(100, 80)) == []
    changes = [str(c) for c in diff(record(100, 80), record(101, 81, reads=14))]
    assert changes[0] == "p/unicorn: cycles: 100 -> 101 (+1.00%)"
    assert "p/unicorn: instructions in emulab_layer_0_a: 80 -> 81 (+1.25%)" in changes
    assert "p/unicorn: bytes read in flash: 10 -> 14 (+40.00%)" in changes


def test_no_baseline_is_left_inside_the_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import emulab

    package = tmp_path / "site-packages/emulab"
    monkeypatch.setattr(emulab, "__file__", str(package / "__init__.py"))
    shipped = package / "_data/scenarios/s/scenario.yaml"
    one = scenario([{"platforms": ["p"]}])
    with pytest.raises(InputError, match=r"installed package.*--set baseline="):
        check_lasting(LoadedScenario(one, shipped, {}))
    check_lasting(LoadedScenario(one, tmp_path / "project/scenario.yaml", {}))
    check_lasting(LoadedScenario(one.model_copy(update={"baseline": str(tmp_path / "b.json")}), shipped, {}))


def test_baseline_keeps_other_targets_and_refuses_errors(tmp_path: Path) -> None:
    loaded = LoadedScenario(scenario([{"platforms": ["p"]}]), tmp_path / "scenario.yaml", {})
    first = record(100, 80)
    file = update_baseline(loaded, first)
    other = first.model_copy(update={"results": [first.results[0].model_copy(update={"platform": "q"})]})
    update_baseline(loaded, other)
    from emulab.model.record import read_record

    assert [r.platform for r in read_record(file).results] == ["q", "p"]
    assert diff(read_record(file), first) == []
    bad = first.model_copy(update={"results": [Result(platform="p", backend="unicorn", status="error", message="x")]})
    with pytest.raises(InputError, match="not updated"):
        update_baseline(loaded, bad)
