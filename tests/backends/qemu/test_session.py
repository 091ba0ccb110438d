"""A QEMU session on real firmware: console, windows, exact counts, time, repetition."""

from __future__ import annotations

from typing import Any

import pytest

from emulab.backends.base import Clock, Console, Profiler, SessionOptions, load_backend
from emulab.backends.qemu import install
from emulab.errors import FirmwareFault, InputError
from emulab.model.platform import Platform, load_platform
from emulab.model.scenario import Window


def test_parts_follow_their_protocols(open_session: Any) -> None:
    session = open_session()
    assert isinstance(session.console, Console)
    assert isinstance(session.clock, Clock)
    assert isinstance(session.profiler, Profiler)
    assert session.power_meter is None
    assert session.gpio_edges("PA0") == []


def test_console_echoes_and_time_goes_on(open_session: Any, until: Any) -> None:
    session = open_session()
    before = session.clock.now_s()
    session.console.write(b"acde%")
    assert until(session, b"m-ready") == b"acdem-ready\r\n"
    assert session.clock.now_s() > before > 0


def test_windows_are_counted_exactly(open_session: Any, until: Any) -> None:
    session = open_session()
    for _ in range(2):
        session.console.write(b"w")
        until(session, b"m-ready")
    found = session.profiler.windows()
    assert [(w.name, w.index) for w in found] == [("symbols", 0), ("console", 0), ("symbols", 1), ("console", 1)]
    first, second = (w.profile for w in found if w.name == "symbols")
    # the loop body runs 2 x 4096 times, with two loads of data each
    assert sum(b.count for b in first.blocks if b.count >= 8000) >= 8190
    assert 16384 <= first.regions["ssram23"].reads <= 16384 + 8
    assert first.instructions == sum(b.count * b.instructions for b in first.blocks)
    assert (first.blocks, first.cycles, first.regions) == (second.blocks, second.cycles, second.regions)
    console = next(w for w in found if w.name == "console")
    assert console.inferences == 2
    assert console.profile.instructions > first.instructions
    assert console.stop_s - console.start_s == pytest.approx(console.profile.cycles / 25e6, rel=1e-4)


def test_a_run_repeats_bit_for_bit(open_session: Any, until: Any) -> None:
    def run() -> Any:
        session = open_session()
        for text in (b"w", b"acd%", b"w"):
            session.console.write(text)
            until(session, b"m-ready")
        return session.profiler.windows(), session.clock.now_s(), session.notes()

    assert run() == run()


def test_sleep_passes_time_but_no_instructions(open_session: Any, until: Any) -> None:
    session = open_session(windows=(Window(name="all", start="console:m-ready", stop="console:slept"),))
    session.console.write(b"s")
    until(session, b"slept")
    idle_s = session.details()["idle_s"]
    if install.find("arm").sleeps_by_its_clock:  # ten ticks of 1 ms, less the instructions in between
        assert idle_s == pytest.approx(0.010, abs=2e-5)
        assert not any("asleep varies" in note for note in session.notes())
    else:
        assert idle_s > 0.005
        assert any("asleep varies" in note for note in session.notes())
    assert session.counts.instructions < 100_000


def test_time_asleep_repeats(open_session: Any, until: Any) -> None:
    if not install.find("arm").sleeps_by_its_clock:
        pytest.skip("time asleep varies with the host before QEMU 10.0: set EMULAB_QEMU to the folder of a newer one")

    def run() -> Any:
        session = open_session()
        session.console.write(b"s")
        until(session, b"slept")
        return session.details()["idle_s"], session.clock.now_s()

    assert run() == run()


def test_stack_of_firmware_that_does_not_paint_it(
    open_session: Any, mps2: Platform, behaviours: Any, until: Any
) -> None:
    session = open_session()
    in_qemu = session.details()["stack_bytes"]
    with load_backend("unicorn").open(mps2, behaviours, SessionOptions()) as embedded:
        until(embedded, b"m-ready\r\n")
        assert in_qemu == embedded.details()["stack_bytes"] > 0


def test_semihosting_exit_ends_the_run(open_session: Any) -> None:
    session = open_session()
    session.console.write(b"x")
    with pytest.raises(FirmwareFault, match="ended the emulation with status 0"):
        session.console.read(20.0)


@pytest.mark.parametrize(
    ("window", "message"),
    [
        (Window(name="w", start="no_such_symbol", stop="window_stop"), "no symbol 'no_such_symbol'"),
        (Window(name="w", start="gpio:PA9:rising", stop="window_stop"), "does not see pins"),
        (Window(name="w", start="console:(", stop="window_stop"), "not a regular expression"),
    ],
)
def test_a_window_that_cannot_be_is_refused(open_session: Any, window: Window, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_session(windows=(window,))


def test_an_image_for_another_map_is_refused(qemu: Any, behaviours: Any) -> None:
    with pytest.raises(InputError, match="lies outside the memories"):
        qemu.open(load_platform("mps2-an505").platform, behaviours, SessionOptions())


def test_a_board_without_machine_runs_on_one_with_its_core(
    qemu: Any, mps2: Platform, behaviours: Any, until: Any
) -> None:
    board = load_platform("nucleo-l4r5zi").platform
    assert qemu.fidelity(board) == "core"
    assert qemu.fidelity(mps2) == "board"
    assert qemu.firmware_platform(board).name == "mps2-an386"
    with qemu.open(
        board, behaviours, SessionOptions(windows=(Window(name="w", start="window_start", stop="window_stop"),))
    ) as s:
        until(s, b"m-ready\r\n")
        s.console.write(b"w")
        until(s, b"m-ready\r\n")
        (window,) = s.profiler.windows()
        assert any("fidelity core" in note for note in s.notes())
    # the asked board's clock, and the misses of its flash caches
    assert window.stop_s - window.start_s == pytest.approx(window.profile.cycles / board.board.clock_hz, rel=1e-4)
    assert window.profile.misses["flash_array_reads"] > 0
