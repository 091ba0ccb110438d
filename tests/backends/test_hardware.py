"""The hardware backend on a simulated bench: it must not know the difference, and must say what goes wrong."""

from __future__ import annotations

import contextlib
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from fakes import FakeClock, FakeDut

from emulab.backends.base import SessionOptions
from emulab.backends.hardware import HardwareBackend, bucketed
from emulab.backends.interface_board import InterfaceBoardConsole
from emulab.backends.replay import ReplayBackend
from emulab.dut import AccuracySample, DutClient, accuracy, energy, performance
from emulab.errors import DutTimeout, InputError, ToolError
from emulab.lab.bench.bench import Bench
from emulab.lab.bench.imperfection import Imperfection
from emulab.lab.capture import Capture

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals need a POSIX system"),
    pytest.mark.usefixtures("steady_clock"),
]
PLATFORM = SimpleNamespace(
    name="board",
    power=None,
    backends={},
    board=SimpleNamespace(console=SimpleNamespace(baud=115200)),
)
IMAGE = SimpleNamespace(sha256="f" * 64)
FLAWED = Imperfection(noise=0.01, drift=0.002, lost=0.01, clock_ppm=50, seed=18)


class FakeSession:
    """A scripted DUT as the session that the bench plays."""

    def __init__(self, **options) -> None:
        self.dut = FakeDut(clock=FakeClock(), **options)
        self.console, self.clock, self.power_meter = self.dut, self.dut.clock, None

    def gpio_edges(self, pin):
        return [edge for edge in self.dut.edges if edge.pin == pin]


def bench_of(**options):
    monitors = options.pop("monitors", ("ppk2",))
    bench = {
        k: options.pop(k)
        for k in ("speed", "imperfection", "line", "active_a", "idle_a", "interface_board")
        if k in options
    }
    return Bench(FakeSession(**options), pin="PA9", monitors=monitors, **bench)


def open_board(bench, **extra):
    options = SessionOptions(extra={"serial": bench.console_url, **extra})
    return HardwareBackend().open(PLATFORM, IMAGE, options)  # type: ignore[arg-type]


def power_of(bench, name="ppk2", volts=3.0):
    return f"{name}:{bench.monitors[name]},voltage_v={volts}"


def once_measuring(bench, action):
    """Do *action* when the monitor has sent more than half a second's samples."""

    def wait():
        deadline = time.monotonic() + 60
        while bench.sims["ppk2"].sent < 60_000 and time.monotonic() < deadline:
            time.sleep(0.01)
        action()

    threading.Thread(target=wait, daemon=True).start()


@pytest.mark.parametrize("line", ["pty", "tcp"])
def test_performance_and_accuracy_through_a_real_port(line):
    with bench_of(latency_us=43_420, speed=20.0, line=line) as bench, open_board(bench) as session:
        client = DutClient(session.console, session.clock, 60.0)
        client.sync()
        assert client.profile()[1] == "kws01"
        found = performance(client, [b"\5\0"], loops=3, warmups=1, window_s=0.5)
        assert found.latency_s == pytest.approx(0.04342, rel=1e-6)
        assert all(w.elapsed_s >= 0.5 for w in found.windows)
        outputs = accuracy(client, [AccuracySample("a", bytes([7] * 490)), AccuracySample("b", bytes([9] * 31))])
        assert [o.results for o in outputs] == [[7.0, 490.0], [9.0, 31.0]]
    assert bench.failure is None


