"""Compose a Renode platform description (.repl) and script (.resc) from a platform: models Renode has, ours else.

Registers that only need to hold values and show ready bits become Python peripherals written from the platform's own
register tables, so a platform Renode lacks boots with what it has.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulab.errors import InputError

if TYPE_CHECKING:
    from emulab.model.platform import Platform
    from emulab.model.soc import Peripheral

# Model names: Renode documentation, and the platforms that ship with 1.16.
_UARTS = {
    "stm32-usart": "UART.STM32F7_USART",
    "stm32-usart-v1": "UART.STM32_UART",
    "sifive-uart": "UART.SiFive_UART",
    "ns16550": "UART.NS16550",
    "nrf-uart": "UART.NRF52840_UART",
    "nrf-uarte": "UART.NRF52840_UART",
    "opentitan-uart": "UART.OpenTitan_UART",
    "cmsdk-uart": "UART.CMSDK_APB_UART",
}
_UARTS_WITHOUT_SIZE = ("stm32-usart-v1",)
"""Models that do not say how large they are: a bare address is refused ("Error E21: ... registration point")."""
# What a UART model calls its interrupt where not IRQ, and the arguments its constructor needs (Renode 1.16 sources).
_UART_INTERRUPT = {"cmsdk-uart": "RxInterrupt", "opentitan-uart": "RxWatermarkIRQ"}
_MODELS = {
    "stm32-gpio": "GPIOPort.STM32_GPIOPort",
    "sifive-gpio": "GPIOPort.SiFive_GPIO",
    "nrf-clock": "Miscellaneous.NRF_CLOCK",
}


def _interrupt(peripheral: Peripheral, controller: str) -> str:
    irq = peripheral.irq[0] if isinstance(peripheral.irq, list) else peripheral.irq
    if irq is None or not controller:
        return ""
    return f"    {_UART_INTERRUPT.get(peripheral.type, 'IRQ')} -> {controller}@{irq}\n"


def cpu_type(platform: Platform) -> str:
    """Renode's name of the core: with the CSR and FENCE.I instructions, which it leaves out of RISC-V unless they are named."""
    kind = platform.core.cpu.get("renode", "")
    if platform.core.isa.startswith("rv") and "_" not in kind:
        return f"{kind}_zicsr_zifencei"
    return kind


def _hz(platform: Platform) -> int:
    return round(platform.board.clock_hz)


def core_text(platform: Platform) -> str:
    """CPU and interrupt controllers."""
    kind = platform.core.cpu.get("renode", "")
    if not kind:
        raise InputError(f"platform {platform.name}: core.cpu.renode: missing; Renode's name of {platform.core.name}")
    kind = cpu_type(platform)
    if platform.core.isa.startswith("rv"):
        clint = next((p for p in platform.soc.peripherals.values() if p.type == "clint"), None)
        plic = next((p for p in platform.soc.peripherals.values() if p.type == "plic"), None)
        text = f'cpu: CPU.RiscV32 @ sysbus\n    cpuType: "{kind}"\n'
        text += "    timeProvider: clint\n\n" if clint else "    timeProvider: empty\n\n"
        if clint:
            mtime = platform.board.firmware.get("mtime", {})
            rate = mtime.get("hz", 32768) if isinstance(mtime, dict) else 32768
            text += f"clint: IRQControllers.CoreLevelInterruptor @ sysbus 0x{clint.base:08X}\n"
            text += f"    [0, 1] -> cpu@[3, 7]\n    frequency: {rate}\n\n"
        if plic:
            text += f"plic: IRQControllers.PlatformLevelInterruptController @ sysbus 0x{plic.base:08X}\n"
            text += f"    0 -> cpu@11\n    numberOfSources: {platform.soc.interrupts}\n    numberOfContexts: 1\n\n"
        return text
    mask = 0xFF << (8 - platform.core.interrupt_priority_bits) & 0xFF
    text = f'cpu: CPU.CortexM @ sysbus\n    cpuType: "{kind}"\n    nvic: nvic\n\n'
    text += f"nvic: IRQControllers.NVIC @ sysbus 0xE000E000\n    priorityMask: 0x{mask:02X}\n"
    text += f"    systickFrequency: {_hz(platform)}\n    IRQ -> cpu@0\n\n"
    if not platform.core.isa.startswith(("armv6", "armv8-m.base")):
        text += f"dwt: Miscellaneous.DWT @ sysbus 0xE0001000\n    frequency: {_hz(platform)}\n\n"
    return text


def memory_text(platform: Platform) -> str:
    """Memories; a further base of the same bytes is a second registration."""
    text = ""
    for name, memory in platform.soc.memories.items():
        size = (memory.size_bytes + 0xFFF) & ~0xFFF
        bases = list(dict.fromkeys([memory.base, *memory.aliases]))
        where = "; ".join(f"sysbus 0x{base:08X}" for base in bases)
        place = where if len(bases) == 1 else f"{{ {where} }}"
        text += f"{name}: Memory.MappedMemory @ {place}\n    size: 0x{size:X}\n\n"
    return text


