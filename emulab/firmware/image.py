"""Read a firmware image (ELF, Intel HEX, BIN with base): what is loaded where, its symbols and sections.

ELF is parsed by pyelftools and HEX by intelhex; this file decides what the rest of emulab sees of them and
turns every way a file can be broken into one line.
"""

from __future__ import annotations

import bisect
import hashlib
import io
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from emulab.errors import InputError
from emulab.model.files import read_input

if TYPE_CHECKING:
    from emulab.model.platform import Platform

Format = Literal["elf", "hex", "bin"]
Arch = Literal["arm", "riscv"]
SymbolKind = Literal["function", "object", "other"]
SectionKind = Literal["text", "rodata", "data", "bss", "other"]

_MAX_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Symbol:
    """A symbol of an ELF. ``address`` of Arm functions is without the Thumb bit, so it compares with a PC."""

    name: str
    address: int
    size: int
    kind: SymbolKind


@dataclass(frozen=True, slots=True)
class Section:
    """An allocated section. ``load_address`` differs from ``address`` for .data kept in flash."""

    name: str
    address: int
    size: int
    kind: SectionKind
    load_address: int

    @property
    def in_file(self) -> bool:
        """Whether the section occupies bytes of the image (flash), not only memory."""
        return self.kind != "bss"


@dataclass(frozen=True)
class Image:
    """A firmware image as the backends load it.

    ``segments`` are (load address, bytes), ascending. ``footprint`` are the (address, size) ranges the program
    occupies when running, .bss included. ``entry`` is without the Thumb bit, None where the format has none.
    """

    path: Path
    format: Format
    segments: tuple[tuple[int, bytes], ...]
    entry: int | None
    symbols: Mapping[str, Symbol]
    sections: tuple[Section, ...]
    sha256: str
    arch: Arch | None
    footprint: tuple[tuple[int, int], ...]
    all_symbols: tuple[Symbol, ...] = field(default=(), repr=False)

    @cached_property
    def _by_address(self) -> tuple[list[int], list[Symbol]]:
        rank = {"function": 0, "object": 1, "other": 2}
        best: dict[int, Symbol] = {}
        for symbol in self.all_symbols:
            known = best.get(symbol.address)
            if known is None or (rank[symbol.kind], -symbol.size) < (rank[known.kind], -known.size):
                best[symbol.address] = symbol
        ordered = sorted(best.values(), key=lambda s: s.address)
        return [s.address for s in ordered], ordered

    def symbol_at(self, address: int) -> Symbol | None:
        """The symbol whose range holds *address* (without a size: up to the next symbol), else None."""
        starts, ordered = self._by_address
        index = bisect.bisect_right(starts, address) - 1
        while index >= 0:
            symbol = ordered[index]
            if symbol.size:
                return symbol if address < symbol.address + symbol.size else None
            if symbol.kind == "function" or address == symbol.address or self._same_section(symbol, address):
                return symbol
            index -= 1
        return None

    def _same_section(self, symbol: Symbol, address: int) -> bool:
        return any(
            s.address <= symbol.address < s.address + s.size and s.address <= address < s.address + s.size
            for s in self.sections
        )

    def describe(self, address: int) -> str:
        """``symbol+0x10`` for *address*, or the bare address where no symbol holds it."""
        symbol = self.symbol_at(address)
        if symbol is None:
            return f"0x{address:08x}"
        offset = address - symbol.address
        return symbol.name if offset == 0 else f"{symbol.name}+0x{offset:x}"

    def resolve(self, place: str) -> int:
        """Address of ``symbol``, ``symbol+offset`` or a number (0x... or decimal).

        InputError names the closest symbol when there is no such symbol.
        """
        text = place.strip()
        match = re.fullmatch(r"(.+?)(?:\s*([+-])\s*(0[xX][0-9a-fA-F]+|\d+))?", text)
        if not match:
            raise InputError.at(self.path, "", f"{place!r} is not a symbol, symbol+offset or address")
        name, sign, offset_text = match.groups()
        offset = int(offset_text, 0) if offset_text else 0
        if sign == "-":
            offset = -offset
        if re.fullmatch(r"0[xX][0-9a-fA-F]+|\d+", name):
            return int(name, 0) + offset
        symbol = self.symbols.get(name)
        if symbol is None:
            import difflib

            close = difflib.get_close_matches(name, self.symbols, n=1, cutoff=0.5)
            hint = f"did you mean {close[0]!r}?" if close else f"the {self.format} has {len(self.symbols)} symbols"
            raise InputError.at(self.path, "", f"no symbol {name!r}; {hint}")
        return symbol.address + offset

    def read(self, address: int, size: int) -> bytes:
        """*size* bytes as loaded at *address*; InputError where the image has none."""
        for start, data in self.segments:
            if start <= address and address + size <= start + len(data):
                return data[address - start : address - start + size]
        raise InputError.at(self.path, f"0x{address:08x}", f"the image has no {size} bytes here")

    def word(self, address: int) -> int:
        """The little-endian 32-bit word at *address*."""
        return int.from_bytes(self.read(address, 4), "little")

    @property
    def size_bytes(self) -> int:
        """Bytes loaded, i.e. flash used where everything is in flash."""
        return sum(len(data) for _, data in self.segments)

    def check_fits(self, platform: Platform) -> None:
        """InputError when the image is for another architecture or leaves the platform's memories."""
        arch = platform_arch(platform)
        if self.arch is not None and self.arch != arch:
            raise InputError.at(
                self.path,
                "",
                f"the image is for {self.arch}, but {platform.name} has a {platform.core.name} ({platform.core.isa})",
            )
        ranges = list(_merged_ranges(platform))
        for address, size in (*((a, len(d)) for a, d in self.segments), *self.footprint):
            if size and not any(base <= address and address + size <= end for base, end in ranges):
                memories = ", ".join(
                    f"{name} 0x{m.base:08x}-0x{m.base + m.size_bytes:08x}" for name, m in platform.soc.memories.items()
                )
                raise InputError.at(
                    self.path,
                    f"0x{address:08x}-0x{address + size:08x}",
                    f"lies outside the memories of {platform.name} ({memories})",
                )