@pytest.mark.parametrize(("monitor", "rate"), [("ppk2", 1e5), ("lpm01a", 1e3)])
def test_energy_with_noise_drift_losses_and_clock_error(monitor, rate, tmp_path):
    # The LPM01A does not say where in a second it lost samples: an edge is known to 14 ms, so windows are longer.
    loops, count = (3, 40) if monitor == "ppk2" else (2, 150)
    options = {"energy_mode": True, "latency_us": 20_000, "imperfection": FLAWED, "active_a": 0.0132, "idle_a": 0.003}
    with bench_of(monitors=(monitor,), **options) as bench:
        record = str(tmp_path / "rec")
        with open_board(bench, power=power_of(bench, monitor), record=record) as session:
            client = DutClient(session.console, session.clock, 60.0)
            client.sync()
            assert client.mode == "energy"
            result, trace = energy(session, client, [b"\1"], loops=loops, inferences=count, warmups=1, pin="PA9")
            notes = session.notes()
        edges = bench.player.falling_edges()[-2 * loops :]
        played = [3.0 * bench.player.charge(edges[2 * i], edges[2 * i + 1]) / count for i in range(loops)]
    assert result.alignment == "gpio edges seen by the power monitor"
    assert result.energy_per_inference_j == pytest.approx(statistics.median(played), rel=0.01)
    assert result.latency_s == pytest.approx(0.02, rel=0.001 if monitor == "ppk2" else 0.0093)
    share = trace.lost_samples / (len(trace.mean_a) * trace.step_s * rate)
    assert 0.002 < share < 0.03
    assert any("samples lost" in note for note in notes)
    assert np.isnan(trace.mean_a).any() or monitor == "ppk2"
    with ReplayBackend().open(PLATFORM, None, SessionOptions(argument=record)) as replayed:  # type: ignore[arg-type]
        client = DutClient(replayed.console, replayed.clock, 2.0)
        client.sync()
        again, _ = energy(replayed, client, [b"\1"], loops=loops, inferences=1, pin="PA9")
    assert again.energy_per_inference_j == pytest.approx(result.energy_per_inference_j, rel=2e-3)
    assert again.latency_s == pytest.approx(result.latency_s, rel=1e-6)


def test_energy_of_firmware_without_a_timestamp_pin():
    options = {"latency_us": 20_000, "active_a": 0.0132, "idle_a": 0.003}
    with bench_of(**options) as bench, open_board(bench, power=power_of(bench)) as session:
        client = DutClient(session.console, session.clock, 60.0)
        client.sync()
        for _ in range(4):  # windows lie where the host heard of them: one that is late to both ends tries again
            result, _ = energy(session, client, [b"\1"], loops=2, inferences=50, warmups=2)
            if result.energy_per_inference_j == pytest.approx(0.0132 * 3 * 0.02, rel=0.02):
                break
    assert result.alignment == "timestamps of the DUT"
    assert result.energy_per_inference_j == pytest.approx(0.0132 * 3 * 0.02, rel=0.02)


def test_cable_pulled_says_so_and_keeps_what_came(tmp_path):
    record = tmp_path / "rec"
    with bench_of(energy_mode=True, latency_us=20_000) as bench:
        session = open_board(bench, power=power_of(bench), record=str(record))
        client = DutClient(session.console, session.clock, 60.0)
        client.sync()
        once_measuring(bench, bench.pull_console)
        with pytest.raises(ToolError, match=r"the line is gone.*cable"), session:
            energy(session, client, [b"\1"], loops=2, inferences=100, warmups=0, pin="PA9")
    from emulab.lab.captures import read_recording

    kept = read_recording(record)
    assert kept.capture is not None
    assert kept.capture.incomplete
    assert len(kept.capture.values) > 10_000
    assert kept.console


def test_monitor_unplugged_is_said():
    with (
        bench_of(energy_mode=True, latency_us=20_000) as bench,
        open_board(bench, power=power_of(bench)) as session,
    ):
        client = DutClient(session.console, session.clock, 60.0)
        client.sync()
        once_measuring(bench, bench.sims["ppk2"].close)
        with pytest.raises(ToolError, match="monitor's line is gone"):
            energy(session, client, [b"\1"], loops=1, inferences=60, warmups=0, pin="PA9")


def test_an_overload_is_no_measurement(tmp_path):
    """2 A, where a PPK2 measures up to 1 A: what came is kept, and says so."""
    record = tmp_path / "rec"
    with bench_of(energy_mode=True, latency_us=20_000, active_a=2.0) as bench:
        session = open_board(bench, power=power_of(bench), record=str(record))
        client = DutClient(session.console, session.clock, 60.0)
        client.sync()
        with pytest.raises(ToolError, match=r"power monitor: overload: \d+ of \d+ samples .*kept, marked"), session:
            energy(session, client, [b"\1"], loops=1, inferences=20, warmups=0, pin="PA9")
    from emulab.lab.captures import read_recording

    kept = read_recording(record).capture
    assert kept is not None
    assert kept.overloads > 10_000 and "overload" in kept.incomplete


