"""Speed of QEMU with the probe: throughput against plain QEMU in one run, and what starting a session costs."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from emulab.backends.base import SessionOptions, load_backend
from emulab.backends.qemu import install
from emulab.firmware.image import Image
from emulab.model.platform import data_folder, load_platform

ROUNDS = 5
ICOUNT = ["-icount", "shift=5,align=off,sleep=on"]


@pytest.fixture(scope="module")
def tools() -> Any:
    """The helpers of the QEMU tests."""
    file = Path(__file__).parent.parent / "backends" / "qemu" / "conftest.py"
    spec = importlib.util.spec_from_file_location("qemu_conftest", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def qemu() -> Any:
    backend = load_backend("qemu")
    found = backend.available()
    if not found.available:
        pytest.skip(f"qemu: {found.reason}; {found.how_to_install}")
    return backend


def cpu_seconds(pid: int) -> float:
    """Processor time QEMU has used: unlike wall time, it does not tell how busy the machine is."""
    threads = Path(f"/proc/{pid}/task")
    if not threads.is_dir():
        pytest.skip("needs /proc to tell the processor time of QEMU")
    return sum(int((t / "schedstat").read_text().split()[0]) for t in threads.iterdir()) / 1e9


def plain_seconds(image: Image, commands: list[bytes], options: list[str]) -> float:
    """Time plain QEMU takes from the last of *commands* to its `m-ready`; best of ROUNDS."""
    command = [install.program("arm"), "-machine", "mps2-an386", "-display", "none", "-monitor", "none"]
    process = subprocess.Popen(
        [*command, "-serial", "stdio", *options, "-kernel", str(image.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    )
    assert process.stdin is not None and process.stdout is not None

    def until_ready() -> None:
        said = b""
        while b"m-ready" not in said:
            said += os.read(process.stdout.fileno(), 4096)

    try:
        until_ready()
        for command in commands[:-1]:
            process.stdin.write(command)
            until_ready()
        best = float("inf")
        for _ in range(ROUNDS):
            begin = cpu_seconds(process.pid)
            process.stdin.write(commands[-1])
            until_ready()
            best = min(best, cpu_seconds(process.pid) - begin)
        return best
    finally:
        process.kill()
        process.wait(10)


def probed_seconds(qemu: Any, tools: Any, image: Image, commands: list[bytes]) -> float:
    """The same with the full profile."""
    with qemu.open(load_platform("mps2-an386").platform, image, SessionOptions()) as session:
        tools.read_until(session, b"m-ready\r\n")
        for command in commands[:-1]:
            session.console.write(command)
            tools.read_until(session, b"m-ready\r\n")
        best = float("inf")
        for _ in range(ROUNDS):
            begin = cpu_seconds(session.process.pid)
            session.console.write(commands[-1])
            tools.read_until(session, b"m-ready\r\n", 120.0)
            best = min(best, cpu_seconds(session.process.pid) - begin)
        return best


def compare(benchmark: Any, qemu: Any, tools: Any, image: Image, commands: list[bytes]) -> None:
    plain = plain_seconds(image, commands, [])
    counting = plain_seconds(image, commands, ICOUNT)
    probed = benchmark.pedantic(lambda: probed_seconds(qemu, tools, image, commands), rounds=1)
    benchmark.extra_info.update(plain_s=plain, icount_s=counting, profile_s=probed)
    benchmark.extra_info.update(of_plain=plain / probed, of_icount=counting / probed)
    assert plain / probed > 0.4


def test_convolution_loop(timed: Any, qemu: Any, tools: Any, tmp_path: Path) -> None:
    """Five instructions and two loads per turn: the worst case for counting."""
    pytest.importorskip("ziglang", reason="no cross compiler: pip install ziglang")
    compare(timed, qemu, tools, tools.compile_behaviours(tmp_path), [b"b"])


def test_keyword_spotting(timed: Any, qemu: Any, tools: Any) -> None:
    """Inferences of the MLPerf Tiny keyword spotter."""
    from emulab.firmware.build import BuildOptions, build

    model = Path(os.environ.get("EMULAB_ASSETS", "/nonexistent")) / "mlperf-tiny" / "models" / "kws_ref_model.tflite"
    if not model.is_file():
        pytest.skip("set EMULAB_ASSETS to a folder with mlperf-tiny/models")
    pytest.importorskip("ziglang", reason="no cross compiler: pip install ziglang")
    firmware = build(model, load_platform("mps2-an386").platform, options=BuildOptions(model_id="kws01"))
    compare(timed, qemu, tools, firmware.image, [b"infer 20 0%"])


def test_start_up(timed: Any, qemu: Any, tools: Any) -> None:
    """From nothing to the DUT's first `m-ready`, compared with plain QEMU doing so: the overhead is under a second."""
    from emulab.firmware.build import BuildOptions, build

    pytest.importorskip("ziglang", reason="no cross compiler: pip install ziglang")
    platform = load_platform("mps2-an386").platform
    model = data_folder("scenarios") / "har-wearable" / "har_int8.tflite"
    image = build(model, platform, options=BuildOptions(model_id="har01")).image

    def start() -> None:
        with qemu.open(platform, image, SessionOptions()) as session:
            tools.read_until(session, b"m-ready\r\n")

    start()  # the probe is compiled once
    timed.pedantic(start, rounds=ROUNDS)
    assert timed.stats.stats.median < 1.0