def platform_arch(platform: Platform) -> Arch:
    """Instruction set family of the platform's core."""
    return "riscv" if platform.core.isa.startswith("rv") else "arm"


def _merged_ranges(platform: Platform) -> Iterator[tuple[int, int]]:
    """Address ranges backed by memory, adjacent ones joined (SRAM1..3 are often one block)."""
    ranges: list[tuple[int, int]] = []
    for memory in platform.soc.memories.values():
        ranges += [(base, base + memory.size_bytes) for base in (memory.base, *memory.aliases)]
    ranges += [(a["base"], a["base"] + a["size_bytes"]) for a in platform.soc.aliases if "size_bytes" in a]
    current: tuple[int, int] | None = None
    for base, end in sorted(ranges):
        if current is not None and base <= current[1]:
            current = (current[0], max(current[1], end))
            continue
        if current is not None:
            yield current
        current = (base, end)
    if current is not None:
        yield current


def load_image(path: str | Path, base: int | None = None) -> Image:
    """Read a firmware image; the format is told from the content (ELF magic, HEX records), else it is a BIN.

    *base* is the load address of a BIN and is refused for the other formats. Raises InputError (one line) for a
    file that is missing, empty, truncated, has a bad checksum, or is a BIN without base.
    """
    file = Path(path)
    content = read_input(file, _MAX_BYTES, "a firmware image (ELF, HEX or BIN)")
    if not content:
        raise InputError.at(file, "", "the file is empty; expected a firmware image (ELF, HEX or BIN)")
    suffix = file.suffix.lower()
    is_elf = content.startswith(b"\x7fELF") or suffix in (".elf", ".axf")
    is_hex = not is_elf and (suffix in (".hex", ".ihex", ".ihx") or _looks_like_hex(content))
    if (is_elf or is_hex) and base is not None:
        raise InputError.at(
            file, "", f"a base address is for BIN images only; this is {'an ELF' if is_elf else 'Intel HEX'}"
        )
    if is_elf:
        return _load_elf(file, content)
    if is_hex:
        return _load_hex(file, content)
    if base is None:
        raise InputError.at(file, "", "a BIN image needs its load address (base), e.g. 0x08000000; none was given")
    if base < 0 or base + len(content) > 2**32:
        raise InputError.at(file, "", f"base 0x{base:x} does not leave room for {len(content)} bytes below 4 GiB")
    return _image(file, content, "bin", [(base, content)])


