"""Which constants of a model to keep in RAM, on boards where the core reads flash slowly and without a cache.

A weight of a convolution is read once per output pixel, a weight of a dense layer once per inference; RAM goes to what
is read most often per byte. (A word from the serial flash of an FE310 costs over a hundred cycles: its manual, 19.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emulab.firmware.codegen.generator import LayerInfo


@dataclass(frozen=True, slots=True)
class Constants:
    """A read-only section of the model's object: its size with padding, and how often a byte of it is read."""

    section: str
    size_bytes: int
    reads_per_byte: float


def constants_of(model_object: Path, layers: Sequence[LayerInfo]) -> list[Constants]:
    """The constant sections (``.rodata.<name>``) that layers refer to, with the reads their layers make.

    A layer makes as many reads of its constants as it has multiply-accumulates: kernels that keep a weight for several
    pixels make fewer, all by about the same factor, so the order stands.
    """
    from elftools.elf.elffile import ELFFile

    density = {layer.symbol: layer.macs / layer.weight_bytes for layer in layers if layer.weight_bytes}
    with model_object.open("rb") as stream:
        elf: Any = ELFFile(stream)
        sections = list(elf.iter_sections())
        symbols = elf.get_section_by_name(".symtab")
        references: dict[int, set[int]] = {}
        for relocations in sections:
            if relocations["sh_type"] in ("SHT_REL", "SHT_RELA"):
                targets = references.setdefault(relocations["sh_info"], set())
                for relocation in relocations.iter_relocations():
                    index = symbols.get_symbol(relocation["r_info_sym"])["st_shndx"]
                    if isinstance(index, int) and sections[index].name.startswith(".rodata."):
                        targets.add(index)
        reads: dict[int, float] = {}
        for source, section in enumerate(sections):
            per_byte = density.get(section.name.removeprefix(".text."))
            # a layer may refer to its weights by way of a table of parameters
            pending = list(references.get(source, ())) if per_byte is not None else []
            seen: set[int] = set()
            while pending:
                index = pending.pop()
                if index not in seen:
                    seen.add(index)
                    reads[index] = max(reads.get(index, 0.0), per_byte or 0.0)
                    pending += references.get(index, ())
        return [
            Constants(sections[i].name, -(-sections[i]["sh_size"] // 8) * 8, per_byte)
            for i, per_byte in sorted(reads.items())
        ]


def choose(constants: Sequence[Constants], free_bytes: int) -> list[str]:
    """Names of the sections that go to RAM: the most read per byte first, each as long as it still fits."""
    chosen = []
    for item in sorted(constants, key=lambda c: (-c.reads_per_byte, c.section)):
        if 0 < item.size_bytes <= free_bytes:
            chosen.append(item.section)
            free_bytes -= item.size_bytes
    return chosen
