"""The probe's short ways against its general way: every number equal, on random blocks and on real firmware.

The general way prices each fetch and each access one by one; the short ways skip what cannot change (lines that hit, memory
that costs nothing). Two probes get the same blocks, one of them with the short ways off.
"""

from __future__ import annotations

import ctypes
import random
from typing import Any

import pytest

from emulab.model.platform import Platform, load_platform
from emulab.probe import recipes
from emulab.probe.core import ProbeCore
from emulab.probe.recipes import Recipe
from emulab.timing.base import BlockCost, Divider
from emulab.timing.memory import memory_config

pytest.importorskip("ziglang", reason="no C compiler: pip install ziglang")

FLASH, RAM, OTHER, DEVICE = 0x08000000, 0x20000000, 0x30000000, 0x40000000
ARRAY: dict[str, Any] = {"line_bytes": 16, "wait_states": 9, "buffers": 2, "prefetch": "on", "set_by_firmware": True}
CACHE = {"behind": "array", "size_bytes": 256, "ways": 4, "line_bytes": 32}
ROUTES = {"flash": {"fetch": "i", "read": "d", "bus": "dcode"}, "ram": {"bus": "system"}, "other": {"bus": "system"}}


def system(instruction: dict[str, Any], data: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "devices": {"array": ARRAY},
        "caches": {"i": {**CACHE, "control": "instruction", **instruction}, "d": {**CACHE, "control": "data", **data}},
        "routes": ROUTES,
        **more,
    }


UNIFIED = {
    "devices": {"array": ARRAY},
    "caches": {"c": {**CACHE, "replacement": "plru", "control": "instruction"}},
    "routes": {"flash": {"fetch": "c", "read": "c", "bus": "dcode"}, "ram": {"bus": "system", "store_hold_cycles": 2}},
}
BEHIND = {
    "devices": {"array": ARRAY, "bus": {"line_bytes": 8, "wait_states": 2, "write_cycles": 3, "buffers": 0}},
    "caches": {
        "i": {**CACHE, "behind": "memory", "replacement": "random", "sector_bytes": 8},
        "d": {**CACHE, "behind": "memory", "replacement": "random", "write": "back", "victim_cycles": 4},
    },
    "routes": {
        "flash": {"fetch": "i", "read": "d", "memory": "array"},
        "ram": {"fetch": "i", "read": "d", "write": "d", "memory": "bus"},
        "other": {"read": "bus", "write": "bus", "read_cycles": 1},
    },
}
SYSTEMS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "lru": system(
        {"sector_bytes": 8}, {"sector_bytes": 8, "hit_under_miss": False, "miss_cycles": 2}, other_slave_cycles=1
    ),
    "round-robin, sectors": system(
        {"replacement": "round-robin", "fill": "sector", "sector_bytes": 8}, {"fill": "sector"}
    ),
    "random, blocking": system({"replacement": "random", "fill": "line-blocking"}, {"replacement": "plru"}),
    "instruction cache off": system({"on": False}, {"write": "through"}),
    "one cache for both": UNIFIED,
    "write-back before two memories": BEHIND,
    "single reads": {"routes": {"flash": {"bus": "dcode"}, "ram": {"bus": "system", "single_read_cycles": 1}}},
    "array alone": {"devices": {"array": ARRAY}, "routes": {"flash": {"fetch": "array", "read": "array"}}},
}
MODELS = ("cortex-m4", "cortex-m7", "cortex-m33", "cortex-m0")


def platform(memory_system: dict[str, Any], model: str) -> Platform:
    isa = {"cortex-m0": "armv6-m", "cortex-m33": "armv8-m.main"}.get(model, "armv7e-m")
    memories = {"flash": (FLASH, "flash"), "ram": (RAM, "ram"), "other": (OTHER, "ram")}
    return Platform.model_validate(
        {
            "core": {"name": "c", "isa": isa, "timing": {"model": model}},
            "soc": {
                "name": "s",
                "memories": {
                    n: {"base": base, "size_bytes": 0x2000, "kind": kind} for n, (base, kind) in memories.items()
                },
                "memory_system": memory_system,
            },
            "board": {"name": "b", "clock_hz": 1e8, "console": {"peripheral": "u"}},
        }
    )


