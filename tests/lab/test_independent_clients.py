"""Programs of others, unmodified, against the simulated bench: what they read is what the bench plays.

pyserial's terminal on the board, Nordic's protocol by ``ppk2-api``, Qoitech's by ``otii-tcp-client``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest

from emulab.lab.bench.bench import Bench
from emulab.lab.bench.imperfection import Imperfection

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "dut"))
from fakes import FakeClock, FakeDut

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals need a POSIX system")
QUIET = Imperfection(noise=0.01, drift=0.0)


class FakeSession:
    """A scripted DUT as the session that the bench plays."""

    power_meter = None

    def __init__(self, **options: Any) -> None:
        self.console = FakeDut(clock=FakeClock(), **options)
        self.clock = self.console.clock

    def gpio_edges(self, pin: str) -> list[Any]:
        return [edge for edge in self.console.edges if edge.pin == pin]


def bench_of(*monitors: str, **options: Any) -> Bench:
    return Bench(FakeSession(**options), pin="PA9", monitors=monitors, imperfection=QUIET, idle_a=0.0042)


def test_pyserial_terminal() -> None:
    """``python -m serial.tools.miniterm`` on the bench's port: what is typed arrives, what the board says is shown."""
    import pty

    with bench_of() as bench:
        master, slave = pty.openpty()
        command = [sys.executable, "-m", "serial.tools.miniterm", "--raw", bench.console_url, "115200"]
        terminal = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave)
        try:
            shown, deadline, typed = "", time.monotonic() + 60.0, False
            os.set_blocking(master, False)
            while "m-model-[kws01]" not in shown and time.monotonic() < deadline:
                try:
                    shown += os.read(master, 4096).decode("ascii", "replace")
                except BlockingIOError:
                    time.sleep(0.02)
                if "Miniterm on" in shown and not typed:
                    typed = True
                    os.write(master, b"name%profile%")
        finally:
            terminal.kill()
            terminal.wait(10)
            os.close(master)
            os.close(slave)
    assert "m-name-dut-[" in shown and "m-model-[kws01]" in shown, shown


def test_ppk2_api() -> None:
    """Calibration, supply and 100 000 samples a second of 4.2 mA, none of them lost by the bench."""
    module = pytest.importorskip("ppk2_api.ppk2_api", reason="pip install ppk2-api")
    with bench_of("ppk2") as bench:
        client = module.PPK2_API(bench.monitors["ppk2"])
        assert any(client.get_modifiers() for _ in range(10))  # it waits half a second for an answer
        client.use_source_meter()
        client.set_source_voltage(3000)
        client.toggle_DUT_power("ON")
        client.start_measuring()
        samples: list[float] = []
        # It decodes in Python, slower than 100 000 samples a second on a small machine, and a pseudo-terminal gives it
        # 4095 bytes at a time: what waits meanwhile must still come, whole, when it goes on reading.
        sim: Any = bench.sims["ppk2"]
        end = time.monotonic() + 600.0  # a loaded host is slow, not wrong
        while sim.sent <= 30_000 and time.monotonic() < end:
            if data := client.get_data():  # it takes an empty read for a sample's other half
                samples += client.get_samples(data)[0]
        client.stop_measuring()
        while (sim.measuring or len(samples) + 1 < sim.sent) and time.monotonic() < end:
            if data := client.get_data():
                samples += client.get_samples(data)[0]
        sent = sim.sent
        assert (sim.voltage_v, sim.dut_power, sim.lost) == (3.0, True, 0)
    assert sent > 30_000
    # What remains of a sample when the last read ended within it is at most one.
    assert abs(len(samples) - sent) <= 1
    # Its filter of range switches starts from 0: the first samples are its own.
    assert np.mean(samples[100:]) == pytest.approx(4200.0, rel=2e-3)


def test_otii_tcp_client() -> None:
    """Connect, license, project, supply, recording, data and statistics of a stretch in which the board works."""
    module = pytest.importorskip("otii_tcp_client.otii_client", reason="pip install otii-tcp-client")
    with bench_of("otii", energy_mode=True, latency_us=20_000) as bench:
        host, port = bench.monitors["otii"].split(":")
        with module.OtiiClient().connect(host=host, port=int(port), try_for_seconds=30) as otii:
            device = otii.get_devices()[0]
            project = otii.create_project()
            device.add_to_project()
            device.set_main_voltage(3.0)
            for channel in ("mc", "mv", "i1"):
                device.enable_channel(channel, True)
            device.set_main(True)
            assert device.get_value("mc") == pytest.approx(0.0042)
            project.start_recording()
            bench.world.wait_until(bench.world.now_s() + 1.2, threading.Event())
            project.stop_recording()
            recording = project.get_last_recording()
            count = recording.get_channel_data_count(device.id, "mc")
            data = recording.get_channel_data(device.id, "mc", 0, count)
            about = recording.get_channel_info(device.id, "mc")
            found = recording.get_channel_statistics(device.id, "mc", 0.2, 0.7)
            volts = recording.get_channel_data(device.id, "mv", 0, 10)["values"]
            with pytest.raises(Exception, match="Invalid key value"):
                device.enable_channel("zz", True)
            with pytest.raises(Exception, match="Invalid command"):
                device.calibrate()
    assert about["sample_rate"] == 50_000 and count > 40_000 == module_chunk()
    assert len(data["values"]) == count and data["interval"] == pytest.approx(2e-5)
    assert found["energy"] == pytest.approx(0.0042 * 3.0 * 0.5, rel=1e-3)
    assert volts == [3.0] * 10


def module_chunk() -> int:
    """Recordings longer than one request of the client are fetched in several."""
    from otii_tcp_client import recording

    return int(recording.CHUNK_SIZE)


def test_our_otii_monitor_measures_what_the_bench_plays() -> None:
    import statistics

    from emulab.backends.base import SessionOptions
    from emulab.backends.hardware import HardwareBackend
    from emulab.dut import DutClient, energy
    from emulab.model.platform import load_platform

    platform = load_platform("nucleo-l4r5zi").platform
    with bench_of("otii", energy_mode=True, latency_us=20_000) as bench:
        extra = {"serial": bench.console_url, "power": f"otii:{bench.monitors['otii']},voltage_v=3"}
        with HardwareBackend().open(platform, None, SessionOptions(extra=extra)) as session:
            client = DutClient(session.console, session.clock, 60.0)
            client.sync()
            result, trace = energy(session, client, [b"\1"], loops=2, inferences=30, warmups=1, pin="PA9")
        edges = bench.player.falling_edges()[-4:]
        played = [3.0 * bench.player.charge(edges[i], edges[i + 1]) / 30 for i in (0, 2)]
    assert result.alignment == "gpio edges seen by the power monitor"
    assert result.energy_per_inference_j == pytest.approx(statistics.median(played), rel=0.01)
    assert result.latency_s == pytest.approx(0.02, rel=1e-3)
    assert trace.source == "Otii Ace-simulated"
