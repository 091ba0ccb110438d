"""What a bench plays of the energy model: the steps of the layers, sleep between commands, and the model's own total."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from emulab.backends.base import SessionOptions, load_backend
from emulab.dut import DutClient
from emulab.model.platform import load_platform

ASSETS = Path(os.environ.get("EMULAB_ASSETS", "/nonexistent"))
MODEL = ASSETS / "mlperf-tiny" / "models" / "kws_ref_model.tflite"
pytestmark = [
    pytest.mark.skipif(not MODEL.is_file(), reason="no kws model; set EMULAB_ASSETS, or: emulab assets pull"),
    pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals need a POSIX system"),
]


@pytest.fixture(scope="module")
def measured():
    """(platform, current while it waits, edges of a window of two inferences, its trace)."""
    from emulab.firmware.build import BuildOptions, build
    from emulab.run.bench_sim_power import ModelledPower

    platform = load_platform("nucleo-l4r5zi").platform
    image = build(MODEL, platform, options=BuildOptions(model_id="kws01", mode="energy")).image
    with load_backend("unicorn").open(platform, image, SessionOptions(profile=False)) as session:
        meter = ModelledPower(platform, session.machine)
        client = DutClient(session.console, session.clock, 120.0)
        client.sync()
        idle_a = meter.idle_a()
        client.load(bytes(490))
        meter.start()
        client.infer(2, 0)
        meter.stop()
        edges = [e.time_s for e in session.gpio_edges(platform.board.timestamp_pin) if not e.level][-2:]
    return platform, idle_a, edges, meter.capture()


def test_layers_draw_what_they_execute(measured):
    """Each inference: a convolution, then four times a depthwise and a pointwise one, each at its own current."""
    platform, _, (start, stop), trace = measured
    times = trace.start_s + np.arange(len(trace.mean_a)) * trace.step_s
    inside = np.round(trace.mean_a[(times > start) & (times < stop - trace.step_s)] * 1e4)
    ends = np.flatnonzero(np.diff(inside, append=-1.0))
    levels = inside[ends][np.diff(ends, prepend=-1) > 100].tolist()  # what lasts longer than 1 ms
    first, depthwise, pointwise = levels[:3]
    assert levels == 2 * [first, *4 * [depthwise, pointwise]]
    run = platform.power.components["core"].states["run"]
    # depthwise multiplies and reads least a cycle; what the first one lacks in multiplications it reads
    assert run.per_hz_a.value * 120e6 < depthwise * 1e-4
    assert depthwise < pointwise and depthwise < first and first != pointwise


def test_the_trace_holds_what_the_model_charges(measured):
    """Energy of the window as its profile prices it: what is counted over the whole of it."""
    from emulab.energy import window_energy
    from emulab.energy.windows import profile_activity
    from emulab.firmware.build import BuildOptions, build
    from emulab.model.record import WindowRecord
    from emulab.model.scenario import Measure
    from emulab.run.layers import InstructionClasses
    from emulab.run.windows import windows
    from emulab.timing import load_timing

    platform, _, (start, stop), trace = measured
    image = build(MODEL, platform, options=BuildOptions(model_id="kws01", mode="energy")).image
    options = SessionOptions(windows=windows(Measure(), image))
    with load_backend("unicorn").open(platform, image, options) as session:
        client = DutClient(session.console, session.clock, 120.0)
        client.sync()
        client.load(bytes(490))
        client.infer(2, 0)
        found = session.profiler.windows()[-1]
    classes = InstructionClasses(load_timing(platform), image.read)([found.profile])
    record = WindowRecord(
        name="w", start_s=found.start_s, stop_s=found.stop_s, cycles=found.profile.cycles, instruction_classes=classes,
        activity=profile_activity(platform, found.profile),
    )  # fmt: skip
    expected_w = window_energy(platform, record).value / (found.stop_s - found.start_s)
    times = trace.start_s + np.arange(len(trace.mean_a)) * trace.step_s
    inside = trace.mean_a[(times > start) & (times < stop - trace.step_s)]
    assert inside.mean() * trace.voltage_v == pytest.approx(expected_w, rel=2e-3)


def test_a_board_that_waits_sleeps(measured):
    _, idle_a, _, trace = measured
    assert trace.min_a.min() == pytest.approx(idle_a)
    # WFI with the clock on: 30 uA/MHz at 120 MHz.
    assert idle_a == pytest.approx(3.6e-3)


def test_a_board_that_polls_draws_what_polling_was_measured_at(tmp_path):
    """Firmware that asks its UART over and over: the state ``wait`` of the platform, not sleep."""
    from emulab.run.bench_sim_power import ModelledPower

    platform = load_platform("nucleo-l4r5zi").platform
    elf = polling_firmware(tmp_path)
    with load_backend("unicorn").open(platform, elf, SessionOptions(profile=False)) as session:
        meter = ModelledPower(platform, session.machine)
        session.console.read(0.01)
        wait = platform.power.components["core"].states["wait"].per_hz_a.value
        assert meter.idle_a() == pytest.approx(wait * session.machine.core_hz)


def polling_firmware(folder: Path):
    """Thumb code that polls LPUART1's ISR, as a HEX image at the start of flash."""
    import struct

    from emulab.firmware.image import load_image

    code = struct.pack("<6H", 0x4801, 0x6801, 0x07CA, 0xE7FC, 0x0000, 0x0000)  # ldr r0,=; l: ldr r1,[r0]; lsls; b l
    body = struct.pack("<2I", 0x20010000, 0x08000009) + code[:8] + struct.pack("<I", 0x4000801C)
    (folder / "polls.bin").write_bytes(body)
    return load_image(folder / "polls.bin", 0x08000000)
