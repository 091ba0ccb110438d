"""End to end without a board: the emulated keyword spotter on a simulated bench, measured by the hardware backend."""

from __future__ import annotations

import os
import statistics
import sys
from pathlib import Path

import pytest

from emulab.backends.base import SessionOptions
from emulab.backends.hardware import HardwareBackend
from emulab.dut import AccuracySample, DutClient, accuracy, energy, performance
from emulab.lab.bench.imperfection import Imperfection
from emulab.model.platform import load_platform

ASSETS = Path(os.environ.get("EMULAB_ASSETS", "/nonexistent"))
MODEL = ASSETS / "mlperf-tiny" / "models" / "kws_ref_model.tflite"
INPUTS = ASSETS / "mlperf-tiny" / "eval" / "kws01"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not MODEL.is_file(), reason="no kws model; set EMULAB_ASSETS, or: emulab assets pull"),
    pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals need a POSIX system"),
    pytest.mark.usefixtures("steady_clock"),
]
FLAWED = Imperfection(noise=0.01, drift=0.002, lost=0.01, clock_ppm=50, seed=11)
BOARD = "nucleo-l4r5zi"


def firmware(mode: str):
    from emulab.firmware.build import BuildOptions, build

    platform = load_platform(BOARD).platform
    return platform, build(MODEL, platform, options=BuildOptions(model_id="kws01", mode=mode)).image


def inputs(count: int) -> list[tuple[str, bytes]]:
    return [(f.name, f.read_bytes()) for f in sorted(INPUTS.glob("*.bin"))[:count]]


def emulated_latency_s(image, platform) -> float:
    from emulab.backends.base import load_backend

    with load_backend("unicorn").open(platform, image, SessionOptions(profile=False)) as session:
        client = DutClient(session.console, session.clock, 120.0)
        client.sync()
        return performance(client, [inputs(1)[0][1]], loops=1, inferences=2, warmups=1).latency_s


def test_performance_and_accuracy():
    from emulab.run.bench_sim import BenchOptions, bench_sim

    platform, image = firmware("performance")
    expected = emulated_latency_s(image, platform)
    with bench_sim(platform, image, BenchOptions(monitors=())) as bench:
        options = SessionOptions(extra={"serial": bench.console_url})
        with HardwareBackend().open(platform, image, options) as session:
            client = DutClient(session.console, session.clock, 120.0)
            client.sync()
            assert client.profile()[1] == "kws01"
            found = performance(client, [inputs(1)[0][1]], loops=2, inferences=4, warmups=1)
            samples = [AccuracySample(name, data) for name, data in inputs(5)]
            outputs = accuracy(client, samples)
    assert found.latency_s == pytest.approx(expected, rel=1e-3)
    right = [int(o.name.rsplit("_", 1)[1].removesuffix(".bin")) == o.results.index(max(o.results)) for o in outputs]
    assert sum(right) >= 4


@pytest.mark.parametrize("monitor", ["ppk2", "lpm01a"])
def test_energy(monitor):
    from emulab.run.bench_sim import BenchOptions, bench_sim

    platform, image = firmware("energy")
    options = BenchOptions(monitors=(monitor,), imperfection=FLAWED)
    # The LPM01A says once a second how many samples it should have sent, and not which of them were lost: an edge is
    # known to 14 ms at worst where 1 % are lost, so its windows are longer.
    loops, count = (3, 20) if monitor == "ppk2" else (2, 60)
    with bench_sim(platform, image, options) as bench:
        extra = {"serial": bench.console_url, "power": f"{monitor}:{bench.monitors[monitor]},voltage_v=3"}
        with HardwareBackend().open(platform, image, SessionOptions(extra=extra)) as session:
            client = DutClient(session.console, session.clock, 120.0)
            client.sync()
            pin = platform.board.timestamp_pin
            result, trace = energy(
                session, client, [inputs(1)[0][1]], loops=loops, inferences=count, warmups=1, pin=pin
            )
        edges = bench.player.falling_edges()[-2 * loops :]
        played = [bench.player.charge(*edges[i : i + 2]) * 3 / count for i in range(0, 2 * loops, 2)]
        lengths = [(edges[i + 1] - edges[i]) / count for i in range(0, 2 * loops, 2)]
    assert result.alignment == "gpio edges seen by the power monitor"
    assert trace.lost_samples > 0
    assert result.energy_per_inference_j == pytest.approx(statistics.median(played), rel=0.01)
    slack = 1e-3 * result.latency_s if monitor == "ppk2" else 2 * 0.014 / count
    assert result.latency_s == pytest.approx(statistics.median(lengths), abs=slack)
