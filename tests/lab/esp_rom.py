"""The boot loader of an ESP32-C3 in small, and the flasher stub that esptool uploads: SLIP packets on a TCP socket.

Protocol: Espressif, "Serial Protocol" of the esptool documentation. It keeps what is written, and can be told to fall
silent within a write or to keep a wrong byte.
"""

from __future__ import annotations

import contextlib
import hashlib
import socket
import struct
import threading
import zlib

SYNC, READ_REG, WRITE_REG, MD5, SECURITY = 0x08, 0x0A, 0x09, 0x13, 0x14
FLASH_BEGIN, FLASH_DATA = 0x02, 0x03
DEFLATED_BEGIN, DEFLATED_DATA, DEFLATED_END = 0x10, 0x11, 0x12
MEM_END, CHANGE_BAUD = 0x06, 0x0F
CHIP_ID = 5
FLASH_ID = 0x16_40_EF
"""Winbond, 4 MB: what the flash answers to command 0x9F."""
SPI_W0 = 0x60002000 + 0x58


class EspRom:
    """Serves one client after the other until :meth:`close`. ``flash`` is 4 MB of 0xFF and what was written."""

    def __init__(self) -> None:
        self.flash = bytearray(b"\xff" * (1 << 22))
        self.silent_after: int | None = None
        """Blocks written before it falls silent; None: never."""
        self.spoil: int | None = None
        """Address where it keeps a wrong bit."""
        self.attempts = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = f"socket://127.0.0.1:{self._server.getsockname()[1]}"
        self._server.settimeout(0.05)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        # A thread that waits on a closed socket may wake up on the next one that gets its number: it ends first.
        self._closed.set()
        self._thread.join(10)
        self._server.close()

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                client, _ = self._server.accept()
            except TimeoutError:
                continue
            client.settimeout(None)
            # What it cannot make sense of (a packet sent again because it was slow) ends the session, not the chip.
            with client, contextlib.suppress(OSError, struct.error, zlib.error, KeyError):
                self._serve(client)

    def _serve(self, client: socket.socket) -> None:
        self._stub = False
        self._blocks = 0
        self._registers: dict[int, int] = {}
        packet, inside, escaped = bytearray(), False, False
        while data := client.recv(65536):
            for byte in data:
                if byte == 0xC0:
                    if inside and packet:
                        for answer in self._answer(bytes(packet)):
                            escape = answer.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc")
                            client.sendall(b"\xc0" + escape + b"\xc0")
                        packet.clear()
                        inside = False
                    else:
                        inside = True
                elif inside and byte == 0xDB:
                    escaped = True
                elif inside:
                    packet.append({0xDC: 0xC0, 0xDD: 0xDB}[byte] if escaped else byte)
                    escaped = False

    def _answer(self, packet: bytes) -> list[bytes]:
        direction, operation, length, _ = struct.unpack_from("<BBHI", packet)
        body = packet[8:]
        if direction != 0 or length != len(body):
            return []
        value, said = 0, b""
        if operation == SYNC:
            value = 0 if self._stub else 0x20120707  # 0 is how a stub that runs already says so
        elif operation == READ_REG:
            (address,) = struct.unpack("<I", body)
            value = FLASH_ID if address == SPI_W0 else self._registers.get(address, 0)
        elif operation == WRITE_REG:
            address, written = struct.unpack_from("<II", body)
            # Commands of the SPI controller are done as soon as they are given.
            self._registers[address] = 0 if address == 0x60002000 else written
        elif operation == SECURITY:
            said = struct.pack("<IB7sII", 0, 0, bytes(7), CHIP_ID, 0)
        elif operation in (FLASH_BEGIN, DEFLATED_BEGIN):
            _, _, _, self._at = struct.unpack_from("<IIII", body)
            self._inflate = zlib.decompressobj()
            self.attempts += 1
        elif operation in (FLASH_DATA, DEFLATED_DATA):
            self._blocks += 1
            if self.silent_after is not None and self._blocks > self.silent_after:
                return []
            data = self._inflate.decompress(body[16:]) if operation == DEFLATED_DATA else body[16:]
            self.flash[self._at : self._at + len(data)] = data
            self._at += len(data)
            if self.spoil is not None:
                self.flash[self.spoil] ^= 1
        elif operation == MD5:
            address, size, _, _ = struct.unpack("<IIII", body)
            digest = hashlib.md5(self.flash[address : address + size], usedforsecurity=False)
            said = digest.digest() if self._stub else digest.hexdigest().encode()
        answers = [struct.pack("<BBHI", 1, operation, len(said) + 2, value) + said + bytes(2)]
        if operation == SYNC:
            answers *= 8
        if operation == MEM_END:
            self._stub = True
            answers.append(b"OHAI")
        return answers
