"""A Renode that is none: a Monitor that behaves like recorded sessions of 1.16.1, and firmware of a few words.

Fragments of 1 to 20 bytes, echo, hexadecimal values, errors without a mark, a command that never returns. What the
"firmware" does follows from the name of the ELF and from what it is told on its console.
"""

from __future__ import annotations

import os
import re
import socket
import struct
import sys
import tempfile
import time

# What 1.16.1 takes; anything else is refused as it does.
KNOWN = (r"machine LoadPlatformDescription @\S+\.repl",)
OURS = {
    "emulab_attach": r'"[\w.]+" [1-9]\d* "\w+=[01x]{16,32}( \w+=[01x]{16,32})*"',
    "emulab_easydma": "",
    "emulab_mark": r'"[0-9a-f]+"',
    "emulab_hook": r'"[0-9a-f]+( [0-9a-f]+)*"',
    "emulab_unhook": r'"[0-9a-f]+"',
    "emulab_put": r'"([0-9a-f]{2})+"',
    "emulab_run": r"\d+",
    "emulab_state": "",
}
"""The commands of monitor_commands.py, with their arguments."""
VERSION = os.environ.get("FAKE_RENODE_VERSION", "1.16.1")
PC = 0x080000C0
PER_LINE = 1000
BEGIN, END = b"begin", b"end"
"""Among what is printed: the core is where an inference begins, or ends."""
INFERENCE = int(os.environ.get("FAKE_RENODE_INFERENCE", "5000"))
RESULTS = b"m-results-[0.750,0.125,0.125,0.000,0.000,0.000,0.000]\r\n"


class Machine:
    """Prints a line each time it runs; counts 1000 instructions for it, INFERENCE for an inference."""

    def __init__(self) -> None:
        self.instructions = 0
        self.name = "monitor"
        self.ours: set[str] = set()
        self.counters = 0
        self.mips = 100
        self.pending = [b"m-timestamp-mode-performance\r\n", b"m-lap-us-1\r\n", b"m-init-done\r\n", b"m-ready\r\n"]
        self.line = b""
        self.said = b""
        self.places: list[int] = []
        self.hooks: set[int] = set()
        self.pc = PC
        self.marks: list[int] = []
        self.stored: list[int] = []
        self.runs = False
        self.pausing = False
        self.crashes = False
        self.expected = 0

    def put(self, data: bytes) -> None:
        for byte in data:
            self.line += bytes([byte])
            if byte == ord("%"):
                self._do(self.line[:-1])
                self.line = b""

    def _do(self, command: bytes) -> None:
        if command == b"name":
            self.pending.append(b"m-name-dut-[fake]\r\n")
        elif command.startswith(b"infer"):
            self.pending += [b"m-warmup-start-0\r\n", b"m-warmup-done\r\n", b"m-infer-start-1\r\n"]
            self.pending += [BEGIN, b"m-lap-us-100\r\n", b"m-lap-us-200\r\n", END, b"m-infer-done\r\n", RESULTS]
        elif command == b"results":
            self.pending.append(RESULTS)
        elif command.startswith(b"db load "):
            self.expected = int(command.split()[2])
            self.pending.append(b"m-[Expecting %d bytes]\r\n" % self.expected)
        elif command.startswith(b"db "):
            self.expected -= len(command[3:].strip()) // 2
            if self.expected <= 0:
                self.pending.append(b"m-load-done\r\n")
        elif command == b"hang":
            return
        self.pending.append(b"m-ready\r\n")

    def run(self, limit_ms: float) -> None:
        """A line is printed, at whose end the hook pauses, or the place of a hook is reached; without either it runs on.

        The first and the last place hooked are where an inference begins and ends.

        The pause after ``m-infer-...`` takes until the next look, as it does on a busy host.
        """
        if self.pausing:
            self.runs = self.pausing = False
            return
        self.runs = not self.pending
        if self.runs:
            time.sleep(limit_ms / 1000)
            return
        line = self.pending.pop(0)
        self.pc = PC
        if line in (BEGIN, END):
            place = self.places[0 if line == BEGIN else -1] if self.places else None
            if place not in self.hooks:
                return self.run(limit_ms)
            self.pc = place
            self.instructions += PER_LINE
            return
        self.runs = self.pausing = line.startswith(b"m-infer")
        if line.startswith(b"m-infer-start"):
            self.stored = self.marks[:1]
        elif line.startswith(b"m-infer-done"):
            self.stored = self.marks[1:]
        self.instructions += INFERENCE if line.startswith(b"m-lap-us-2") else PER_LINE
        self.said += line

    def state(self) -> bytes:
        """What ``emulab_state`` prints; the counters are those of no opcode."""
        said, self.said = self.said, b""
        marks = ",".join(f"{mark:x}" for mark in self.stored) or "-"
        self.stored = []
        counters = ",".join("0" * self.counters) or "-"
        pc, instructions = self.pc, self.instructions
        elapsed_ns = instructions * 1000 // self.mips + 4_000_000 * (instructions > 0)
        return (
            f"@ {int(self.runs)} {pc} {instructions} {elapsed_ns} {marks} {counters} {said.hex() or '-'}\r\n\r".encode()
        )


