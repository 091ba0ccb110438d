"""The shipped application, co-simulated: what it reads, computes, sends and draws; fast-forward; same seed, same result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emulab.backends.unicorn.machine import Machine
from emulab.backends.unicorn.parts.rotor import CONDITIONS, acceleration
from emulab.backends.unicorn.windows import WindowTracker
from emulab.energy.cosim import FirmwareMeter, FirmwarePhases, forward
from emulab.energy.simulate import simulate_scenario
from emulab.energy.steps import ComputeWindow
from emulab.energy.windows import profile_activity, window_charges
from emulab.errors import InputError
from emulab.model.platform import load_platform
from emulab.model.record import WindowRecord
from emulab.model.scenario import LoadedScenario, Window, load_scenario
from emulab.run.cosim import build_firmware, cosimulate, platform_with_parts
from emulab.run.layers import InstructionClasses
from emulab.timing import load_timing

BOARD = "nucleo-l4r5zi"
SIGNAL = "application.parts.accelerometer.signal"


def spectrum(counts: np.ndarray) -> np.ndarray:
    """What the model was trained on (scenarios/vibration-node/train.py)."""
    lines = np.abs(np.fft.rfft((counts - counts.mean()) * np.hanning(512)))[1:257]
    decibel = 20 * np.log10(np.maximum(lines.reshape(64, 4).max(axis=1), 1.0))
    return np.clip(np.round((decibel - np.median(decibel)) / 0.5), -128, 127).astype(np.int8)


class Node:
    """The shipped node, some seconds into its life."""

    def __init__(self, seconds: float, *overrides: str, board: str = BOARD) -> None:
        self.loaded = load_scenario("vibration-node", overrides)
        platform = load_platform(board).platform
        self.image = build_firmware(self.loaded, platform).image
        self.platform = platform_with_parts(self.loaded, platform)
        self.machine = Machine(self.platform, self.image)
        self.meter = FirmwareMeter(self.platform, self.machine)
        assert self.loaded.scenario.application is not None
        self.phases = FirmwarePhases(self.machine, self.meter, self.loaded.scenario.application.windows)
        self.seconds = seconds
        self.machine.env.run(until=seconds)

    def __enter__(self) -> Node:
        return self

    def __exit__(self, *exception: object) -> None:
        self.machine.close()

    def array(self, name: str, dtype: Any, count: int) -> np.ndarray:
        address = self.image.symbols[name].address & ~1
        return np.frombuffer(self.machine.peek(address, count * np.dtype(dtype).itemsize), dtype)

    def word(self, name: str) -> int:
        return int(self.array(name, np.uint32, 1)[0])

    @property
    def radio(self) -> Any:
        return self.machine.serial_ports["usart3"]._device


def test_every_sample_reaches_the_model_and_its_features_are_numpys() -> None:
    with Node(15.0) as node:
        assert node.word("wakes") == 1
        counts = node.array("counts", np.int16, 512)
        g = acceleration(0, np.random.default_rng([7, 0]), 1024)[:512]
        assert counts.tolist() == np.round(g / 2 * 2048).astype(int).tolist()  # through FIFO, SPI and DMA, none lost
        difference = np.abs(node.array("levels", np.int8, 64).astype(int) - spectrum(counts))
        assert difference.max() <= 1 and (difference == 0).mean() > 0.95
        assert node.machine.notes == []


def test_the_model_sees_faults_and_the_radio_tells() -> None:
    with Node(125.0) as node:
        assert (node.word("wakes"), node.word("alarms"), node.word("messages")) == (12, 0, 1)
        assert [data[:4] for _, data in node.radio.sent] == [b"\x09\xff\xff\xff"] * 3
    with Node(125.0, f"{SIGNAL}.condition=looseness") as node:
        assert (node.word("wakes"), node.word("alarms"), node.word("messages")) == (12, 12, 12)
        assert len(node.radio.sent) == 36
        assert node.radio.sent[-1][1][4:6] == bytes([11, CONDITIONS.index("looseness")])


def test_charge_follows_from_what_firmware_does() -> None:
    """Where the sensor, the radio and the stop mode can be reckoned by hand, they are."""
    with Node(125.0) as node:
        charges, parts = node.meter.charges(node.seconds), node.meter.ledger.network.components
        sensor, radio, core = parts["accelerometer"], parts["radio"], parts["core"]
        on_s = 12 * 512 / 1344
        expected = on_s * sensor.current_a("odr1344") + (node.seconds - on_s) * sensor.current_a("powerdown")
        assert charges["accelerometer"] == pytest.approx(expected, rel=0.01)
        # three events on three channels, 10 bytes each, as the part's `uses.advertise` says
        tx_s, ramp_s = 9 * (128e-6 + 10 * 8e-6), 3 * (360e-6 + 3 * 140e-6)
        expected = tx_s * radio.current_a("tx") + ramp_s * radio.current_a("ramp")
        expected += (node.seconds - tx_s - ramp_s) * radio.current_a("sleep")
        assert charges["radio"] == pytest.approx(expected, rel=1e-6)
        by_phase = node.meter.ledger.charge_by_phase()
        times = node.meter.ledger.phase_times()
        # the core at its clock, and what it reads, writes and multiplies on top: less than a typical inference does
        plain = core.current_a("run") * 30 + sensor.current_a("powerdown") + radio.current_a("sleep")
        state = core.schema.states["run"]
        typical = sum(state.per_activity[name].value * share.value for name, share in state.typical_activity.items())
        busy = by_phase["features"] / times["features"] - plain
        assert 0 < busy < typical * 120e6
        assert sum(by_phase.values()) == pytest.approx(sum(charges.values()), rel=1e-12)
        assert sum(times.values()) == pytest.approx(node.seconds, rel=1e-12)


def test_the_duty_cycle_model_agrees_with_the_firmware() -> None:
    """Two ways to the same node: phases written down, and firmware that runs. One energy model."""
    with Node(970.0) as node:
        firmware_a = sum(node.meter.charges(node.seconds).values()) / node.seconds
        seen = node.phases.seen
        windows = {
            name: ComputeWindow.of(
                (seen[name][1].stop_s - seen[name][1].start_s, sum(seen[name][1].charge_c.values()) * 1.8)
            )
            for name in ("features", "inference")
        }
        changed = load_scenario(
            "vibration-node", ["duty_cycle.results.inference={normal: 1.0, fault: 0.0}", "duty_cycle.battery=null"]
        )
        platform = load_platform(BOARD).platform
        written = simulate_scenario(changed, platform, windows, duration_s=7 * 86400).result.mean_current_a
        # the duty cycle knows one clock: its transfers are charged at 120 MHz, the firmware makes them at 4 MHz
        assert written == pytest.approx(firmware_a, rel=0.12)


def counted_window(name: str) -> WindowRecord:
    """The second time the firmware goes through a window it marks, as a session counts it: no meter is attached."""
    loaded = load_scenario("vibration-node")
    platform = load_platform(BOARD).platform
    image = build_firmware(loaded, platform).image
    window = Window.model_validate({"name": name, "from": f"marker:{name}.begin", "to": f"marker:{name}.end"})
    machine = Machine(platform_with_parts(loaded, platform), image)
    try:
        tracker = WindowTracker(machine, (window,))
        machine.env.run(until=25.0)
    finally:
        machine.close()
    profile = tracker.finished[1].profile
    assert profile is not None
    classes = InstructionClasses(load_timing(platform), image.read)([profile])
    start_s, stop_s = tracker.finished[1].start_s, tracker.finished[1].stop_s
    return WindowRecord(
        name=name, start_s=start_s, stop_s=stop_s, cycles=profile.cycles, instruction_classes=classes,
        activity=profile_activity(platform, profile),
    )  # fmt: skip


@pytest.mark.parametrize("name", ["inference", "features"])
def test_a_phase_costs_what_the_measured_window_of_the_same_code_costs(name: str) -> None:
    """Multiply-accumulates and memory traffic are counted in both, many in one and few in the other."""
    window = counted_window(name)
    with Node(25.0) as node:
        seen = node.phases.seen[name][1]
        assert seen.cycles == pytest.approx(window.cycles, abs=2)
        measured = window_charges(node.platform, window)["core"]
        assert seen.charge_c["core"] == pytest.approx(measured, rel=1e-4)
        typical = node.platform.power.components["core"].states["run"].typical_activity["mac"].value  # type: ignore[union-attr]
        assert abs(window.instruction_classes.get("mac", 0) / seen.cycles - typical) > 0.05


def figures(loaded: LoadedScenario) -> dict[str, Any]:
    platform, application = load_platform(BOARD).platform, loaded.scenario.application
    assert application is not None
    return cosimulate(platform_with_parts(loaded, platform), build_firmware(loaded, platform), application)[0]


def test_same_seed_same_result() -> None:
    short = "application.duration_s=130"
    first, again = figures(load_scenario("vibration-node", [short])), figures(load_scenario("vibration-node", [short]))
    assert first == again
    other = figures(load_scenario("vibration-node", [short, f"{SIGNAL}.seed=8"]))
    assert other["charge_by_component_c"]["core"] != first["charge_by_component_c"]["core"]


def long_and_fast(span_s: float, board_name: str = BOARD) -> tuple[Any, Any]:
    """The shipped node for a time, executed, and with whatever repeats itself skipped."""
    loaded, platform = load_scenario("vibration-node"), load_platform(board_name).platform
    application, board = loaded.scenario.application, platform_with_parts(loaded, platform)
    assert application is not None
    image = build_firmware(loaded, platform).image
    found = []
    for least_s in (float("inf"), application.repeats_s):
        machine = Machine(board, image)
        try:
            meter = FirmwareMeter(board, machine)
            FirmwarePhases(machine, meter, application.windows)

            def run(until_s: float, machine: Machine = machine) -> None:
                if until_s > machine.env.now:
                    machine.env.run(until=until_s)

            found.append(forward(run, meter, span_s, least_s=least_s))
        finally:
            machine.close()
    return found[0], found[1]


def test_fast_forward_equals_the_long_run() -> None:
    long, fast = long_and_fast(1440.0)
    assert long.steady is None and long.executed_s == 1440.0
    assert fast.steady is not None and fast.steady.period_s == pytest.approx(120.0, rel=1e-6)
    assert fast.executed_s < 1300
    total = sum(long.parts_c.values())
    assert sum(fast.parts_c.values()) == pytest.approx(total, rel=1e-6)
    for part, charge in long.parts_c.items():
        assert fast.parts_c[part] == pytest.approx(charge, rel=1e-6, abs=1e-6 * total), part


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("application.sources=[firmware/nothing.c]", "nothing.c"),
        (
            "application.windows=[capture, thinking]",
            "no EMULAB_WINDOW_BEGIN.thinking.; windows it marks: capture, features",
        ),
        (f"application.wiring.{BOARD}.radio.bus=usart9", f"wiring.{BOARD}.radio.bus: no bus 'usart9' on {BOARD}"),
        (f"application.wiring.{BOARD}.accelerometer.select=XY", "'XY' is no pin; expected PE0, P1.12 or gpio0.9"),
        ("application.parts.radio.part=sx1262", "no model of part 'sx1262' on usart3"),
        (f"{SIGNAL}.condition=broken", "normal, imbalance, misalignment, looseness"),
        (f"{SIGNAL}.seeds=3", "unknown key 'seeds'"),
    ],
)
def test_mistakes_are_told(override: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        figures(load_scenario("vibration-node", [override, "application.duration_s=1"]))


def test_another_board_is_refused() -> None:
    with pytest.raises(InputError, match="it runs on nucleo-l4r5zi, nrf52840-dk, hifive1-revb, not on nucleo-g0b1re"):
        build_firmware(load_scenario("vibration-node"), load_platform("nucleo-g0b1re").platform)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("application.wiring={nucleo-g0b1re: {}}", "not one of application.platforms"),
        ("application.wiring={nrf52840-dk: {microphone: {}}}", "no such part; parts: accelerometer, radio"),
    ],
)
def test_wiring_of_nothing_is_told(override: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_scenario("vibration-node", [override])


def test_its_own_radio_tells_the_same_as_a_controller_on_a_uart() -> None:
    """The nRF52840's firmware drives its radio: what is on the air, when, and what it costs."""
    with Node(125.0, f"{SIGNAL}.condition=looseness", board="nrf52840-dk") as node:
        assert (node.word("wakes"), node.word("alarms"), node.word("messages")) == (12, 12, 12)
        assert node.machine.notes == []
        sent = node.machine.peripherals["radio"].sent  # type: ignore[attr-defined]
        assert len(sent) == 12 * 3 * 3
        assert [packet.frequency_mhz for packet in sent[:6]] == [2402, 2426, 2480] * 2
        header, length, address, data = sent[-1].data[0], sent[-1].data[1], sent[-1].data[2:8], sent[-1].data[8:]
        assert (header, length) == (0x42, 6 + len(data)) and address[5] >> 6 == 3
        assert data[:6] == b"\x09\xff\xff\xff\x0b" + bytes([CONDITIONS.index("looseness")])
        starts = [packet.time_s for packet in sent[::3]]
        for first in range(0, 36, 3):  # 100 ms and a delay up to 10 ms between the events of a message
            gaps = np.diff(starts[first : first + 3])
            assert ((gaps > 0.0999) & (gaps < 0.1115)).all()
        charges, radio = node.meter.charges(node.seconds), node.meter.ledger.network.components["radio"]
        tx_s, ramp_s = len(sent) * (128e-6 + 10 * 8e-6), len(sent) * (40e-6 + 6e-6)
        expected = tx_s * radio.current_a("tx") + ramp_s * radio.current_a("ramp")
        assert charges["radio"] == pytest.approx(expected, rel=1e-6)
        # no clock is left on between wakes: System ON idle, 1.5 uA
        idle = node.meter.ledger.charges()["core", "sleep"] / node.meter.ledger.phase_times()["sleep"]
        assert idle == pytest.approx(node.meter.ledger.network.components["core"].current_a("idle"), rel=0.15)


