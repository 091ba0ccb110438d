"""Worst-case stack from the machine code: frame of every function, deepest chain of calls, interrupts on top.

An upper bound where it gives a number: every allocation of a function counts, whichever branch makes it. It gives none
where the code hides the depth (a call through a pointer, recursion, an allocation of variable size) or where an
instruction cannot be decoded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emulab.firmware.image import Image

# What the hardware pushes when an interrupt is taken, with the padding to 8 bytes: Arm DDI 0403 B1.5.6.
_ARM_FRAME, _ARM_FRAME_FPU = 32 + 4, 104 + 4

_NUMBER = r"#?(-?(?:0x[0-9a-f]+|\d+))"


class StackUnknown(Exception):
    """The depth cannot be told; says why."""


@dataclass
class _Function:
    name: str
    frame: int = 0
    calls: set[int] = field(default_factory=set)
    has_local_labels: bool = False
    """It takes addresses of its own code: a jump through a register stays inside."""
    unknown: str = ""


def static_stack(
    image: Image, roots: Iterable[str] = ("emulab_reset",), interrupts: Iterable[str] = (), fpu: bool = False
) -> int:
    """Most bytes of stack that *image* can use: the deepest of *roots* plus the deepest of *interrupts*.

    Interrupts do not nest here, as all have one priority. Raises StackUnknown with the reason.
    """
    analysis = _Analysis(image)
    deepest = max((analysis.depth_of(name) for name in roots), default=0)
    handlers = [analysis.depth_of(name) for name in interrupts]
    if handlers and image.arch == "arm":
        deepest += _ARM_FRAME_FPU if fpu else _ARM_FRAME
    return deepest + max(handlers, default=0)


class _Analysis:
    def __init__(self, image: Image) -> None:
        import capstone

        self.image = image
        self.arm = image.arch == "arm"
        if self.arm:
            self.decoder: Any = capstone.Cs(
                capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS | capstone.CS_MODE_V8
            )
        else:
            self.decoder = capstone.Cs(capstone.CS_ARCH_RISCV, capstone.CS_MODE_RISCV32 | capstone.CS_MODE_RISCVC)
        self.decoder.skipdata = True
        self.starts = sorted({s.address for s in image.all_symbols if self._is_code(s.address, s.kind)})
        self.data = _data_ranges(image) if self.arm else []
        self.functions: dict[int, _Function] = {}
        self.depths: dict[int, int] = {}

    def _is_code(self, address: int, kind: str) -> bool:
        return kind == "function" or (kind == "other" and self._text(address) is not None)

    def _text(self, address: int) -> tuple[int, int] | None:
        for section in self.image.sections:
            if section.kind in ("text", "rodata") and section.address <= address < section.address + section.size:
                return section.address, section.address + section.size
        return None

    def depth_of(self, name: str) -> int:
        symbol = self.image.symbols.get(name)
        if symbol is None:
            raise StackUnknown(f"there is no function {name}")
        return self._depth(symbol.address, ())

    def _depth(self, address: int, path: tuple[int, ...]) -> int:
        if address in self.depths:
            return self.depths[address]
        if address in path:
            raise StackUnknown(f"{self.image.describe(address)} is recursive")
        function = self._function(address)
        if function.unknown:
            raise StackUnknown(f"{function.name}: {function.unknown}")
        below = max((self._depth(callee, (*path, address)) for callee in function.calls), default=0)
        self.depths[address] = function.frame + below
        return self.depths[address]

    def _function(self, address: int) -> _Function:
        if address not in self.functions:
            self.functions[address] = self._decode(address)
        return self.functions[address]

    def _end(self, address: int) -> int:
        symbol = self.image.symbol_at(address)
        if symbol is not None and symbol.address == address and symbol.size:
            return address + symbol.size
        text = self._text(address)
        later = [start for start in self.starts if start > address]
        return min(later[0] if later else 2**32, text[1] if text else address)

    def _decode(self, start: int) -> _Function:
        function = _Function(self.image.describe(start))
        end = self._end(start)
        position = start
        previous: tuple[str, str] = ("", "")
        while position < end:
            stop = end
            for low, high in self.data:
                if low <= position < high:
                    position = high
                elif position < low < stop:
                    stop = low
            if position >= stop:
                continue
            for instruction in self.decoder.disasm(self.image.read(position, stop - position), position):
                now = (instruction.mnemonic, instruction.op_str)
                if now[0] == ".byte":
                    if self.arm or any(instruction.bytes):
                        function.unknown = f"undecoded bytes at 0x{instruction.address:08x}"
                    continue
                if now[0].startswith(("sub", "c.sub")) and re.fullmatch(r"\w+, sp, (?!#)[a-z]\w*", now[1]):
                    function.unknown = "stack of variable size"
                elif self.arm:
                    self._arm(function, now, instruction.address, start, end)
                else:
                    self._riscv(function, now, previous, instruction.address, start, end)
                previous = now
            position = stop
        return function

    def _call(self, function: _Function, target: int, start: int, end: int, is_jump: bool) -> None:
        target &= ~1 if self.arm else ~0
        if start <= target < end and (is_jump or target != start):
            return
        symbol = self.image.symbol_at(target)
        function.calls.add(symbol.address if symbol is not None else target)

    def _arm(self, function: _Function, now: tuple[str, str], address: int, start: int, end: int) -> None:
        mnemonic, operands = now[0].removesuffix(".w"), now[1]
        if mnemonic in ("push", "vpush") or (mnemonic.startswith("stmdb") and operands.startswith("sp!")):
            function.frame += _registers(operands, 8 if re.search(r"\bd\d", operands) else 4)
        elif match := re.fullmatch(rf"sp, (?:sp, )?{_NUMBER}", operands):
            if mnemonic in ("sub", "subw", "subs"):
                function.frame += int(match[1], 0)
        elif match := re.search(rf"\[sp, {_NUMBER}\]!$", operands):
            function.frame += max(-int(match[1], 0), 0)
        elif mnemonic.startswith(("sub", "mov", "add")) and operands.startswith("sp, ") and "#" not in operands:
            # leaving a frame pointer's frame gives back; anything else is an allocation of variable size
            if mnemonic.startswith("sub"):
                function.unknown = "stack of variable size"
        elif mnemonic in ("bl", "blx") and operands.startswith("#"):
            self._call(function, int(operands[1:], 0), start, end, is_jump=False)
        elif match := re.fullmatch(rf"\w+, (?:pc, )?{_NUMBER}", operands) if mnemonic in ("adr", "addw") else None:
            label = (address + 4 & ~3) + int(match[1], 0)
            function.has_local_labels |= start <= label < end
        elif mnemonic.startswith(("blx", "bx")) and operands != "lr":
            if mnemonic.startswith("blx") or not function.has_local_labels:
                function.unknown = "a call through a pointer"
        elif re.fullmatch(r"b|b(?:eq|ne|cs|hs|cc|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)|cbn?z", mnemonic):
            target = operands.rpartition("#")[2]
            self._call(function, int(target, 0), start, end, is_jump=True)

    def _riscv(
        self,
        function: _Function,
        now: tuple[str, str],
        previous: tuple[str, str],
        address: int,
        start: int,
        end: int,
    ) -> None:
        mnemonic, operands = now[0].removeprefix("c."), now[1]
        if match := re.fullmatch(rf"sp, (?:sp, )?{_NUMBER}", operands):
            # behind auipc or lui it loads the stack pointer, which the reset does
            if mnemonic in ("addi", "addi16sp") and not previous[1].startswith("sp, "):
                function.frame += max(-int(match[1], 0), 0)
        elif mnemonic in ("sub", "add") and operands.startswith("sp, sp, "):
            function.unknown = "stack of variable size"
        elif mnemonic in ("jal", "j", "beqz", "bnez") or (mnemonic.startswith("b") and "," in operands):
            parts = operands.split(", ")
            link = mnemonic == "jal" and parts[0] != "zero"
            self._call(function, address + int(parts[-1], 0), start, end, is_jump=not link)
        elif mnemonic in ("jalr", "jr"):
            self._riscv_register_jump(function, now, previous, address, start, end)

    def _riscv_register_jump(
        self,
        function: _Function,
        now: tuple[str, str],
        previous: tuple[str, str],
        address: int,
        start: int,
        end: int,
    ) -> None:
        """A return, the second half of auipc + jalr, or a call through a pointer."""
        operands = now[1]
        if now[0].removeprefix("c.") == "jr" and operands == "ra":
            return
        pair = re.fullmatch(rf"(\w+), {_NUMBER}", previous[1]) if previous[0] == "auipc" else None
        match = re.search(rf"(?:{_NUMBER}\((\w+)\)|(\w+), {_NUMBER}|(\w+))$", operands)
        if pair and match:
            offset = int(match[1] or match[4] or "0", 0)
            page = int(pair[2], 0) << 12
            self._call(function, (address - 4 + page + offset) & 0xFFFFFFFF, start, end, is_jump=False)
            return
        if operands in ("zero, 0(ra)", "zero, ra, 0", "ra") and now[0] in ("jalr", "ret"):
            return
        function.unknown = "a call through a pointer"


def _registers(text: str, bytes_each: int) -> int:
    inside = text[text.index("{") + 1 : text.index("}")]
    count = 0
    for part in inside.split(","):
        low, _, high = part.strip().partition("-")
        count += 1 if not high else int(re.sub(r"\D", "", high)) - int(re.sub(r"\D", "", low)) + 1
    return count * bytes_each


def _data_ranges(image: Image) -> list[tuple[int, int]]:
    """Literal pools and jump tables inside code: from a $d mapping symbol to the next $t (Arm AAELF32 5.5.5)."""
    from elftools.elf.elffile import ELFFile
    from elftools.elf.sections import SymbolTableSection

    marks: list[tuple[int, bool]] = []
    with image.path.open("rb") as stream:
        for section in ELFFile(stream).iter_sections():
            if isinstance(section, SymbolTableSection):
                for symbol in section.iter_symbols():
                    if symbol.name.startswith(("$d", "$t")):
                        marks.append((symbol["st_value"] & ~1, symbol.name.startswith("$d")))
    marks.sort()
    ranges: list[tuple[int, int]] = []
    for index, (address, is_data) in enumerate(marks):
        if is_data:
            end = next((a for a, d in marks[index + 1 :] if not d), 2**32)
            ranges.append((address, end))
    code = [(s.address, s.address + s.size) for s in image.sections if s.kind == "text"]
    return [(low, high) for low, high in ranges if any(a <= low < b for a, b in code)]
