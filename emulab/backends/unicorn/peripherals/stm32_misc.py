# ruff: noqa: RUF012  (register tables are constants)
"""STM32 random number generator and CRC unit: RM0432 chapters 34 and 18."""

from __future__ import annotations

import random

from emulab.backends.unicorn.peripherals.base import RegisterFile, register


@register("stm32-rng")
class Rng(RegisterFile):
    """Random numbers, always ready, from a fixed seed so that runs repeat."""

    layout = {
        "CR": 0x00,
        "SR": {"offset": 0x04, "reset": 1, "writable": 0x60},
        "DR": {"offset": 0x08, "writable": 0},
        "HTCR": 0x10,
    }

    def start(self) -> None:
        self._random = random.Random(0)

    def read_DR(self, _: int) -> int:
        return self._random.getrandbits(32)


@register("stm32-crc")
class Crc(RegisterFile):
    """CRC of 32, 16, 8 or 7 bits with the programmed polynomial, bits of input and output reversed as set."""

    layout = {
        "DR": {"offset": 0x00, "reset": 0xFFFFFFFF}, "IDR": 0x04, "CR": {"offset": 0x08, "self_clearing": 1},
        "INIT": {"offset": 0x10, "reset": 0xFFFFFFFF}, "POL": {"offset": 0x14, "reset": 0x04C11DB7},
    }  # fmt: skip

    def start(self) -> None:
        self._crc = 0xFFFFFFFF

    def _width(self) -> int:
        return (32, 16, 8, 7)[self.value["CR"] >> 3 & 3]

    def write_CR(self, _old: int, written: int) -> None:
        if written & 1:
            self._crc = self.value["INIT"]

    def write_INIT(self, _old: int, new: int) -> None:
        self._crc = new

    def write(self, offset: int, size: int, value: int) -> None:
        if offset >= 4:
            super().write(offset, size, value)
            return
        reverse = self.value["CR"] >> 5 & 3
        bits = 8 * size
        if reverse:
            value = _reversed(value, bits, min(bits, 4 << reverse))
        width = self._width()
        mask, polynomial = (1 << width) - 1, self.value["POL"]
        crc = self._crc & mask
        for i in reversed(range(bits)):
            top = (crc >> (width - 1)) ^ (value >> i & 1)
            crc = ((crc << 1) ^ (polynomial if top & 1 else 0)) & mask
        self._crc = crc

    def read_DR(self, _: int) -> int:
        width = self._width()
        crc = self._crc & ((1 << width) - 1)
        return _reversed(crc, width, width) if self.value["CR"] & 0x80 else crc


def _reversed(value: int, bits: int, unit: int) -> int:
    """*value* with the bits of every *unit* bits in the other order."""
    mask = (1 << unit) - 1
    return sum(int(f"{value >> i & mask:0{unit}b}"[::-1], 2) << i for i in range(0, bits, unit))
