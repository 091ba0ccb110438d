"""The DUT client against a scripted DUT: the protocol, and every way a line can go wrong."""

from __future__ import annotations

import time

import pytest
from fakes import FakeClock, FakeDut
from hypothesis import given, settings
from hypothesis import strategies as st

from emulab.dut import messages
from emulab.dut.client import DutClient, DutError, DutReset
from emulab.errors import DutTimeout, EmulabError, InputError, ToolError
from emulab.lab.lines import MAX_LINE_BYTES, LineSplitter


def client_of(dut: FakeDut, limit_s: float = 0.05) -> DutClient:
    return DutClient(dut, dut.clock, limit_s)


def ready(dut: FakeDut, limit_s: float = 0.05) -> DutClient:
    client = client_of(dut, limit_s)
    client.sync()
    return client


def test_boot_name_profile_timestamp():
    dut = FakeDut()
    client = ready(dut)
    assert client.mode == "performance"
    assert client.name() == "fake"
    assert client.profile() == ("ULPMark for tinyML Firmware V0.0.1", "kws01")
    dut.clock.time_s = 1.25
    assert client.timestamp() == 1.25


@pytest.mark.parametrize("size", [1, 30, 31, 32, 62, 490, 27648])
def test_load_sends_31_bytes_per_command_and_arrives_whole(size):
    dut = FakeDut()
    client = ready(dut)
    data = bytes(i * 7 % 256 for i in range(size))
    client.load(data)
    assert client.db_print() == data
    chunks = [c for c in dut.heard if c.startswith("db ") and not c.startswith(("db load", "db print"))]
    assert all(len(c) <= 3 + 62 for c in chunks)
    assert len(chunks) == -(-size // 31)


@pytest.mark.parametrize("size", [0, 27649])
def test_load_refuses_what_the_buffer_cannot_take(size):
    with pytest.raises(InputError, match="1 to 27648"):
        ready(FakeDut()).load(bytes(size))


@pytest.mark.parametrize("chunk", [1, 2, 7, 1000])
def test_infer_over_any_split_of_the_byte_stream(chunk):
    dut = FakeDut(chunk=chunk)
    client = ready(dut, limit_s=2.0)
    client.load(b"\x05abc")
    result = client.infer(7, 3)
    assert result.elapsed_s == pytest.approx(7 * 0.04)
    assert result.latency_s == pytest.approx(0.04)
    assert result.results == [5.0, 4.0]
    assert client.results() == [5.0, 4.0]
    assert dut.heard[-2] == "infer 7 3"


def test_energy_mode_has_no_timestamps():
    dut = FakeDut(energy_mode=True)
    client = ready(dut)
    client.load(b"a")
    result = client.infer(2, 0)
    assert (result.start_s, result.elapsed_s, client.mode) == (None, None, "energy")
    assert client.timestamp() is None


def test_a_board_that_booted_long_ago_is_asked_its_name():
    dut = FakeDut(clock=FakeClock("wall"), boots=False)
    client = client_of(dut, limit_s=0.5)
    client.sync(boot_s=0.01)
    assert dut.heard == ["name", "timestamp"]
    assert (client.name(), client.mode) == ("fake", "performance")


def test_sync_is_not_fooled_by_a_late_boot():
    dut = FakeDut(clock=FakeClock("wall"), boots=False)
    late = ["m-timestamp-mode-performance", "m-init-done", "m-ready"]
    dut.hook = lambda command, answer: [*late, *answer] if command == "name" else None
    client = client_of(dut, limit_s=0.5)
    client.sync(boot_s=0.01)
    dut.hook = lambda command, answer: None
    assert client.profile()[1] == "kws01"


def test_a_slow_board_that_was_asked_twice():
    """It answers every name once it has booted: none of these is the answer to what is asked next."""
    dut = FakeDut(clock=FakeClock("wall"), boots=False)
    client = client_of(dut, limit_s=60.0)

    def read(timeout_s):
        if dut.heard.count("name") < 2:
            time.sleep(0.01)
            return b""
        return FakeDut.read(dut, timeout_s)

    dut.read = read
    client.sync(boot_s=0.01)
    assert dut.heard[:3] == ["name", "name", "profile"]
    assert client.profile()[1] == "kws01"
    assert client.name() == "fake"


def test_a_silent_board_is_a_timeout_that_says_so():
    with pytest.raises(DutTimeout, match="nothing at all"):
        client_of(FakeDut(boots=False)).sync()


def test_timeout_names_the_last_lines():
    dut = FakeDut(hook=lambda command, answer: ["m-warmup-start-1", "hello"])
    with pytest.raises(DutTimeout, match=r"within 0.05 s of 'infer 1 1'.*hello"):
        ready(dut).infer(1, 1)


def test_a_board_that_babbles_for_ever_times_out():
    dut = FakeDut()
    client = ready(dut)
    dut.read = lambda timeout_s: b"babble\r\n"  # type: ignore[method-assign]
    with pytest.raises(DutTimeout, match="babble"):
        client.name()


def test_error_lines_become_errors():
    with pytest.raises(DutError, match="Unknown command: nonsense"):
        ready(FakeDut()).command("nonsense")


def test_reset_in_the_middle_of_a_command():
    dut = FakeDut()
    dut.hook = lambda command, answer: ["m-warmup-start-1", "m-timestamp-mode-performance", "m-init-done", "m-ready"]
    with pytest.raises(DutReset, match="reset during 'infer 5 1'"):
        ready(dut).infer(5, 1)


def test_reset_between_commands():
    dut = FakeDut()
    client = ready(dut)
    dut.boot()
    with pytest.raises(DutReset):
        client.name()


def test_a_lost_byte_in_a_load_is_sent_again():
    dut = FakeDut()
    client = ready(dut)
    spoiled = []

    def lose(command: str, answer: list[str]) -> list[str] | None:
        if command.startswith("db ") and "load" not in command and not spoiled:
            spoiled.append(command)
            dut._buffer.pop()
            return ["m-ready"]
        return None

    dut.hook = lose
    data = bytes(range(100))
    client.load(data)
    assert client.db_print() == data
    assert any("load repeated" in line.text for line in client.log if line.direction == "#")
    dut.hook = lambda command, answer: [a for a in answer if a != "m-load-done"]
    with pytest.raises(DutError, match="no m-load-done after 100 of 100"):
        client.load(data)


@pytest.mark.parametrize(
    ("drop", "match"),
    [
        ("m-infer-start-2", "expected m-infer-start"),
        ("m-infer-done", "expected m-infer-start and m-infer-done"),
        ("m-results-[1.000,1.000]", "no m-results"),
        ("m-lap-us-0", "1 timestamps, expected two"),
    ],
)
def test_missing_parts_of_an_infer_answer(drop, match):
    dut = FakeDut()
    client = ready(dut)
    client.load(b"\x01")
    dut.hook = lambda command, answer: [a for a in answer if a != drop]
    with pytest.raises(DutError, match=match):
        client.infer(2, 0)


def test_results_that_are_no_numbers():
    dut = FakeDut(hook=lambda command, answer: ["m-results-[0.1,nan]", "m-ready"])
    with pytest.raises(ToolError, match="result 1 is 'nan'"):
        ready(dut).results()


def test_wrong_baud_is_said():
    dut = FakeDut(boots=False)
    dut.say_raw(bytes([0xFE, 0x80, 0x1C, 0xE0, 0x00, 0xFF, 0x83, 0xC2] * 4))
    with pytest.raises(DutTimeout, match="baud"):
        client_of(dut).sync()


def test_the_log_keeps_both_directions_with_times():
    dut = FakeDut()
    client = ready(dut)
    client.name()
    assert [(line.direction, line.text) for line in client.log[-3:]] == [
        (">", "name%"),
        ("<", "m-name-dut-[fake]"),
        ("<", "m-ready"),
    ]


def test_32_bit_counter_that_wraps():
    assert messages.elapsed_us(2**32 - 1000, 500) == 1500
    assert messages.elapsed_us(10, 25) == 15
    with pytest.raises(ToolError, match="backwards"):
        messages.elapsed_us(5_000_000, 1_000)


def test_overlong_line_is_cut():
    splitter = LineSplitter()
    lines = splitter.feed(b"x" * (MAX_LINE_BYTES + 10) + b"\n")
    assert [len(line) for line in lines] == [MAX_LINE_BYTES, 10]


@given(st.binary(max_size=400), st.lists(st.integers(1, 40), max_size=30))
def test_splitter_gives_the_same_lines_for_any_chunking(data, sizes):
    whole = LineSplitter().feed(data)
    splitter, lines, position = LineSplitter(), [], 0
    for size in [*sizes, len(data)]:
        lines += splitter.feed(data[position : position + size])
        position += size
    assert lines == whole
    assert all(line.isprintable() or "\t" in line for line in lines)


PIECES = [b"m-ready\r\n", b"m-infer-start-1\r\n", b"m-lap-us-5\r\n", b"m-lap-us-9\r\n", b"m-infer-done\r\n"]
PIECES += [b"m-results-[0.1]\r\n", b"m-results-[x]\r\n", b"e-[no]\r\n", b"m-init-done\r\n", b"\xff\x00", b"m-"]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=12), max_size=14))
def test_any_answer_gives_a_right_value_or_a_clear_error(pieces):
    dut = FakeDut()
    client = ready(dut, limit_s=0.01)
    answer = b"".join(pieces)
    dut.write = lambda data: dut.say_raw(answer)  # type: ignore[method-assign]
    try:
        result = client.infer(1, 0)
    except EmulabError as error:
        assert "\n" not in str(error)
    else:
        assert result.results == [0.1]
        assert result.elapsed_s in (None, 4e-6, 0.0) or result.elapsed_s > 0