@pytest.mark.parametrize("board", ["nrf52840-dk", "hifive1-revb"])
def test_every_sample_reaches_the_model_on_other_boards_too(board: str) -> None:
    with Node(15.0, board=board) as node, Node(15.0) as other:
        assert node.word("wakes") == 1 and node.word("messages") == 1
        for name, dtype, count in (("counts", np.int16, 512), ("levels", np.int8, 64), ("scores", np.int8, 4)):
            assert node.array(name, dtype, count).tolist() == other.array(name, dtype, count).tolist()
        assert node.machine.notes == []
        assert {n: c for n, c in node.phases.counts.items()} == dict.fromkeys(node.phases.counts, 1)


@pytest.mark.parametrize("board", ["nrf52840-dk"])
def test_fast_forward_equals_the_long_run_on_other_boards_too(board: str) -> None:
    long, fast = long_and_fast(1440.0, board)
    assert fast.steady is not None and fast.steady.period_s == pytest.approx(120.0, rel=1e-6)
    assert fast.executed_s < 1300
    assert sum(fast.parts_c.values()) == pytest.approx(sum(long.parts_c.values()), rel=1e-6)


def test_the_shipped_samples_are_of_the_same_machine() -> None:
    """The model was trained on what the sensor plays: eval.npz comes out of the rotor again."""
    held = np.load(Path(load_scenario("vibration-node").folder) / "eval.npz")
    random = np.random.default_rng(20_240_917 + 1)
    for index in range(40):
        counts = np.clip(np.round(acceleration(index % 4, random) / 2.0 * 2048), -2048, 2047)
        assert spectrum(counts).tolist() == held["x"][index].reshape(-1).tolist()
