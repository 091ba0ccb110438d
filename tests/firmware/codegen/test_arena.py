"""The arena plan: buffers alive together never overlap, and good plans are found."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from emulab.firmware.codegen.arena import ALIGNMENT, ArenaPlan, Request, plan

requests = st.lists(
    st.tuples(st.integers(0, 3000), st.integers(-1, 12), st.integers(0, 6)).map(
        lambda t: Request("", t[0], t[1], t[1] + t[2])
    ),
    max_size=20,
).map(lambda rs: [Request(f"t{i}", r.bytes, r.first, r.last) for i, r in enumerate(rs)])


def check(result: ArenaPlan) -> None:
    for i, a in enumerate(result.allocations):
        assert a.offset % ALIGNMENT == 0 and a.end <= result.bytes
        for b in result.allocations[:i]:
            together = a.first <= b.last and b.first <= a.last
            assert not together or a.end <= b.offset or b.end <= a.offset


@given(requests)
def test_buffers_alive_together_never_overlap(items: list[Request]) -> None:
    result = plan(items, attempts=20)
    check(result)
    assert result.lower_bound <= result.bytes <= sum(-(-r.bytes // ALIGNMENT) * ALIGNMENT for r in items)
    assert {a.name for a in result.allocations} == {r.name for r in items if r.bytes}


@given(requests)
def test_the_plan_repeats(items: list[Request]) -> None:
    assert plan(items, attempts=20) == plan(items, attempts=20)


def test_a_chain_needs_its_two_largest_neighbours() -> None:
    sizes = [100, 800, 400, 1200, 80]
    result = plan([Request(f"t{i}", n, i - 1, i) for i, n in enumerate(sizes)])
    assert result.bytes == result.lower_bound == 1600
    assert result["t3"].bytes == 1200


def test_nothing_to_plan() -> None:
    assert plan([]).bytes == 0
