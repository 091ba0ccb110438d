"""The identical ELF in QEMU and in the embedded machine: equal outputs, instructions, and counts per instruction.

The window lies between two symbols of the inference, where no interrupt is taken: the test platforms poll their console, and
their timer interrupts once in 2^24 cycles.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from needs import needs_machine

from emulab.backends.base import SessionOptions, load_backend
from emulab.dut.client import DutClient
from emulab.firmware.build import BuildOptions, build
from emulab.model.platform import data_folder, load_platform
from emulab.model.scenario import Window
from emulab.timing import load_timing

# Cycles are equal as well where both engines cut the code into the same blocks. They do not everywhere: QEMU ends a block
# where its translation buffer is full, the embedded engine goes on; each cut hides one overlap of two instructions.
PLATFORMS = {
    "mps2-an385": 0.005,
    "mps2-an386": 0.005,
    "mps2-an500": 0.02,
    "mps2-an505": 1e-4,
    "mps2-an521": 1e-4,
    "netduinoplus2": 0.005,
    "stm32vldiscovery": 0.005,
    "b-l475e-iot01a": 0.005,
    "microbit": 1e-5,
    "generic-rv32": 1e-5,
    "opentitan": 1e-5,
    "hifive1-revb": 1e-5,
}


@pytest.mark.parametrize("name", PLATFORMS)
def test_identical_elf(name: str) -> None:
    platform = load_platform(name).platform
    needs_machine(platform)
    backends = {backend: load_backend(backend) for backend in ("qemu", "unicorn")}
    firmware = build(
        data_folder("scenarios") / "har-wearable" / "har_int8.tflite", platform, options=BuildOptions(model_id="har01")
    )
    window = Window(name="layers", start=firmware.layers[0].symbol, stop="emulab_layer_end")
    timing, data = load_timing(platform), random.Random(1).randbytes(firmware.input_bytes)

    stacks: dict[str, int] = {}

    def run(backend: str) -> tuple[list[float], Any, Counter[int]]:
        with backends[backend].open(platform, firmware.image, SessionOptions(windows=(window,))) as session:
            client = DutClient(session.console, session.clock, limit_s=60)
            client.sync()
            client.load(data)
            client.infer(1, 0)
            results = client.results()
            profile = session.profiler.windows()[0].profile
            stacks[backend] = session.details()["stack_bytes"]
        executed: Counter[int] = Counter()
        for block in profile.blocks:
            for offset in timing.block(block.address, firmware.image.read(block.address, block.size_bytes)).offsets:
                executed[block.address + offset] += block.count
        return results, profile, executed

    in_qemu, qemu_profile, qemu_executed = run("qemu")
    embedded, profile, executed = run("unicorn")
    assert in_qemu == embedded
    assert stacks["qemu"] == stacks["unicorn"] > 0
    assert qemu_profile.instructions == profile.instructions
    assert +qemu_executed == +executed
    # one cycle: each engine rounds its own sum of 1/256 cycles
    assert qemu_profile.cycles == pytest.approx(profile.cycles, rel=PLATFORMS[name], abs=1)