def _looks_like_hex(content: bytes) -> bool:
    return re.match(rb"\s*:[0-9A-Fa-f]{10}", content[:64]) is not None


def _image(
    file: Path,
    content: bytes,
    format: Format,
    segments: Iterable[tuple[int, bytes]],
    *,
    entry: int | None = None,
    symbols: Iterable[Symbol] = (),
    sections: Iterable[Section] = (),
    arch: Arch | None = None,
    footprint: Iterable[tuple[int, int]] | None = None,
) -> Image:
    ordered = tuple(sorted((a, d) for a, d in segments if d))
    for (low, data), (high, _) in itertools.pairwise(ordered):
        if low + len(data) > high:
            raise InputError.at(file, f"0x{high:08x}", f"is loaded twice: also by the segment at 0x{low:08x}")
    everything = tuple(symbols)
    named: dict[str, Symbol] = {}
    for symbol in everything:
        named.setdefault(symbol.name, symbol)
    return Image(
        path=file,
        format=format,
        segments=ordered,
        entry=entry,
        symbols=named,
        sections=tuple(sections),
        sha256=hashlib.sha256(content).hexdigest(),
        arch=arch,
        footprint=tuple(sorted(footprint)) if footprint is not None else tuple((a, len(d)) for a, d in ordered),
        all_symbols=everything,
    )


def _load_hex(file: Path, content: bytes) -> Image:
    from intelhex import HexReaderError, IntelHex

    reader = IntelHex()
    try:
        text = content.decode("ascii")
        reader.loadhex(io.StringIO(text))
    except UnicodeDecodeError as error:
        raise InputError.at(file, f"byte {error.start}", "not Intel HEX: a byte that is not ASCII") from None
    except (HexReaderError, ValueError, KeyError, IndexError) as error:
        line = getattr(error, "line", None)
        what = str(error).rstrip(".") or type(error).__name__
        raise InputError.at(file, f"line {line}" if line else "", f"not valid Intel HEX: {what}") from None
    if not re.search(r"^\s*:00[0-9A-Fa-f]{4}01FF", text, re.MULTILINE | re.IGNORECASE):
        raise InputError.at(file, "", "Intel HEX without its end record (:00000001FF); the file is truncated")
    segments = [(low, bytes(reader.tobinarray(start=low, end=high - 1))) for low, high in reader.segments()]
    if not segments:
        raise InputError.at(file, "", "Intel HEX without any data record")
    start: dict[str, int] = reader.start_addr or {}
    entry = start.get("EIP")
    if entry is None and "CS" in start:
        entry = start["CS"] * 16 + start.get("IP", 0)
    return _image(file, content, "hex", segments, entry=entry)


_ARCHES: dict[str, Arch] = {"EM_ARM": "arm", "EM_RISCV": "riscv"}
_SYMBOL_KINDS: dict[str, SymbolKind] = {"STT_FUNC": "function", "STT_OBJECT": "object", "STT_NOTYPE": "other"}


def _load_elf(file: Path, content: bytes) -> Image:
    try:
        return _parse_elf(file, content)
    except InputError:
        raise
    except Exception as error:  # pyelftools meets broken files with whatever its parser trips over
        what = str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
        raise InputError.at(file, "", f"not a valid ELF (truncated or damaged): {what}") from None