def send(connection: socket.socket, data: bytes) -> None:
    """In fragments of 1 to 20 bytes, as recorded."""
    size = 1
    while data:
        connection.sendall(data[:size])
        data, size = data[size:], size % 20 + 1


def log(text: str) -> None:
    print(time.strftime("%H:%M:%S") + ".0000", text, flush=True)


def answer(machine: Machine, command: str) -> bytes | None:
    """What follows the echo; None: the command never returns."""
    if match := re.fullmatch(r'mach create "(.+)"', command):
        machine.name = match[1]
        return b""
    if match := re.match(r"sysbus LoadELF @(.+)", command):
        machine.crashes = "crash" in match[1]
        return b""
    if match := re.fullmatch(r"include @(.+\.py)", command):
        with open(match[1], encoding="ascii") as file:
            machine.ours = set(re.findall(r"^def mc_(\w+)", file.read(), re.MULTILINE))
        return b""
    name, _, arguments = command.partition(" ")
    if name in machine.ours and name in OURS and re.fullmatch(OURS[name], arguments):
        return own(machine, name, *arguments.replace('"', "").split())
    if command == "sysbus.cpu PC":
        return b"0x%x\r\r\n" % PC
    if match := re.match(r"machine EnableProfiler @(.+)", command):
        write_metrics(match[1])
        return b""
    if any(re.fullmatch(known, command) for known in KNOWN):
        return b""
    if match := re.match(r"(sysbus\.cpu|machine|emulation|sysbus) (\w+)", command):
        return (
            f"There was an error executing command '{command}'\r\n"
            f"{match[1]} does not provide a field, method or property {match[2]}.\r\n"
        ).encode()
    return f"No such command or device: {command}\r\n".encode()


def own(machine: Machine, name: str, *arguments: str) -> bytes | None:
    """The commands of monitor_commands.py."""
    if name == "emulab_attach":
        machine.counters, machine.mips = len(arguments) - 2, int(arguments[1])
        return b""
    if name == "emulab_hook":
        given = [int(argument, 16) for argument in arguments]
        machine.places = machine.places or given
        machine.hooks.update(given)
        return b""
    if name == "emulab_unhook":
        machine.hooks.discard(int(arguments[0], 16))
        return b""
    if name == "emulab_easydma":
        return b""
    if name == "emulab_mark":
        machine.marks.append(int(arguments[0], 16))
        return b""
    if name == "emulab_put":
        machine.put(bytes.fromhex(arguments[0]))
        return b""
    if machine.crashes:
        log("[ERROR] cpu: CPU abort [PC=0x90000000]: Trying to execute code outside RAM or ROM at 0x90000000.")
        return None
    if name == "emulab_run":
        machine.run(float(arguments[0]))
    return machine.state()


def write_metrics(path: str) -> None:
    """As the profiler of 1.16 writes: header, then packed entries {ticks, milliseconds, type, ...}."""
    cpu, uart = b"sysbus.cpu", b"sysbus.usart2"
    data = struct.pack("<iii", 1, 0, len(cpu)) + cpu + struct.pack("<ii", 1, len(uart)) + uart
    data += struct.pack("<QQ", 0x40004400, 0x400047FF)
    data += struct.pack("<qdBiQ", 1, 0.5, 0, 0, 1234)
    for operation in (2, 2, 3):
        data += struct.pack("<qdBB", 2, 0.6, 1, operation)
    data += struct.pack("<qdBBQ", 3, 0.7, 2, 1, 0x40004428) + struct.pack("<qdBQ", 4, 0.8, 3, 15)
    with open(path, "wb") as file:
        file.write(data)


def main() -> int:
    if "--version" in sys.argv:
        print(f"Renode, version {VERSION} (d66b0c2a-202611220727)")
        return 0
    tempfile.mkdtemp(prefix="renode-")  # left behind by a Renode that is killed
    mode = os.environ.get("FAKE_RENODE", "")
    port = int(sys.argv[sys.argv.index("-P") + 1])
    if mode == "busy":
        print("Unhandled exception. System.Net.Sockets.SocketException (98): Address already in use", flush=True)
        return 1
    if mode == "mute":
        time.sleep(60)
    server = socket.create_server(("127.0.0.1", port))
    log(f"[INFO] Monitor available in telnet mode on port {port}")
    connection, _ = server.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    machine = Machine()
    greeting = b'\xff\xfd\x00\xff\xfb\x01\xff\xfb\x03\xff\xfc"'
    send(connection, greeting + b"Renode, version 1.16.1 (d66b0c2a-202611220727)\n\r\n\r(monitor) ")
    pending = b""
    while data := connection.recv(4096):
        pending += data
        while b"\n" in pending:
            line, _, pending = pending.partition(b"\n")
            command = line.decode()
            if command == "quit":
                return 0
            said = answer(machine, command)
            send(connection, line + b"\n\r" + (said or b""))
            if said is None:
                time.sleep(3600)
            send(connection, f"({machine.name}) ".encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
