"""mem*, str*, strtol and snprintf: the same answers as Python's own bytes, int and % formatting."""

from __future__ import annotations

import ctypes
import math
from ctypes import c_char_p, c_double, c_int, c_long, c_longlong, c_size_t, c_ulong, c_void_p

import pytest
from hypothesis import example, given
from hypothesis import strategies as st


@pytest.fixture(scope="session")
def c(libc: ctypes.CDLL) -> ctypes.CDLL:
    for name in ("memcpy", "memmove", "memset"):
        getattr(libc, f"emu_{name}").restype = c_void_p
    libc.emu_memchr.restype = c_void_p
    libc.emu_strlen.restype = libc.emu_strnlen.restype = c_size_t
    libc.emu_strtol.restype, libc.emu_strtoul.restype = c_long, c_ulong
    for name in ("strchr", "strrchr", "strstr"):
        getattr(libc, f"emu_{name}").restype = c_void_p
    return libc


@given(data=st.binary(min_size=1, max_size=200), source=st.integers(0, 7), target=st.integers(0, 7))
def test_memcpy_touches_only_its_bytes(c: ctypes.CDLL, data: bytes, source: int, target: int) -> None:
    origin = ctypes.create_string_buffer(b"\xaa" * 8 + b"\xbb" * source + data + b"\xcc" * 16, 256)
    to = ctypes.create_string_buffer(b"\xee" * 256, 256)
    start = ctypes.addressof(to) + 8 + target
    assert c.emu_memcpy(c_void_p(start), c_void_p(ctypes.addressof(origin) + 8 + source), len(data)) == start
    assert to.raw == b"\xee" * (8 + target) + data + b"\xee" * (248 - target - len(data))


@given(size=st.integers(0, 120), source=st.integers(0, 60), target=st.integers(0, 60))
def test_memmove_overlapping(c: ctypes.CDLL, size: int, source: int, target: int) -> None:
    model = bytearray(range(200))
    memory = ctypes.create_string_buffer(bytes(model), 200)
    c.emu_memmove(c_void_p(ctypes.addressof(memory) + target), c_void_p(ctypes.addressof(memory) + source), size)
    model[target : target + size] = model[source : source + size]
    assert memory.raw == bytes(model)


@given(size=st.integers(0, 120), at=st.integers(0, 9), value=st.integers(-300, 300))
def test_memset(c: ctypes.CDLL, size: int, at: int, value: int) -> None:
    memory = ctypes.create_string_buffer(b"\x11" * 160, 160)
    c.emu_memset(c_void_p(ctypes.addressof(memory) + at), value, size)
    assert memory.raw == b"\x11" * at + bytes([value & 255]) * size + b"\x11" * (160 - at - size)


@given(a=st.binary(max_size=20), b=st.binary(max_size=20))
def test_comparing(c: ctypes.CDLL, a: bytes, b: bytes) -> None:
    n = min(len(a), len(b))
    sign = (a[:n] > b[:n]) - (a[:n] < b[:n])
    got = c.emu_memcmp(a, b, n)
    assert (got > 0) - (got < 0) == sign
    text_a, text_b = a.replace(b"\0", b"x"), b.replace(b"\0", b"x")
    got = c.emu_strcmp(text_a, text_b)
    assert (got > 0) - (got < 0) == (text_a > text_b) - (text_a < text_b)
    got = c.emu_strncmp(text_a, text_b, 5)
    assert (got > 0) - (got < 0) == (text_a[:5] > text_b[:5]) - (text_a[:5] < text_b[:5])
    assert c.emu_strlen(text_a) == len(text_a)
    assert c.emu_strnlen(text_a, 7) == min(7, len(text_a))


@given(text=st.text("abc ", max_size=12), part=st.text("abc ", max_size=3), letter=st.sampled_from("abc z"))
def test_searching(c: ctypes.CDLL, text: str, part: str, letter: str) -> None:
    memory = ctypes.create_string_buffer(text.encode())
    base = ctypes.addressof(memory)

    def place(found: int | None) -> int:
        return -1 if found is None else found - base

    assert place(c.emu_strstr(memory, part.encode())) == text.find(part)
    assert place(c.emu_strchr(memory, ord(letter))) == text.find(letter)
    assert place(c.emu_strrchr(memory, ord(letter))) == text.rfind(letter)
    assert place(c.emu_memchr(memory, ord(letter), len(text))) == text.find(letter)
    assert place(c.emu_strchr(memory, 0)) == len(text)


LONG_MAX = 2 ** (8 * ctypes.sizeof(c_long) - 1) - 1