def peripheral_text(platform: Platform) -> str:
    """Peripherals: a Renode model where there is one, register tables else, unmodelled ones as silent tags."""
    controller = "nvic"
    if platform.core.isa.startswith("rv"):
        controller = "plic" if any(p.type == "plic" for p in platform.soc.peripherals.values()) else ""
    text, tags = "", ""
    for name, p in platform.soc.peripherals.items():
        end = p.base + p.size_bytes - 1
        if p.type in ("clint", "plic", "nvic"):
            continue
        if p.type in _UARTS:
            place = f"<0x{p.base:08X}, +0x{p.size_bytes:X}>" if p.type in _UARTS_WITHOUT_SIZE else f"0x{p.base:08X}"
            text += f"{name}: {_UARTS[p.type]} @ sysbus {place}\n"
            if p.type == "stm32-usart":
                text += f"    frequency: {_hz(platform)}\n"
            if p.type == "nrf-uarte":
                text += "    easyDMA: true\n"
            text += _interrupt(p, controller) + "\n"
        elif p.type in _MODELS:
            text += f"{name}: {_MODELS[p.type]} @ sysbus <0x{p.base:08X}, +0x{p.size_bytes:X}>\n\n"
        elif p.type == "registers" and p.parameters.get("registers"):
            script = register_script(p.parameters["registers"])
            text += f"{name}: Python.PythonPeripheral @ sysbus 0x{p.base:08X}\n    size: 0x{p.size_bytes:X}\n"
            text += f"    initable: true\n    script: '''\n{script}'''\n\n"
        else:
            tags += f'        Tag <0x{p.base:08X}, 0x{end:08X}> "{name.upper()}"\n'
    return text + (f"sysbus:\n    init:\n{tags}" if tags else "")


def register_script(registers: dict[str, Any]) -> str:
    """Python that Renode runs per access: reset values, writable bits, bits that follow others, of the
    same register or of another one, or stay at one."""
    rows: list[str] = []
    for name, given in registers.items():
        r: dict[str, Any] = {"offset": given} if isinstance(given, int) else given
        follows = []
        for to, source in r.get("follows", {}).items():
            (low_to, mask), (low_from, _) = _bits(to), _bits(source)
            follows.append((low_to, low_from, mask))
        mirrors = []
        for to, source in r.get("mirrors", {}).items():
            other, _, field = str(source).rstrip("]").partition("[")
            if other in registers:
                (low_to, mask), (low_from, _) = _bits(to), _bits(int(field) if field.isdigit() else field)
                mirrors.append((low_to, _offset(registers[other]), low_from, mask))
        row = (r.get("reset", 0), r.get("writable", 0xFFFFFFFF), r.get("self_clearing", 0), r.get("clear_on_one", 0))
        numbers = ", ".join(map(hex, (*row, r.get("ones", 0))))
        rows.append(f"    0x{r['offset']:X}: ({numbers}, {follows}, {mirrors}), # {name}")
    table = "\n".join(rows)
    return f"""registers = {{
{table}
}}
old = hasattr(request, 'isInit') # Renode 1.15; later its names begin with capitals
offset = int(request.offset if old else request.Offset)
if request.isInit if old else request.IsInit:
    values = dict((at, given[0]) for at, given in registers.items())
def settle(row, value):
    for to, source, mask in row[5]:
        value = (value & ~(mask << to)) | (((value >> source) & mask) << to)
    for to, other, source, mask in row[6]:
        value = (value & ~(mask << to)) | (((values.get(other, 0) >> source) & mask) << to)
    return (value | row[4]) & 0xFFFFFFFF
none = (0, 0xFFFFFFFF, 0, 0, 0, [], [])
row = registers.get(offset, none)
if request.isRead if old else request.IsRead:
    found = settle(row, values.get(offset, 0))
    if old:
        request.value = found
    else:
        request.Value = found
elif request.isWrite if old else request.IsWrite:
    written = int(request.value if old else request.Value)
    plain = row[1] & ~row[3]
    value = (values.get(offset, 0) & ~plain) | (written & plain)
    values[offset] = value & ~(written & row[3]) & ~row[2]
"""


def _offset(given: Any) -> int:
    return int(given if isinstance(given, int) else given["offset"])


def _bits(field: int | str) -> tuple[int, int]:
    if isinstance(field, int):
        return field, 1
    high, _, low = str(field).partition(":")
    return (int(low), (1 << (int(high) - int(low) + 1)) - 1) if low else (int(high), 1)


def compose(platform: Platform) -> str:
    """The whole .repl text."""
    title = f"// {platform.name}: composed by emulab from its platform file\n"
    return title + core_text(platform) + memory_text(platform) + peripheral_text(platform)


def quote(path: Path) -> str:
    """A path as a Monitor argument: ``@`` and escaped blanks."""
    text = str(path)
    if any(c in text for c in "\n\r\"'"):
        raise InputError(f"{text!r}: Renode cannot read a path with quotes or line ends")
    return "@" + text.replace("\\", "/").replace(" ", "\\ ")


def performance_mips(instructions_per_s: float) -> int:
    """Renode's time is instructions at a fixed rate: the core's clock over the mean cost of an instruction of the image
    makes it agree with modelled time."""
    return max(1, round(instructions_per_s / 1e6))


def machine_commands(image: Path, repl: str) -> list[str]:
    """Monitor commands that make the machine. ``repl`` is an argument of LoadPlatformDescription; LoadELF sets the PC."""
    return ['mach create "emulab"', f"machine LoadPlatformDescription {repl}", f"sysbus LoadELF {quote(image)}"]


def time_commands(mips: int) -> list[str]:
    """Monitor commands that set how time passes, as ``emulab_attach`` does, for a script to run by hand."""
    return [
        f"sysbus.cpu PerformanceInMips {mips}",
        "emulation SetGlobalAdvanceImmediately true",
        'emulation SetGlobalQuantum "0.001"',
    ]
