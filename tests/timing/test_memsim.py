"""The memory simulator in C, and the configuration it gets: caches, prefetch, unaligned accesses, prediction."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulab.errors import InputError
from emulab.model.platform import Platform, load_platform
from emulab.timing.memory import memory_config

FLASH = 0x08000000
RAM = 0x20000000


def platform(memory_system: dict[str, Any], **core: Any) -> Platform:
    """A small platform with flash and RAM around a memory system."""
    return Platform.model_validate(
        {
            "core": {"name": "c", "isa": "armv7e-m", "timing": {"model": "cortex-m4"}, **core},
            "soc": {
                "name": "s",
                "memories": {
                    "flash": {"base": FLASH, "size_bytes": 0x100000, "kind": "flash", "aliases": [0]},
                    "ram": {"base": RAM, "size_bytes": 0x10000, "kind": "ram"},
                },
                "memory_system": memory_system,
            },
            "board": {"name": "b", "clock_hz": 1e8, "console": {"peripheral": "u"}},
        }
    )


def small(ways: int = 2, prefetch: str = "none", buffers: int = 0, **cache: Any) -> Platform:
    """Four wait states behind a cache of four 16-byte lines."""
    return platform(
        {
            "devices": {"array": {"line_bytes": 16, "wait_states": 4, "prefetch": prefetch, "buffers": buffers}},
            "caches": {"c": {"behind": "array", "size_bytes": 64, "ways": ways, "line_bytes": 16, **cache}},
            "routes": {"flash": {"fetch": "c", "read": "c"}},
        }
    )


def test_miss_costs_the_wait_states_and_a_hit_nothing(make_memsim: Any) -> None:
    sim = make_memsim(memory_config(small()))
    assert sim.fetch(FLASH, 4, 0) == 4
    assert sim.fetch(FLASH + 4, 4, 1) == 0
    assert sim.data(FLASH, FLASH + 8, 4, 0) == 0
    counters = sim.counters()
    assert counters["c_fetch_misses"] == 1 and counters["c_fetch_hits"] == 1 and counters["c_data_hits"] == 1
    assert counters["fetch_stall_cycles"] == 4


def test_alias_is_the_same_memory(make_memsim: Any) -> None:
    sim = make_memsim(memory_config(small()))
    assert sim.fetch(FLASH, 4, 0) == 4
    assert sim.fetch(0, 4, 0) == 0


def test_least_recently_used_line_goes(make_memsim: Any) -> None:
    sim = make_memsim(memory_config(small(ways=4)))
    for line in (0, 1, 2, 3, 0):
        sim.fetch(FLASH + 16 * line, 4, 0)
    sim.fetch(FLASH + 16 * 4, 4, 0)  # replaces line 1
    assert sim.fetch(FLASH, 4, 0) == 0
    assert sim.fetch(FLASH + 16, 4, 0) == 4


def test_block_over_three_lines_misses_three_times(make_memsim: Any) -> None:
    sim = make_memsim(memory_config(small(ways=4)))
    assert sim.fetch(FLASH + 12, 24, 0) == 12
    assert sim.counters()["c_fetch_misses"] == 3


def test_prefetch_hides_behind_execution(make_memsim: Any) -> None:
    with_prefetch = make_memsim(memory_config(small(ways=4, prefetch="on")))
    with_prefetch.execute(40 * 256)
    assert with_prefetch.fetch(FLASH, 64, 0) == 4  # ten cycles a line, five to read one
    busy = make_memsim(memory_config(small(ways=4, prefetch="on")))
    busy.execute(8 * 256)
    assert busy.fetch(FLASH, 64, 0) == 4 + 3 * 3  # two cycles a line: the array, five cycles a line, is the limit


def test_sector_fill_brings_only_what_was_asked(make_memsim: Any) -> None:
    config = platform(
        {
            "devices": {"array": {"line_bytes": 8, "wait_states": 5, "buffers": 0}},
            "caches": {
                "c": {
                    "behind": "array",
                    "size_bytes": 64,
                    "ways": 2,
                    "line_bytes": 32,
                    "sector_bytes": 8,
                    "fill": "sector",
                }
            },
            "routes": {"flash": {"read": "c"}},
        }
    )
    sim = make_memsim(memory_config(config))
    assert [sim.data(0, FLASH + offset, 4, 0) for offset in (0, 4, 8, 12, 0)] == [5, 0, 5, 0, 0]


def test_settings_of_the_firmware(make_memsim: Any) -> None:
    config = platform(
        {
            "devices": {"array": {"line_bytes": 8, "set_by_firmware": True, "buffers": 0}},
            "caches": {
                "c": {
                    "behind": "array",
                    "size_bytes": 64,
                    "ways": 2,
                    "line_bytes": 8,
                    "control": "instruction",
                    "on": False,
                }
            },
            "routes": {"flash": {"fetch": "c"}},
        }
    )
    sim = make_memsim(memory_config(config))
    assert sim.fetch(FLASH, 4, 0) == 0
    sim.set(0, 3)  # EM_WAIT_STATES
    assert [sim.fetch(FLASH, 4, 0) for _ in range(2)] == [3, 3]
    sim.set(2, 1)  # EM_ICACHE
    assert [sim.fetch(FLASH, 4, 0) for _ in range(2)] == [3, 0]
    sim.set(4, 1)  # EM_ICACHE_INVALIDATE
    assert sim.fetch(FLASH, 4, 0) == 3


def test_unaligned_accesses_split_as_the_manual_says(make_memsim: Any) -> None:
    sim = make_memsim(memory_config(platform({})))
    costs = [sim.data(0, RAM + offset, size, 0) for offset, size in ((0, 4), (2, 4), (1, 4), (3, 4), (1, 2), (1, 1))]
    assert costs == [0, 1, 2, 2, 1, 0]
    assert sim.tracks(RAM) == 1 and sim.tracks(0x40000000) == 0


def test_prediction_learns_a_loop_and_its_exit_costs(make_memsim: Any) -> None:
    config = platform({}, timing={"model": "e31"})
    sim = make_memsim(memory_config(config))
    conditional_direct = 3
    costs = [sim.branch(0x100, 0x80, 1, conditional_direct, 0) for _ in range(6)]
    assert costs[0] == 3 * 256 and costs[-1] == 0
    assert sim.branch(0x100, 0x104, 0, conditional_direct, 0) == 3 * 256
    assert sim.branch(0x100, 0x80, 1, conditional_direct, 0) == 0  # one exit does not unlearn it
    call, ret = 4 | 2, 8
    sim.branch(0x200, 0x1000, 1, call, 0)
    assert sim.branch(0x1010, 0x204, 1, ret, 0) == 0
    assert sim.branch(0x1010, 0x208, 1, ret, 0) == 3 * 256  # the stack is empty


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(st.tuples(st.integers(0, 400), st.booleans()), min_size=1, max_size=200), st.sampled_from([1, 2, 4]))
def test_cache_agrees_with_a_plain_model(make_memsim: Any, accesses: list[tuple[int, bool]], ways: int) -> None:
    sim = make_memsim(memory_config(small(ways=ways)))
    sets: list[list[int]] = [[] for _ in range(4 // ways)]
    misses = 0
    for word, is_fetch in accesses:
        address = FLASH + 4 * word
        line = address // 16
        recent = sets[line % len(sets)]
        if line in recent:
            recent.remove(line)
        else:
            misses += 1
            if len(recent) == ways:
                recent.pop(0)
        recent.append(line)
        if is_fetch:
            sim.fetch(address, 4, 0)
        else:
            sim.data(0, address, 4, 0)
        sim.execute(100 * 256)
    counters = sim.counters()
    assert counters["c_fetch_misses"] + counters["c_data_misses"] == misses


@settings(max_examples=100, deadline=None)
@given(words=st.lists(st.integers(0, 2**32 - 1), max_size=80))
def test_nonsense_configuration_is_refused_or_safe(memsim_library: Any, words: list[int]) -> None:
    import ctypes

    array = (ctypes.c_uint32 * (len(words) + 1))(*words, 0)
    handle = memsim_library.em_new(array, len(words))
    if handle:
        memsim_library.em_fetch(handle, FLASH, 64, 0)
        memsim_library.em_free(handle)


@pytest.mark.parametrize(
    ("system", "message"),
    [
        ({"routes": {"flash": {"fetch": "nope"}}}, "no cache or device 'nope'"),
        ({"routes": {"flsh": {}}}, "no memory 'flsh'"),
        ({"devices": {"d": {"line_bytes": 7}}}, "power of two"),
        ({"devices": {"d": {"line_bytes": 8, "waitstates": 1}}}, "did you mean 'wait_states'"),
        (
            {
                "devices": {"d": {"line_bytes": 8}},
                "caches": {"c": {"behind": "d", "size_bytes": 100, "ways": 2, "line_bytes": 16}},
            },
            "ways x line",
        ),
    ],
)
def test_wrong_memory_system_says_where(system: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        memory_config(platform(system))


def test_wait_states_follow_the_clock_when_nobody_sets_them(make_memsim: Any) -> None:
    l4r5 = load_platform("nucleo-l4r5zi").platform
    for clock_hz, expected in ((16e6, 0), (80e6, 3), (120e6, 5)):
        assert make_memsim(memory_config(l4r5, clock_hz)).fetch(FLASH, 4, 0) == expected
    assert make_memsim(memory_config(l4r5)).fetch(FLASH, 4, 0) == 0  # as after reset


def test_accesses_of_neighbours_overlap_on_one_bus_only(make_memsim: Any) -> None:
    config = platform({"routes": {"flash": {"bus": "dcode"}, "ram": {"bus": "system"}}, "other_slave_cycles": 0})
    sim = make_memsim(memory_config(config))
    pc = FLASH
    costs = [sim.data(pc, FLASH, 4, 0), sim.data(pc + 4, RAM, 4, 0), sim.data(pc + 8, RAM + 4, 4, 0)]
    assert costs == [0, 1, 0]
    assert sim.data(pc + 20, FLASH, 4, 0) == 0  # not the next instruction


def test_bus_matrix_hands_over_between_slaves(make_memsim: Any) -> None:
    model = platform({"routes": {"flash": {"bus": "system"}, "ram": {"bus": "system"}}, "other_slave_cycles": 1})
    sim = make_memsim(memory_config(model))
    assert [sim.data(0, a, 4, 0) for a in (RAM, RAM + 4, FLASH, FLASH + 4, RAM)] == [0, 0, 1, 0, 1]


def test_single_reads_cost_more_than_several_at_once(make_memsim: Any) -> None:
    sim = make_memsim(memory_config(platform({"routes": {"ram": {"single_read_cycles": 1}}})))
    pc = FLASH
    sim.execute(256)
    several = [sim.data(pc, RAM + 4 * k, 4, 0) for k in range(3)]  # LDM
    assert several == [0, 0, 0]
    assert sim.data(pc + 2, RAM, 4, 0) == 0  # a single one shows with the next access
    assert sim.data(pc + 4, RAM + 8, 4, 1) == 1
    assert sim.data(pc + 6, RAM, 4, 0) == 0  # writes cost nothing
    sim.execute(256)
    assert sim.data(pc + 6, RAM + 4, 4, 0) == 1  # the same instruction again: another single read


def test_data_reads_wait_for_a_prefetch_under_way_and_only_then(make_memsim: Any) -> None:
    system = {
        "devices": {"array": {"line_bytes": 8, "wait_states": 2, "prefetch": "on", "buffers": 2}},
        "routes": {"flash": {"fetch": "array", "read": "array"}},
    }
    for at_cycles, expected in ((0, 3 + 2), (1, 2 + 2), (3, 2), (20, 2)):
        sim = make_memsim(memory_config(platform(system)))
        sim.execute(30 * 256)
        assert sim.fetch(FLASH, 4, 0) == 2  # then the next line is fetched, for three cycles
        sim.at(at_cycles * 256)
        assert sim.data(0, FLASH + 0x1000, 4, 0) == expected


def test_one_cache_serves_two_memories_at_their_own_cost(make_memsim: Any) -> None:
    system = {
        "devices": {
            "slow": {"line_bytes": 32, "wait_states": 9, "buffers": 0},
            "fast": {"line_bytes": 32, "wait_states": 1, "buffers": 0},
        },
        "caches": {"c": {"behind": "memory", "size_bytes": 256, "ways": 2, "line_bytes": 32}},
        "routes": {"flash": {"read": "c", "memory": "slow"}, "ram": {"read": "c", "memory": "fast"}},
    }
    sim = make_memsim(memory_config(platform(system)))
    assert sim.data(0, FLASH, 4, 0) == 9 and sim.data(0, RAM, 4, 0) == 1
    assert sim.data(0, FLASH + 4, 4, 0) == 0
