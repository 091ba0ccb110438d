"""Every QEMU machine computes what the embedded machine computes: outputs of a few inferences, bit for bit.

`mlperf-kws` on the machines with 64 KB of RAM or more; `har-wearable` where test_identical_elf.py, which compares outputs too,
cannot: the embedded backend has no Cortex-M55, whose outputs are compared with those of the Cortex-M33.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from needs import needs_machine

from emulab.backends.base import SessionOptions, load_backend
from emulab.dut.client import DutClient
from emulab.firmware.build import BuildOptions, Firmware, build
from emulab.model.platform import Platform, data_folder, load_platform

INPUTS = 2
LIMIT_S = 600.0
"""Of the host's time, for one command: a loaded host is slow, not wrong."""
MACHINES = [
    "mps2-an385",
    "mps2-an386",
    "netduinoplus2",
    "b-l475e-iot01a",
    "mps2-an500",
    "mps2-an505",
    "mps2-an521",
    "mps3-an547",
    "generic-rv32",
    "opentitan",
]
# Where the embedded backend has no such core, or takes long (the console of OpenTitan): the platform it runs instead.
EMBEDDED = {"mps3-an547": "mps2-an505", "opentitan": "generic-rv32"}


def har() -> Path:
    return data_folder("scenarios") / "har-wearable" / "har_int8.tflite"


def kws() -> Path:
    model = Path(os.environ.get("EMULAB_ASSETS", "/nonexistent")) / "mlperf-tiny" / "models" / "kws_ref_model.tflite"
    if not model.is_file():
        pytest.skip("set EMULAB_ASSETS to a folder with mlperf-tiny/models, or: emulab assets pull")
    return model


def outputs(backend: str, platform: Platform, firmware: Firmware) -> list[list[float]]:
    with load_backend(backend).open(platform, firmware.image, SessionOptions()) as session:
        client = DutClient(session.console, session.clock, limit_s=LIMIT_S)
        client.sync()
        found = []
        for seed in range(INPUTS):
            client.load(random.Random(seed).randbytes(firmware.input_bytes))
            client.infer(1, 0)
            found.append(client.results())
        return found


def firmware_for(name: str, model: Path, model_id: str) -> tuple[Platform, Firmware]:
    platform = load_platform(name).platform
    return platform, build(model, platform, options=BuildOptions(model_id=model_id))


def compare(name: str, model: Callable[[], Path], model_id: str) -> None:
    file = model()
    needs_machine(load_platform(name).platform)
    platform, firmware = firmware_for(name, file, model_id)
    in_qemu = outputs("qemu", platform, firmware)
    if name in EMBEDDED:
        platform, firmware = firmware_for(EMBEDDED[name], file, model_id)
    assert in_qemu == outputs("unicorn", platform, firmware)
    assert len({tuple(o) for o in in_qemu}) == INPUTS, "these inputs cannot tell outputs apart"


def test_activity_recognition() -> None:
    compare("mps3-an547", har, "har01")  # the other machines: test_identical_elf.py


@pytest.mark.parametrize("name", MACHINES)
def test_keyword_spotting(name: str) -> None:
    compare(name, kws, "kws01")


def test_firmware_that_sleeps_for_its_input_repeats() -> None:
    """Until the host speaks no time of the firmware passes, in every version of QEMU."""
    needs_machine(load_platform("hifive1-revb").platform)
    platform, firmware = firmware_for("hifive1-revb", har(), "har01")

    def run() -> tuple[list[float], float]:
        with load_backend("qemu").open(platform, firmware.image, SessionOptions()) as session:
            client = DutClient(session.console, session.clock, limit_s=LIMIT_S)
            client.sync()
            client.load(random.Random(0).randbytes(firmware.input_bytes))
            client.infer(1, 0)
            return client.results(), session.clock.now_s()

    assert run() == run()
