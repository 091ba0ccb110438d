"""One suite for every backend that executes firmware and is present: what a session owes its callers.

``fake-renode`` is the Renode backend on a Monitor that behaves like recorded sessions (tests/backends/renode/fake_renode.py).
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from emulab.backends.base import Clock, Console, Profiler, SessionOptions, load_backend
from emulab.dut.client import DutClient
from emulab.errors import EmulabError, InputError
from emulab.firmware.build import BuildOptions, Firmware, build
from emulab.model.platform import Platform, data_folder, load_platform
from emulab.model.scenario import Window

PLATFORM = {"unicorn": "mps2-an386", "qemu": "mps2-an386", "renode": "nucleo-l4r5zi"}
INFERENCE = Window(name="inference", start="console:m-infer-start", stop="console:m-infer-done")


@dataclass
class Subject:
    """A backend with a platform and firmware it can run."""

    backend: Any
    platform: Platform
    firmware: Firmware

    def open(self, *windows: Window) -> Any:
        return self.backend.open(self.platform, self.firmware.image, SessionOptions(windows=windows))


@pytest.fixture(scope="module", params=["unicorn", "qemu", "renode", "fake-renode"])
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "fake-renode":
            fake = Path(__file__).parent.parent / "renode" / "fake_renode.py"
            patch.setenv("RENODE", f"{sys.executable} {fake}")
            patch.setenv("FAKE_RENODE_INFERENCE", "20000")
        yield of_backend(request.param.removeprefix("fake-"))


def of_backend(name: str) -> Subject:
    backend = load_backend(name)
    found = backend.available()
    if not found.available:
        pytest.skip(f"{name}: {found.reason}; install it with: {found.how_to_install}")
    platform = load_platform(PLATFORM[name]).platform
    pytest.importorskip("ziglang", reason="no cross compiler: pip install ziglang")
    model = data_folder("scenarios") / "har-wearable" / "har_int8.tflite"
    return Subject(backend, platform, build(model, platform, options=BuildOptions(model_id="har01")))


def inputs(firmware: Firmware, seed: int = 0) -> bytes:
    import random

    return random.Random(seed).randbytes(firmware.input_bytes)


def infer(session: Any, data: bytes) -> list[float]:
    client = DutClient(session.console, session.clock, limit_s=60)
    client.sync()
    client.load(data)
    client.infer(1, 0)
    results: list[float] = client.results()
    return results


def test_parts(subject: Subject) -> None:
    with subject.open() as session:
        assert isinstance(session.console, Console)
        assert isinstance(session.clock, Clock)
        assert session.clock.kind == "virtual"
        assert session.profiler is None or isinstance(session.profiler, Profiler)
        assert all(isinstance(note, str) for note in session.notes())
        assert isinstance(session.details(), dict)
        assert session.gpio_edges("PA0") == []


def test_an_inference_and_its_window(subject: Subject) -> None:
    with subject.open(INFERENCE) as session:
        before = session.clock.now_s()
        results = infer(session, inputs(subject.firmware))
        assert session.clock.now_s() > before
        (window,) = session.profiler.windows()
    assert len(results) == 7 and sum(results) == pytest.approx(1.0, abs=0.02)
    assert window.name == "inference" and window.index == 0
    assert window.stop_s > window.start_s >= 0
    profile = window.profile
    assert profile.instructions > 10_000
    assert profile.cycles >= profile.instructions * 0.5
    if profile.blocks:
        assert sum(b.count * b.instructions for b in profile.blocks) == pytest.approx(profile.instructions, abs=50)


def test_two_runs_are_equal(subject: Subject) -> None:
    def run() -> Any:
        with subject.open(INFERENCE) as session:
            return infer(session, inputs(subject.firmware)), session.profiler.windows(), session.clock.now_s()

    assert run() == run()


def test_a_window_that_occurs_again_is_counted_again(subject: Subject) -> None:
    with subject.open(INFERENCE) as session:
        client = DutClient(session.console, session.clock, limit_s=60)
        client.sync()
        client.load(inputs(subject.firmware))
        for _ in range(3):
            client.infer(1, 0)
        found = session.profiler.windows()
    assert [w.index for w in found] == [0, 1, 2]
    assert all(a.stop_s <= b.start_s for a, b in itertools.pairwise(found))


def test_markers_bound_an_inference(subject: Subject) -> None:
    """The window that ``emulab run`` measures firmware of emulab by: stores to two variables, not code and not lines."""
    marked = Window(name="marked", start="marker:inference.begin", stop="marker:inference.end")
    with subject.open(INFERENCE, marked) as session:
        infer(session, inputs(subject.firmware))
        found = {window.name: window for window in session.profiler.windows()}
    assert set(found) == {"inference", "marked"}
    inner, outer = found["marked"], found["inference"]
    assert outer.start_s <= inner.start_s < inner.stop_s <= outer.stop_s
    assert 10_000 < inner.profile.instructions <= outer.profile.instructions


def test_closing_twice_and_early(subject: Subject) -> None:
    session = subject.open()
    session.close()
    session.close()
    with subject.open():
        pass


def test_an_unknown_symbol_is_refused(subject: Subject) -> None:
    with pytest.raises(InputError, match="no_such_symbol"):
        subject.open(Window(name="w", start="no_such_symbol", stop="emulab_main"))


def test_an_image_for_another_core_is_refused(subject: Subject) -> None:
    board = load_platform("generic-rv32").platform
    with pytest.raises(InputError, match="the image is for arm"):
        subject.backend.open(board, subject.firmware.image, SessionOptions())


def test_waiting_in_vain_ends(subject: Subject) -> None:
    with subject.open() as session:
        client = DutClient(session.console, session.clock, limit_s=60)
        client.sync()
        start = time.monotonic()
        try:
            assert session.console.read(0.3) == b""
        except EmulabError as error:  # a backend may know that nothing can come
            assert "\n" not in str(error)
        assert time.monotonic() - start < 120.0
        assert "PC 0x" in session.describe_state() or "0x" in session.describe_state()


def test_nothing_is_left_behind(subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    descriptors = Path("/proc/self/fd")
    subject.open().close()  # libraries are loaded once and stay
    before = len(os.listdir(descriptors)) if descriptors.exists() else 0
    for _ in range(3):
        with subject.open(INFERENCE) as session:
            infer(session, inputs(subject.firmware))
    after = len(os.listdir(descriptors)) if descriptors.exists() else 0
    assert after <= before + 2
    assert not list(tmp_path.iterdir())