class Pair:
    """A probe and one without short ways; what is done to one is done to the other."""

    def __init__(self, words: list[int], rng: random.Random) -> None:
        self.rng = rng
        self.probes = [ProbeCore(words), ProbeCore(words)]
        self.probes[1].price_plainly()
        self.registers = (ctypes.c_uint32 * 32)()
        self.memory = ctypes.create_string_buffer(rng.randbytes(0x2000), 0x2000)
        host = ctypes.addressof(self.memory)
        for probe in self.probes:
            probe.face.registers = ctypes.addressof(self.registers)
            probe.set_divider(Divider(2, 3, 5, 4, 6))
            probe.set_memory_parameter(0, ARRAY["wait_states"])
            for counter, base in enumerate((FLASH, RAM, OTHER)):
                probe.add_region(base, 0x2000, host, counter)
            probe.add_region(DEVICE, 0x1000, None, 3, device=True)
        self.blocks: list[tuple[int, int]] = []
        self.ends: set[int] = set()

    def close(self) -> None:
        for probe in self.probes:
            probe.close()

    def add_block(self, address: int, size: int, cost: BlockCost, recipe: Recipe) -> None:
        for probe in self.probes:
            probe.add_block(address, size, cost, recipe)
        self.blocks.append((address, size))

    def add_random_block(self, address: int) -> None:
        rng = self.rng
        instructions = rng.choice((1, 2, 3, rng.randint(1, 12)))
        size = rng.choice((4 * instructions, 2 * instructions + 2 * rng.randint(0, instructions)))
        recipe = Recipe(unresolved=rng.choice((0, 0, 0, 1)))
        slots = list(range(16))
        for to in range(32, 32 + rng.choice((0, 0, 1, 4))):
            op = rng.randrange(recipes.LOADS16 + 1)
            recipe.operations.append((op, rng.choice(slots), rng.choice(slots), to, rng.randint(0, 31)))
            slots.append(to)
        bases = [rng.choice(slots) for _ in range(rng.randint(1, 3))]
        for number in sorted(rng.randrange(instructions) for _ in range(rng.randint(0, 8))):
            width = rng.choice((1, 2, 4, 4, 4, 8))
            offset = rng.randint(0, 31) if rng.random() < 0.1 else rng.randint(-4, 15) * width
            recipe.accesses.append((rng.choice(bases), number, width, int(rng.random() < 0.3), offset))
        for _ in range(rng.choice((0, 0, 0, 1, 2))):
            recipe.divides.append((rng.choice(slots), rng.choice(slots), 0, rng.randrange(2)))
        cycles = [rng.choice((256, 256, 512, 384)) for _ in range(instructions)]
        cost = BlockCost(
            instructions,
            sum(cycles),
            rng.choice((256, 512)),
            tuple(2 * i for i in range(instructions)),
            tuple(sum(cycles[:i]) for i in range(instructions)),
            {},
            entry_q8=rng.choice((0, 0, 256)),
            branch_kind=rng.choice((0, 1 | 2, 2, 2 | 4, 8, 16)),
            behind=rng.choice((0, 0, 1, 2)),
            late_q8=rng.choice(((0, 0), (0, 0), (256, 512))),
        )
        self.add_block(address, size, cost, recipe)

    def state(self, probe: ProbeCore) -> dict[str, Any]:
        face = probe.face
        totals = {
            n: getattr(face, n)
            for n in ["cycles_q8", "block_start_q8", "instructions", "stall_q8", "unresolved", "entered"]
        }
        arrays = [face.count, face.taken, face.stalls_q8, face.branches_q8]
        regions = [[getattr(face.region[i], n) for n, _ in type(face.region[0])._fields_] for i in range(4)]
        return {
            **totals,
            "arrays": [a[: face.blocks] for a in arrays],
            "regions": regions,
            "counters": probe.memory_counters(),
        }

    def check(self, when: str) -> None:
        quick, plain = (self.state(p) for p in self.probes)
        assert quick == plain, when

    def point(self) -> None:
        """New register values, most of them pointers."""
        rng = self.rng
        for i in range(16):
            base = rng.choice(
                (FLASH, FLASH, RAM, RAM, OTHER, DEVICE if rng.random() < 0.2 else RAM, 0x60000000 * (i == 15))
            )
            self.registers[i] = (
                base + 4 * rng.randrange(0x7F8 if base != DEVICE else 0x3F8) + rng.choice((0, 0, 0, 0, 1, 2))
            )

    def run(self, blocks: list[tuple[int, int]], times: int, step: int) -> None:
        for _ in range(times):
            for address, size in blocks:
                for probe in self.probes:
                    probe.library.em_probe_enter(probe.handle, address, size)
                assert self.probes[0].face.cycles_q8 == self.probes[1].face.cycles_q8
            for i in range(8):
                self.registers[i] += step

    def access(self) -> None:
        """Accesses the engine saw itself, as QEMU does: neighbours in one of the memories."""
        rng = self.rng
        base = rng.choice((FLASH, RAM, OTHER)) + 4 * rng.randrange(0x7F0)
        for number in range(rng.randint(1, 6)):
            address, size = base + rng.choice((0, 4, 4 * number, 2, 33)), rng.choice((1, 2, 4))
            pc, write = FLASH + rng.choice((4, 64)) * number, rng.random() < 0.3
            for probe in self.probes:
                probe.library.em_probe_access(probe.handle, pc, address, size, write)

    def disturb(self) -> None:
        """What happens between blocks: an exception, a flash or cache setting, a block left within."""
        rng = self.rng
        what = rng.randrange(5)
        parameter, value = rng.randrange(6), rng.randint(0, 15)
        head = rng.randrange(len(self.blocks))
        for probe in self.probes:
            if what == 0:
                probe.library.em_probe_break(probe.handle, 256 * value)
            elif what == 1:
                probe.set_memory_parameter(parameter, value if parameter == 0 else value & 1)
            elif what == 2 and probe.face.current < len(self.blocks):
                probe.library.em_probe_split(probe.handle, probe.face.current, head)