def test_a_board_that_resets_in_a_window():
    with bench_of(latency_us=20_000) as bench, open_board(bench) as session:
        client = DutClient(session.console, session.clock, 60.0)
        client.sync()
        boot = ["m-warmup-start-0", "m-timestamp-mode-performance", "m-init-done", "m-ready"]
        bench.player._session.dut.hook = lambda c, a: boot if c.startswith("infer") else None
        with pytest.raises(ToolError, match="board was reset during 'infer 5 0'"):
            client.infer(5, 0)


def test_a_port_that_comes_back_after_flashing(tmp_path):
    from emulab.lab.consoles import open_console

    link = tmp_path / "ttyACM0"
    with bench_of(monitors=()) as bench:
        threading.Timer(0.4, link.symlink_to, [bench.console_url]).start()
        console = open_console(str(link), 115200, within_s=60.0)
        console.write(b"name%")
        assert console.read(30.0)
        console.close()
        link.unlink()
        begin = time.monotonic()
        with pytest.raises(ToolError, match="no such port"):
            open_console(str(link), 115200, within_s=0.3)
        assert time.monotonic() - begin >= 0.3


def test_busy_absent_and_forbidden_ports(tmp_path):
    with bench_of() as bench, open_board(bench), pytest.raises(ToolError, match="busy"):
        open_board(bench)
    with pytest.raises(ToolError, match="no such port"):
        HardwareBackend().open(PLATFORM, IMAGE, SessionOptions(argument="/dev/ttyNONE0"))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="--serial"):
        HardwareBackend().open(PLATFORM, IMAGE, SessionOptions())  # type: ignore[arg-type]
    with pytest.raises(ToolError, match=r"connection refused|cannot be opened"):
        HardwareBackend().open(PLATFORM, IMAGE, SessionOptions(argument="socket://127.0.0.1:1"))  # type: ignore[arg-type]
    if os.geteuid() != 0:
        port = tmp_path / "tty"
        port.touch(mode=0)
        with pytest.raises(ToolError, match="no permission"):
            HardwareBackend().open(PLATFORM, IMAGE, SessionOptions(argument=str(port)))  # type: ignore[arg-type]


def test_something_that_is_no_ppk2():
    with bench_of(monitors=()) as bench:
        options = SessionOptions(extra={"serial": bench.console_url, "power": f"ppk2:{bench.console_url},voltage_v=3"})
        with pytest.raises(ToolError, match="gave no calibration"):
            HardwareBackend().open(PLATFORM, IMAGE, options)  # type: ignore[arg-type]


def test_silent_board():
    with bench_of() as bench, open_board(bench) as session:
        client = DutClient(session.console, session.clock, 60.0)
        client.sync()
        bench.player._session.dut.hook = lambda c, a: ["thinking", "m-ready"][:1] if c == "name" else None
        for limit_s in (0.5, 4.0, 30.0):  # a busy host may need that long to hear the board say so
            client.limit_s = limit_s
            with pytest.raises(DutTimeout) as caught:
                client.name()
            if "thinking" in str(caught.value):
                break
        assert "thinking" in str(caught.value)
        assert "thinking" in session.describe_state()


STOPPED = """
import sys, time
sys.path[:0] = {path!r}
from test_hardware import *
options = SessionOptions(extra=dict(zip(("serial", "power", "record"), sys.argv[1:], strict=True)))
try:
    with HardwareBackend().open(PLATFORM, IMAGE, options) as session:
        client = DutClient(session.console, session.clock, 60.0)
        client.sync()
        energy(session, client, [b"\\1"], loops=1, inferences=100, warmups=0, pin="PA9")
except ToolError as error:
    print(error)
    sys.exit(error.exit_code)
"""


