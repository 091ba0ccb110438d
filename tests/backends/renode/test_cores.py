"""Cores and UARTs that Renode models in part: what is built for them, what is refused, what the Monitor is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_elf import write_elf

from emulab.backends.base import SessionOptions, load_backend
from emulab.backends.renode import cores
from emulab.backends.renode.monitor import Monitor
from emulab.errors import InputError
from emulab.firmware.build import BuildOptions, build
from emulab.firmware.image import load_image
from emulab.model.platform import data_folder, load_platform


def test_firmware_for_a_cortex_m55_holds_nothing_renode_executes_wrongly() -> None:
    pytest.importorskip("ziglang", reason="no cross compiler: pip install ziglang")
    platform = load_platform("mps3-an547").platform
    backend = load_backend("renode")
    assert backend.fidelity(platform) == "core"
    model = data_folder("scenarios") / "har-wearable" / "har_int8.tflite"
    ours = build(model, backend.firmware_platform(platform), options=BuildOptions(model_id="har01")).image
    cores.check_image(ours, platform)
    others = build(model, platform, options=BuildOptions(model_id="har01")).image
    with pytest.raises(InputError, match=r"Armv8\.1-M.* --backend qemu"):
        cores.check_image(others, platform)


def test_other_cores_are_left_alone(tmp_path: Path) -> None:
    platform = load_platform("nucleo-l4r5zi").platform
    assert cores.buildable(platform) is platform
    cores.check_image(load_image(write_elf(tmp_path / "firmware.elf")), platform)


@pytest.mark.parametrize(("name", "base", "told"), [("nrf52840-dk", 0, True), ("nucleo-l4r5zi", 0x08000000, False)])
def test_a_nordic_uarte_is_told_to_the_monitor(
    fake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, base: int, told: bool
) -> None:
    sent: list[str] = []
    execute = Monitor.execute

    def recorded(self: Monitor, command: str, limit_s: float = 10.0) -> str:
        sent.append(command)
        return execute(self, command, limit_s)

    monkeypatch.setattr(Monitor, "execute", recorded)
    image = load_image(write_elf(tmp_path / "firmware.elf", base))
    with load_backend("renode").open(load_platform(name).platform, image, SessionOptions()):
        pass
    assert ("emulab_easydma" in sent) == told
