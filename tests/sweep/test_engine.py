"""Sweeps end to end: the same table on any pool, nothing lost when a worker or the driver dies."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulab.errors import InputError, ToolError
from emulab.model.platform import data_folder
from emulab.sweep.engine import JOURNAL, SweepOptions, SweepResult, sweep
from emulab.sweep.point import Task, evaluate
from emulab.sweep.pool import LocalPool, make_pool

HAR = data_folder("scenarios") / "har-wearable"
FAST = ["measure.loops=1", "measure.inferences=1", "measure.accuracy_samples=1", "measure.warmups=0"]
VARY = ["duty_cycle.period_s=4:3600:log12", "duty_cycle.battery.type=lipo-500,cr2032"]


def options(folder: Path, **more: object) -> SweepOptions:
    values: dict[str, object] = {
        "vary": VARY,
        "overrides": FAST,
        "platforms": ["nucleo-l4r5zi"],
        "workers": 1,
        "output": folder,
        "remember": False,
        **more,
    }
    return SweepOptions(**values)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> SweepResult:
    folder = tmp_path_factory.mktemp("sweep") / "serial"
    return sweep(HAR, options(folder, pareto=["battery_life_s", "energy_per_inference_j"]))


def test_table_holds_every_variant_in_order(serial: SweepResult) -> None:
    assert len(serial.rows) == 24 and not serial.errors
    assert [row["duty_cycle.battery.type"] for row in serial.rows[:3]] == ["lipo-500", "cr2032", "lipo-500"]
    lives = [row["battery_life_s"] for row in serial.rows if row["duty_cycle.battery.type"] == "lipo-500"]
    assert lives == sorted(lives) and lives[0] < lives[-1]
    assert serial.front
    assert (serial.folder / "table.csv").read_text().count("\n") == 25


def test_local_pool_gives_the_same_table(serial: SweepResult, tmp_path: Path) -> None:
    again = sweep(HAR, options(tmp_path / "pool", workers=2))
    assert again.rows == serial.rows


def test_dask_cluster_gives_the_same_table(serial: SweepResult, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed", reason="needs Dask: pip install 'emulab[distributed]'")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        again = sweep(HAR, options(tmp_path / "dask", cluster=cluster.scheduler_address))
    assert again.rows == serial.rows


def test_no_cluster_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from emulab.sweep import pool

    monkeypatch.setattr(pool.DaskPool.__init__, "__defaults__", (2.0,))
    with pytest.raises(ToolError, match="no scheduler answers"):
        make_pool(1, "tcp://127.0.0.1:9")


def test_resume_runs_only_what_is_missing(serial: SweepResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "resumed"
    folder.mkdir()
    lines = (serial.folder / JOURNAL).read_text().splitlines(keepends=True)
    (folder / JOURNAL).write_text("".join(lines[:20]) + '{"key": "torn')
    import emulab.sweep.pool as pool

    seen: list[str] = []

    def watch(tasks: list[Task]) -> list[tuple[str, dict[str, object]]]:
        seen.extend(task.key for task in tasks)
        return [(task.key, evaluate(task)) for task in tasks]

    monkeypatch.setattr(pool, "evaluate_chunk", watch)
    again = sweep(HAR, options(folder, resume=True))
    assert again.rows == serial.rows
    assert len(seen) == 24 - 19
    with pytest.raises(InputError, match="--resume"):
        sweep(HAR, options(folder))
    with pytest.raises(InputError, match="another sweep"):
        sweep(HAR, options(folder, resume=True, vary=["duty_cycle.period_s=4,5"]))


def test_kill_9_of_the_driver_then_resume(serial: SweepResult, tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    words = [sys.executable, "-m", "emulab", "sweep", str(HAR), "--platform", "nucleo-l4r5zi", "--output", str(folder)]
    words += [word for item in VARY for word in ("--vary", item)] + [w for item in FAST for w in ("--set", item)]
    process = subprocess.Popen(
        [*words, "--workers", "1", "--no-cache"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    journal = folder / JOURNAL
    while time.monotonic() < deadline and not (journal.exists() and journal.read_bytes().count(b"\n") > 4):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=120)
    again = sweep(HAR, options(folder, resume=True))
    assert again.rows == serial.rows
    keys = [json.loads(line).get("key") for line in journal.read_text().splitlines()]
    assert len(keys) == len(set(keys)) == 25


def test_equal_variants_are_remembered(serial: SweepResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMULAB_CACHE", str(tmp_path / "cache"))
    import emulab.sweep.pool as pool

    seen: list[str] = []

    def watch(tasks: list[Task]) -> list[tuple[str, dict[str, object]]]:
        seen.extend(task.key for task in tasks)
        return [(task.key, evaluate(task)) for task in tasks]

    monkeypatch.setattr(pool, "evaluate_chunk", watch)
    scenario = tmp_path / "har"
    shutil.copytree(HAR, scenario)
    first = sweep(scenario, options(tmp_path / "one", remember=True))
    assert len(seen) == 24 and first.rows == serial.rows
    assert sweep(scenario, options(tmp_path / "two", remember=True)).rows == serial.rows
    assert len(seen) == 24, "an equal sweep computes nothing"
    wider = [VARY[0], "duty_cycle.battery.type=lipo-500,cr2032,aa-lithium"]
    sweep(scenario, options(tmp_path / "wider", remember=True, vary=wider))
    assert len(seen) == 36, "a wider one only what is new"
    (scenario / "MODEL_CARD.md").write_text("changed")
    sweep(scenario, options(tmp_path / "changed", remember=True))
    assert len(seen) == 60, "a changed file is another scenario"


def kill_once(chunk: list[Task]) -> list[tuple[str, dict[str, object]]]:
    """Stands for a worker that dies: the process that meets the marked variant first kills itself."""
    marker = Path(os.environ["EMULAB_TEST_MARKER"])
    if any(task.variant["n"] == 3 for task in chunk) and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return [(task.key, {"variant": task.variant, "results": [], "status": "passed", "message": ""}) for task in chunk]


def kill_always(chunk: list[Task]) -> list[tuple[str, dict[str, object]]]:
    """A variant that takes its worker with it, every time."""
    if any(task.variant["n"] == 3 for task in chunk):
        os.kill(os.getpid(), signal.SIGKILL)
    return [(task.key, {"variant": task.variant, "results": [], "status": "passed", "message": ""}) for task in chunk]


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let spawned workers import this module's functions by a plain name."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("emulab_sweep_workers", __file__)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "emulab_sweep_workers", module)
    spec.loader.exec_module(module)
    folder = Path(__file__).parent
    link = folder / "emulab_sweep_workers.py"
    link.write_bytes(Path(__file__).read_bytes())
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    yield
    link.unlink()


@pytest.mark.parametrize(("function", "lost"), [("kill_once", 0), ("kill_always", 1)])
def test_a_dying_worker_loses_and_doubles_nothing(
    function: str, lost: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, importable: None
) -> None:
    import emulab.sweep.pool as pool

    monkeypatch.setenv("EMULAB_TEST_MARKER", str(tmp_path / "marker"))
    monkeypatch.setattr(pool, "evaluate_chunk", getattr(sys.modules["emulab_sweep_workers"], function))
    tasks = [Task(str(n), "s", (), (), (), {"n": n}) for n in range(12)]
    rows = [row for chunk in LocalPool(2).map([tasks[i : i + 3] for i in range(0, 12, 3)]) for row in chunk]
    assert sorted(int(key) for key, _ in rows) == list(range(12))
    bad = [row for _, row in rows if row["status"] == "error"]
    assert len(bad) == lost
    assert all("worker process died" in row["message"] for row in bad)


def test_a_broken_variant_is_a_row_not_the_end(tmp_path: Path) -> None:
    result = sweep(HAR, options(tmp_path / "s", vary=["duty_cycle.period_s=-1,60"]))
    assert [row["status"] for row in result.rows] == ["error", "passed"]
    assert "duty_cycle.period_s" in result.rows[0]["message"]


def test_parquet_and_query(serial: SweepResult) -> None:
    pytest.importorskip("duckdb", reason="needs DuckDB: pip install 'emulab[sweep]'")
    from emulab.sweep.table import query

    assert (serial.folder / "table.parquet").stat().st_size > 0
    assert query(serial.folder, "select count(*) from sweep") == [(24,)]
    with pytest.raises(InputError, match="query:"):
        query(serial.folder, "select nothing from nowhere")