def test_host_stopped_for_five_seconds(tmp_path):
    here = os.path.dirname(__file__)
    script = STOPPED.format(path=[here, os.path.join(here, "..", "dut")])
    with bench_of(energy_mode=True, latency_us=20_000) as bench:
        record = tmp_path / "rec"
        command = [sys.executable, "-c", script, bench.console_url, power_of(bench), str(record)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            deadline = time.monotonic() + 120
            measures = bench.sims["ppk2"]
            while measures.sent < 20_000 and time.monotonic() < deadline and child.poll() is None:
                time.sleep(0.02)
            child.send_signal(signal.SIGSTOP)
            time.sleep(5)
            child.send_signal(signal.SIGCONT)
            output, _ = child.communicate(timeout=120)
        finally:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
    assert child.returncode == 3, output
    assert "stood still for" in output
    from emulab.lab.captures import read_recording

    kept = read_recording(record)
    assert kept.capture is not None
    assert "stood still" in kept.capture.incomplete


def test_buckets_keep_the_mean_and_the_gaps():
    values = np.r_[np.full(10, 0.01), np.full(10, np.nan), np.full(5, 0.02), np.full(5, np.nan), np.full(3, 0.04)]
    trace = bucketed(Capture(1.0, 1e-5, values, "A", 1.8, lost_samples=15))
    assert trace.step_s == pytest.approx(1e-4)
    assert trace.mean_a == pytest.approx([0.01, np.nan, 0.02, 0.04], nan_ok=True)
    assert trace.lost_samples == 15


def test_a_board_behind_the_simulated_interface_board():
    with (
        bench_of(latency_us=20_000, speed=5.0, interface_board=True) as bench,
        open_board(bench, interface_board=True) as session,
    ):
        client = DutClient(session.console, session.clock, 60.0)
        client.sync()
        assert client.profile()[1] == "kws01"
        assert performance(client, [b"\5\0"], loops=2, inferences=4).latency_s == pytest.approx(0.02)
        with pytest.raises(ToolError, match="Unknown command"):
            client.command("nonsense")
    with bench_of(interface_board=True, monitors=()) as bench:
        from emulab.lab.console import SerialConsole

        console = SerialConsole(bench.console_url, 115200)
        heard = b""
        for command in (b"name%", b"setbaud 9600%", b"play x%", b"dut name%"):
            console.write(command)
        while b"[dut]: m-ready" not in heard:
            found = console.read(30.0)
            assert found, heard
            heard += found
        console.close()
    lines = heard.decode().split("\r\n")
    assert lines[:5] == ["m-name-interface-[simulated]", "m-ready", "m-ready", "e-[Unknown command: play x]", "m-ready"]
    assert lines[5:7] == ["m-dut-passthrough(name)", "m-ready"] and lines[7].startswith("[dut]: m-name-dut-[")


def test_interface_board_prefixes_are_taken_off():
    inner = FakeDut()
    inner.read(0)

    class Interface:
        """The interface board: answers for itself, then passes the DUT's lines with their prefix."""

        def __init__(self):
            self.out = bytearray()

        def write(self, data):
            command = data.decode().removesuffix("%")
            assert command.startswith("dut ")
            assert len(command) < 80
            self.out += f"m-dut-passthrough({command[4:]})\r\nm-ready\r\n".encode()
            inner.write(command[4:].encode() + b"%")
            while piece := inner.read(0):
                for line in piece.decode().splitlines():
                    self.out += f"[dut]: {line}\r\n".encode()

        def read(self, timeout_s):
            data, self.out = bytes(self.out[:7]), self.out[7:]
            return data

    console = InterfaceBoardConsole(Interface())
    inner.chunk = 10_000
    client = DutClient(console, inner.clock, 1.0)
    assert client.name() == "fake"
    client.load(bytes(range(100)))
    assert client.db_print() == bytes(range(100))
    assert client.infer(3, 1).elapsed_s == pytest.approx(0.12)
    assert console.own_lines[:2] == ["m-dut-passthrough(name)", "m-ready"]
