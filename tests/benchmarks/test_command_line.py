"""Speed and memory of the command line and of the main job, as ratios or against stated budgets of one run."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from emulab.model.platform import data_folder

HAR = data_folder("scenarios") / "har-wearable"


def test_help_starts_like_python_itself(timed: Any) -> None:
    """``emulab --help`` in 0.3 s: told as a multiple of starting Python at all, which takes some 20 to 40 ms."""

    def seconds(code: str) -> float:
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, timeout=60)
        return time.perf_counter() - begin

    bare = min(seconds("pass") for _ in range(5))
    call = (
        "import sys; sys.argv = ['emulab', '--help']; from emulab.cli import main\ntry: main()\nexcept SystemExit: pass"
    )
    timed.pedantic(lambda: seconds(call), rounds=5)
    shown = min(seconds(call) for _ in range(5))
    timed.extra_info.update(bare_s=bare, help_s=shown, ratio=shown / bare)
    assert shown / bare < 8


def main_job(folder: Path, *more: str, **environment: str) -> tuple[float, float]:
    """(wall seconds, peak MB) of the main job in a process of its own."""
    code = (
        "import sys; from pathlib import Path; from emulab.cli import main; code = main(sys.argv[1:]);"
        "high = [x for x in Path('/proc/self/status').read_text().splitlines() if x.startswith('VmHWM')];"
        "print(high[0].split()[1]); raise SystemExit(code)"
    )
    words = [sys.executable, "-c", code, "run", str(HAR), "--output", str(folder), *more]
    begin = time.perf_counter()
    done = subprocess.run(
        words, env={**os.environ, **environment}, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    return time.perf_counter() - begin, int(done.stdout.splitlines()[-1]) / 1024


def test_memory_of_the_main_job(tmp_path: Path) -> None:
    """Everything is run anew (compilers are processes of their own): under 500 MB."""
    assert main_job(tmp_path / "run", "--no-cache")[1] < 500


@pytest.mark.slow
def test_main_job_cold_and_warm(timed: Any, tmp_path: Path) -> None:
    """Cold (nothing cached) under 60 s, warm under 5 s, under 500 MB; told as the ratio of warm to cold."""
    cache = str(tmp_path / "cache")
    cold, memory_mb = main_job(tmp_path / "cold", EMULAB_CACHE=cache)
    timed.pedantic(lambda: main_job(tmp_path / "warm", EMULAB_CACHE=cache), rounds=1)
    warm, _ = main_job(tmp_path / "again", EMULAB_CACHE=cache)
    timed.extra_info.update(cold_s=cold, warm_s=warm, memory_mb=memory_mb, ratio=warm / cold)
    assert warm < 0.35 * cold
    assert memory_mb < 500


@pytest.mark.slow
def test_energy_only_sweep(timed: Any, tmp_path: Path) -> None:
    """10 000 variants of a duty cycle in 60 s on two processes: told per variant, beside one emulated measurement."""
    from emulab.sweep.engine import SweepOptions, sweep

    fast = ["measure.loops=1", "measure.inferences=1", "measure.accuracy_samples=1", "measure.warmups=0"]

    def seconds(name: str, count: int) -> float:
        vary = [f"duty_cycle.period_s=4:3600:log{count}"]
        begin = time.perf_counter()
        result = sweep(
            HAR,
            SweepOptions(
                vary=vary,
                overrides=fast,
                platforms=["nucleo-l4r5zi"],
                output=tmp_path / name,
                workers=2,
                remember=False,
            ),
        )
        assert len(result.rows) == count and not result.errors
        return time.perf_counter() - begin

    first = seconds("first", 8)
    timed.pedantic(lambda: seconds("second", 8), rounds=1)
    few, many = seconds("few", 200), seconds("many", 2200)
    per_variant_s = (many - few) / 2000
    timed.extra_info.update(measurement_s=first, per_variant_s=per_variant_s, ten_thousand_s=per_variant_s * 10_000)
    assert per_variant_s * 10_000 < 60
