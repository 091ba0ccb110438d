"""A wake-up that comes while the block with WFI is still running, interrupts masked: the sleep ends at once."""

from __future__ import annotations

from pathlib import Path

from emulab.backends.unicorn.machine import Machine
from emulab.firmware.application import build_application
from emulab.model.platform import load_platform

SOURCE = """
#include "emulab_drivers.h"
#include "port.h"

volatile uint32_t turns;
static volatile uint32_t flag;

static void interrupt(void) { flag = 1; }

_Noreturn void emulab_main(void)
{
    emulab_interrupt_attach(54, interrupt);
    for (;;) {
        emulab_wait(&flag, 0); /* WFI with PRIMASK set */
        turns++;
    }
}
"""


def test_no_wake_up_is_lost(tmp_path: Path) -> None:
    source = tmp_path / "wake.c"
    source.write_text(SOURCE)
    platform = load_platform("nucleo-l4r5zi").platform
    image = build_application([source], platform).image
    machine = Machine(platform, image)
    execute, pulses = machine.execute, 0

    def interrupted() -> None:
        """The line rises after WFI was executed, before the machine has begun to wait: nothing else will end the sleep."""
        nonlocal pulses
        execute()
        if machine.core.sleeping and pulses < 20:
            pulses += 1
            machine.core.set_line(54, True, "test")
            machine.core.set_line(54, False, "test")

    machine.execute = interrupted  # type: ignore[method-assign]
    try:
        machine.env.run(until=0.02)
        assert int.from_bytes(machine.peek(image.symbols["turns"].address & ~1, 4), "little") == pulses == 20
        assert machine.waits_for().startswith("sleeps")
    finally:
        machine.close()