def compare(words: list[int], seed: int, rounds: int = 250) -> int:
    """Runs random blocks in loops of all lengths; returns the stall cycles seen."""
    rng = random.Random(seed)
    pair = Pair(words, rng)
    try:
        address = FLASH + 2 * rng.randrange(64)
        for number in range(24):
            if number == 20:
                address = RAM + 0x100  # some code in RAM
            pair.add_random_block(address)
            address += pair.blocks[-1][1] + rng.choice((0, 0, 0, 0, 0, 2, 64))
        for turn in range(rounds):
            if rng.random() < 0.5:
                pair.point()
            start, length = rng.randrange(len(pair.blocks)), rng.choice((1, 2, 2, 3, 5, 12))
            pair.run(pair.blocks[start : start + length], rng.choice((1, 1, 1, 2, 20)), rng.choice((0, 4, 4, 64)))
            if rng.random() < 0.5:
                pair.disturb()
            if rng.random() < 0.5:
                pair.access()
            pair.check(f"seed {seed}, turn {turn}")
        return int(pair.probes[0].face.stall_q8)
    finally:
        pair.close()


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("model", MODELS)
def test_random_blocks_on_every_kind_of_memory_system(name: str, model: str) -> None:
    words = list(memory_config(platform(SYSTEMS[name], model)))
    stalls = [compare(words, seed) for seed in range(6)]
    assert name == "nothing" or any(stalls)


def test_a_miss_after_hits_is_asked_for_as_early_as_the_fetch_unit_can() -> None:
    """Two blocks at the end of a line that stays, one at the start of the next, which four others displace."""
    pair = Pair(list(memory_config(platform(SYSTEMS["lru"], "cortex-m4"))), random.Random(1))
    try:
        one_cycle = BlockCost(1, 256, 256, (0,), (0,), {})
        for address in (24, 28, 32, 96, 160, 224, 288):
            pair.add_block(FLASH + address, 4, one_cycle, Recipe())
        before, last, missing, *others = pair.blocks
        for way in ([last, missing], [before, last, missing]) * 3:
            pair.run([before, last, *others, last, before], 2, 0)
            for probe in pair.probes:
                probe.library.em_probe_break(probe.handle, 256 * 50)
            pair.run([*way], 1, 0)
            pair.check(f"{way}")
        assert pair.probes[0].face.stall_q8
    finally:
        pair.close()


def test_the_same_blocks_where_nothing_is_simulated() -> None:
    for seed in range(6):
        assert compare([], seed) == 0


def test_real_firmware_counts_the_same_without_short_ways(tmp_path: Any) -> None:
    """The activity classifier, one inference, on two boards: flash accelerator, and caches with branch prediction."""
    from emulab.backends.base import SessionOptions
    from emulab.backends.unicorn.session import UnicornSession
    from emulab.backends.unicorn.windows import take_snapshot
    from emulab.dut import DutClient
    from emulab.firmware.build import BuildOptions, build
    from emulab.model.platform import data_folder

    pytest.importorskip("unicorn")
    model = data_folder("scenarios") / "har-wearable" / "har_int8.tflite"
    for name in ("nucleo-l4r5zi", "disco-f746ng"):
        board = load_platform(name).platform
        image = build(model, board, options=BuildOptions(model_id="har01")).image
        seen = []
        for plain in (False, True):
            with UnicornSession(board, image, SessionOptions()) as session:
                if plain:
                    session.machine.probe.price_plainly()
                client = DutClient(session.console, session.clock)
                client.sync()
                client.infer(2, 0)
                end = take_snapshot(session.machine)
                seen.append((end.cycles_q8, end.stall_q8, end.instructions, end.regions, end.misses, end.time_s))
                seen[-1] += tuple(a.tolist() for a in end.arrays)
        assert seen[0] == seen[1], name
        assert seen[0][2] > 100_000 and any(seen[0][4].values())
