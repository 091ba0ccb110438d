"""The main job end to end on the embedded backend: real model, two boards, record, artifacts, and what can go wrong."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emulab.cli import main
from emulab.model.platform import data_folder
from emulab.model.record import RunRecord, read_record

HAR = data_folder("scenarios") / "har-wearable"
SHORT = ["--set", "measure.loops=1", "--set", "measure.accuracy_samples=1", "--set", "measure.inferences=1"]


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("har") / "run"
    assert main(["run", str(HAR), "--output", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def record(run_folder: Path) -> RunRecord:
    return read_record(run_folder)


def test_both_boards_give_every_figure(record: RunRecord) -> None:
    assert [r.platform for r in record.results] == ["nucleo-l4r5zi", "hifive1-revb"]
    for result in record.results:
        assert result.status == "passed"
        for metric in (
            "latency_s",
            "cycles",
            "instructions",
            "energy_per_inference_j",
            "flash_bytes",
            "ram_bytes",
            "stack_bytes",
            "accuracy_top1",
            "accuracy_top1_golden",
            "battery_life_s",
        ):
            quantity = result.metrics[metric]
            assert quantity.value is not None and quantity.value > 0, f"{result.platform} {metric}: {quantity.reason}"


def test_figures_hang_together(record: RunRecord) -> None:
    clocks = {"nucleo-l4r5zi": 120e6, "hifive1-revb": 16e6}
    for result in record.results:
        metrics = {name: q.value for name, q in result.metrics.items() if q.value is not None}
        assert metrics["cycles"] / clocks[result.platform] == pytest.approx(metrics["latency_s"], rel=0.005)
        assert metrics["power_w"] * metrics["latency_s"] == pytest.approx(metrics["energy_per_inference_j"], rel=1e-9)
        window = result.windows[0]
        layers = [row for row in window.layers if row.symbol]
        assert sum(row.macs or 0 for row in layers) > 100_000
        assert sum(row.cycles or 0 for row in layers) > 0.95 * metrics["cycles"]
        assert all((row.stall_cycles or 0) <= (row.cycles or 0) for row in window.layers)
        assert metrics["agreement_host"] == 1.0


def test_artifacts_are_there(run_folder: Path, record: RunRecord) -> None:
    assert (run_folder / "report.html").stat().st_size > 10_000
    for result in record.results:
        console = (run_folder / result.artifacts["console"]).read_text()
        assert "m-ready" in console and "name%" in console
        trace = (run_folder / result.artifacts["current_trace"]).read_text().splitlines()
        assert trace[0].startswith("Timestamp(ms)") and len(trace) > 1000


def comparable(record: RunRecord) -> dict[str, Any]:
    data = json.loads(record.model_dump_json())
    for key in ("started_at", "wall_s", "command"):
        data["provenance"].pop(key)
    return data


def test_two_runs_without_cache_give_the_same_record(tmp_path: Path) -> None:
    records = []
    for name in ("one", "two"):
        words = ["run", str(HAR), "--output", str(tmp_path / name), "--no-cache", "--no-html", *SHORT]
        assert main(words) == 0
        records.append(comparable(read_record(tmp_path / name)))
    assert records[0] == records[1]


def test_cache_gives_the_same_record_as_a_fresh_run(tmp_path: Path) -> None:
    for name, more in (("fresh", ["--no-cache"]), ("cached", []), ("again", [])):
        words = ["run", str(HAR), "--platform", "nucleo-l4r5zi", "--output", str(tmp_path / name), "--no-html"]
        assert main([*words, *more, *SHORT]) == 0
    fresh, cached, again = (comparable(read_record(tmp_path / name)) for name in ("fresh", "cached", "again"))
    assert fresh == cached == again


def test_a_broken_expectation_is_exit_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", str(HAR), "--platform", "nucleo-l4r5zi", "--output", str(tmp_path / "run"), "--no-html", *SHORT]
    assert main([*words, "--set", "expectations=[{metric: latency_s, max: 0.000001}]"]) == 1
    assert "broken" in capsys.readouterr().out
    assert read_record(tmp_path / "run").results[0].status == "failed"


def one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = main(words)
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    return code, error


def scenario_with(folder: Path, **files: bytes) -> Path:
    shutil.copytree(HAR, folder)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_bytes(content)
    return folder


def test_model_that_is_no_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = scenario_with(tmp_path / "s", har_int8__tflite=b"not a model")
    code, error = one_line(["run", str(folder), "--output", str(tmp_path / "run")], capsys)
    assert code == 2 and "har_int8.tflite" in error
    assert not (tmp_path / "run").exists()


def test_images_that_are_broken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    elf = tmp_path / "cut.elf"
    elf.write_bytes(b"\x7fELF\x01\x01\x01" + bytes(30))
    image = tmp_path / "sum.hex"
    image.write_text(":10010000214601360121470136007EFE09D2190141\n:00000001FF\n")
    for file in (elf, image, tmp_path / "absent.elf"):
        words = [
            "run",
            str(HAR),
            "--platform",
            "nucleo-l4r5zi",
            "--firmware",
            str(file),
            "--output",
            str(tmp_path / "r"),
        ]
        code, error = one_line(words, capsys)
        assert code == 2 and file.name in error


def test_a_model_too_large_is_refused_with_its_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], assets: Path
) -> None:
    model = assets / "mlperf-tiny/models/vww_96_int8.tflite"
    words = ["build", str(model), "--platform", "hifive1-revb", "--output", str(tmp_path / "x.elf")]
    code, error = one_line(words, capsys)
    assert code == 2 and "ram needs" in error and "16384" in error
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/proc/self").exists(), reason="needs an unwritable place")
def test_output_that_cannot_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    code, error = one_line(["run", str(HAR), "--output", "/proc/emulab-run"], capsys)
    assert code == 3 and "choose another --output" in error


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="looks at processes through /proc")
@pytest.mark.parametrize("moment", ["compilation", "emulation"])
def test_ctrl_c_is_one_line_and_leaves_nothing(tmp_path: Path, moment: str) -> None:
    runs = tmp_path / "runs-here"
    words = [sys.executable, "-m", "emulab", "run", str(HAR), "--output", str(runs / "run"), "--no-cache"]
    # Long enough for the signal to come while it emulates, however late it is sent.
    words += ["--platform", "hifive1-revb", "--set", "measure.loops=1000", "--set", "measure.inferences=1000"]
    environment = dict(os.environ)
    if moment == "compilation":
        environment["EMULAB_CACHE"] = str(tmp_path / "cache")
    process = subprocess.Popen(
        words, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )
    try:
        wait_for(lambda: (children if moment == "compilation" else emulates)(process.pid), process)
        os.killpg(process.pid, signal.SIGINT)
        _, error = process.communicate(timeout=60)
        wait_for(lambda: not of_group(process.pid), None)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 130
    assert error.strip() == "emulab: interrupted"
    assert not runs.exists()


def test_a_full_disk(tmp_path: Path) -> None:
    """What no longer fits is one line and nothing half-written; a limit on file size stands for the full disk."""
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000));"
        "from emulab.cli import main; sys.exit(main())"
    )
    words = [sys.executable, "-c", code, "run", str(HAR), "--platform", "nucleo-l4r5zi", "--no-html", *SHORT]
    done = subprocess.run(
        [*words, "--output", str(tmp_path / "run")], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 3 and done.stderr.count("\n") == 1
    assert "File too large" in done.stderr
    assert not list(tmp_path.rglob("*.json")) and not list(tmp_path.rglob(".*"))


def wait_for(ready: Callable[[], object], process: subprocess.Popen[str] | None) -> None:
    """Wait until *ready*, as long as a loaded host may need; fail at once when *process* ends before."""
    deadline = time.monotonic() + 120
    while not ready():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def of_group(group: int) -> list[int]:
    """Live processes of a process group."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state != "Z":
                found.append(int(stat.parent.name))
    return found


def children(pid: int) -> bool:
    return len(of_group(pid)) > 1


def emulates(pid: int) -> bool:
    """Whether a session is open: the probe in C is loaded for it."""
    try:
        return "/probe/" in Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        return False