def _parse_elf(file: Path, content: bytes) -> Image:
    from elftools.elf.elffile import ELFFile
    from elftools.elf.sections import SymbolTableSection

    elf: Any = ELFFile(io.BytesIO(content))
    header = elf.header
    arch = _ARCHES.get(header["e_machine"])
    if arch is None:
        raise InputError.at(file, "", f"the ELF is for {header['e_machine']}; expected Arm or RISC-V")
    if elf.elfclass != 32 or not elf.little_endian:
        endian = "little" if elf.little_endian else "big"
        raise InputError.at(file, "", f"expected a 32-bit little-endian ELF, found {elf.elfclass}-bit {endian}-endian")
    if header["e_type"] != "ET_EXEC":
        raise InputError.at(file, "", f"expected a linked executable (ET_EXEC), found {header['e_type']}")
    for what, offset, count, size in (
        ("program headers", header["e_phoff"], header["e_phnum"], header["e_phentsize"]),
        ("section headers", header["e_shoff"], header["e_shnum"], header["e_shentsize"]),
    ):
        if count and offset + count * size > len(content):
            raise InputError.at(
                file, "", f"truncated ELF: {what} end at byte {offset + count * size}, the file has {len(content)}"
            )

    loads: list[tuple[int, int, int, int]] = []  # offset in file, virtual, load address, size in file
    segments: list[tuple[int, bytes]] = []
    footprint: list[tuple[int, int]] = []
    for segment in elf.iter_segments():
        if segment["p_type"] != "PT_LOAD":
            continue
        offset, filesz, memsz = segment["p_offset"], segment["p_filesz"], segment["p_memsz"]
        if offset + filesz > len(content):
            raise InputError.at(
                file, "", f"truncated ELF: a segment ends at byte {offset + filesz}, the file has {len(content)}"
            )
        # the header itself is often part of the first segment of a hosted link; here every byte counts
        segments.append((segment["p_paddr"], content[offset : offset + filesz]))
        footprint.append((segment["p_vaddr"], memsz))
        loads.append((offset, segment["p_vaddr"], segment["p_paddr"], filesz))
    if not any(data for _, data in segments):
        raise InputError.at(file, "", "the ELF has no loadable segment")

    sections: list[Section] = []
    symbols: list[Symbol] = []
    for section in elf.iter_sections():
        nobits = section["sh_type"] == "SHT_NOBITS"
        if not nobits and section["sh_type"] != "SHT_NULL" and section["sh_offset"] + section["sh_size"] > len(content):
            raise InputError.at(file, section.name, "truncated ELF: the section ends beyond the file")
        if section["sh_flags"] & 0x2 and section["sh_size"]:
            address = section["sh_addr"]
            load_address = next(
                (p + address - v for _, v, p, n in loads if n and v <= address < v + n and not nobits), address
            )
            kind = _section_kind(section)
            if kind == "rodata" and load_address != address:
                kind = "data"  # constants copied to RAM occupy both
            sections.append(Section(section.name, address, section["sh_size"], kind, load_address))
        if isinstance(section, SymbolTableSection) and section["sh_type"] == "SHT_SYMTAB":
            symbols += _symbols(section, arch)
    entry = header["e_entry"] & ~1 if arch == "arm" else header["e_entry"]
    return _image(
        file,
        content,
        "elf",
        segments,
        entry=entry,
        symbols=symbols,
        sections=sections,
        arch=arch,
        footprint=footprint,
    )


def _section_kind(section: Any) -> SectionKind:
    flags = section["sh_flags"]
    if section["sh_type"] == "SHT_NOBITS":
        return "bss"
    if flags & 0x4:
        return "text"
    return "data" if flags & 0x1 else "rodata"


def _symbols(table: Any, arch: Arch) -> list[Symbol]:
    """Named symbols with an address, globals before locals so that they win a name."""
    ranked: list[tuple[int, Symbol]] = []
    for symbol in table.iter_symbols():
        info = symbol["st_info"]
        kind = _SYMBOL_KINDS.get(info["type"])
        # $t, $d, $x... mark instruction sets and data; .L are assembler temporaries
        if kind is None or symbol["st_shndx"] == "SHN_UNDEF" or not symbol.name or symbol.name.startswith(("$", ".L")):
            continue
        address = symbol["st_value"]
        if arch == "arm" and kind == "function":
            address &= ~1
        rank = 1 if info["bind"] == "STB_LOCAL" else 0
        ranked.append((rank, Symbol(symbol.name, address, symbol["st_size"], kind)))
    ranked.sort(key=lambda pair: pair[0])
    return [symbol for _, symbol in ranked]