@given(
    value=st.integers(-(2**70), 2**70),
    prefix=st.sampled_from(["", " ", "\t +"]),
    tail=st.sampled_from(["", "%", " x", "."]),
)
@example(value=LONG_MAX, prefix="", tail="")
@example(value=-LONG_MAX - 1, prefix="", tail="")
def test_strtol(c: ctypes.CDLL, value: int, prefix: str, tail: str) -> None:
    if value < 0:
        prefix = prefix.replace("+", "")
    for base, text in ((10, str(value)), (0, hex(value)), (16, hex(value)), (16, f"{value:x}"), (0, str(value))):
        memory = ctypes.create_string_buffer((prefix + text + tail).encode())
        end = c_void_p()
        got = c.emu_strtol(memory, ctypes.byref(end), base)
        assert got == max(-LONG_MAX - 1, min(LONG_MAX, value))
        assert end.value == ctypes.addressof(memory) + len(prefix + text)


@pytest.mark.parametrize("text", ["", "-", "%", "0x", "zz"])
def test_strtol_without_a_number(c: ctypes.CDLL, text: str) -> None:
    memory = ctypes.create_string_buffer(text.encode())
    end = c_void_p()
    assert c.emu_strtol(memory, ctypes.byref(end), 16) == 0
    assert end.value == ctypes.addressof(memory) + (1 if text == "0x" else 0)


def printf(c: ctypes.CDLL, form: str, *values: object, size: int = 2000) -> str:
    memory = ctypes.create_string_buffer(size)
    count = c.emu_snprintf(memory, c_size_t(size), c_char_p(form.encode()), *values)
    text = memory.value.decode()
    assert len(text) == min(count, size - 1)
    return text


flags = st.sampled_from(["", "-", "0", "+", " ", "-+", "0+", "0 "])
widths = st.sampled_from(["", "1", "7", "23"])


@given(value=st.integers(-(2**63), 2**63 - 1), flag=flags, width=widths, precision=st.sampled_from(["", ".0", ".9"]))
def test_integers(c: ctypes.CDLL, value: int, flag: str, width: str, precision: str) -> None:
    if precision and "0" in flag:
        flag = flag.replace("0", "")  # C ignores the flag then, Python does not
    form = f"[%{flag}{width}{precision}"
    if not (value == 0 and precision == ".0"):
        assert printf(c, form + "lld]", c_longlong(value)) == (form + "d]") % value
    small = value % 2**31
    expected = f"{small} {small:x} {small:X} {hex(small) if small else '0'} {small:o} A%"
    assert printf(c, "%u %x %X %#x %o %c%%", *[c_int(small)] * 5, c_int(65)) == expected
    assert printf(c, "%ld %hd %hhu", c_long(small), c_int(value % 65536), c_int(value % 65536)) == (
        f"{small} {(value % 65536 ^ 0x8000) - 0x8000} {value % 256}"
    )


@given(value=st.floats(), flag=flags, width=widths, precision=st.integers(0, 40))
@example(value=0.5, flag="", width="", precision=0)
@example(value=1.5, flag="", width="", precision=0)
@example(value=9.9995, flag="", width="", precision=3)
@example(value=999999.9999999, flag="", width="", precision=2)
@example(value=0.0625, flag="", width="", precision=3)
@example(value=1.7976931348623157e308, flag="", width="", precision=3)
@example(value=5e-324, flag="", width="", precision=40)
@example(value=2.0**64, flag="", width="", precision=1)
@example(value=2.0**63, flag="", width="", precision=1)
@example(value=2.0**-11 * (2**53 - 1), flag="", width="", precision=9)
def test_floats_are_exact(c: ctypes.CDLL, value: float, flag: str, width: str, precision: int) -> None:
    if not math.isfinite(value):
        flag = flag.replace("0", "")
    form = f"[%{flag}{width}.{precision}f]"
    expected = form % value
    if math.isnan(value) and math.copysign(1, value) < 0:
        return  # the sign of a NaN is no news
    assert printf(c, form, c_double(value)) == expected


def test_strings_stars_and_truncation(c: ctypes.CDLL) -> None:
    assert printf(c, "[%s|%5s|%-5s|%.2s]", b"abc", b"ab", b"ab", b"abc") == "[abc|   ab|ab   |ab]"
    assert (
        printf(c, "[%*d|%-*d|%.*f]", c_int(4), c_int(7), c_int(4), c_int(7), c_int(2), c_double(1.25))
        == "[   7|7   |1.25]"
    )
    assert printf(c, "%s", c_char_p(None)) == "(null)"
    memory = ctypes.create_string_buffer(b"\xee" * 8, 8)
    assert c.emu_snprintf(memory, c_size_t(4), b"%d", c_int(123456)) == 6
    assert memory.raw == b"123\0\xee\xee\xee\xee"
    assert c.emu_snprintf(None, c_size_t(0), b"%d", c_int(123456)) == 6
    assert printf(c, "100%% %q %") == "100% %q %"
