"""Where each tensor lies in the static arena: offsets from lifetimes, buffers shared where that is legal."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

ALIGNMENT = 8


@dataclass(frozen=True)
class Request:
    """A buffer alive from operator `first` to operator `last`, both included."""

    name: str
    bytes: int
    first: int
    last: int


@dataclass(frozen=True)
class Allocation:
    """A request and its offset in the arena, in bytes."""

    name: str
    offset: int
    bytes: int
    first: int
    last: int

    @property
    def end(self) -> int:
        return self.offset + self.bytes


@dataclass(frozen=True)
class ArenaPlan:
    """The plan: allocations in order of first use, total bytes, and the bound no plan can beat."""

    allocations: tuple[Allocation, ...]
    bytes: int
    lower_bound: int
    """Most bytes alive during any one operator."""

    def __getitem__(self, name: str) -> Allocation:
        for allocation in self.allocations:
            if allocation.name == name:
                return allocation
        raise KeyError(name)


def _round_up(n: int) -> int:
    return -(-n // ALIGNMENT) * ALIGNMENT


def _place(requests: Iterable[Request]) -> tuple[int, dict[str, int]]:
    """Put each request, in the order given, at the lowest offset free during its whole life."""
    placed: list[tuple[int, int, Request]] = []
    offsets: dict[str, int] = {}
    total = 0
    for request in requests:
        size = _round_up(request.bytes)
        offset = 0
        for start, end, other in placed:  # sorted by start
            if other.last < request.first or request.last < other.first:
                continue
            if start - offset >= size:
                break
            offset = max(offset, end)
        offsets[request.name] = offset
        total = max(total, offset + size)
        placed.append((offset, offset + size, request))
        placed.sort(key=lambda item: item[0])
    return total, offsets


def plan(requests: Iterable[Request], *, attempts: int = 200, seed: int = 0) -> ArenaPlan:
    """Offsets of all requests; greedy in several orders, then random neighbours of the best until the bound is met.

    Greedy by size is the heuristic of Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net
    Inference" (2020); the search is seeded, so that a model always gets the same plan.
    """
    items = [r for r in requests if r.bytes > 0]
    if not items:
        return ArenaPlan((), 0, 0)
    edges = sorted({r.first for r in items})
    bound = max(sum(_round_up(r.bytes) for r in items if r.first <= t <= r.last) for t in edges)
    orders: list[Callable[[Request], tuple[int, int]]] = [
        lambda r: (-r.bytes, r.first),
        lambda r: (-r.bytes * (r.last - r.first + 1), r.first),
        lambda r: (-(r.last - r.first), -r.bytes),
        lambda r: (r.first, -r.bytes),
        lambda r: (-r.last, -r.bytes),
    ]
    candidates = [sorted(items, key=order) for order in orders]
    results = [(_place(c), c) for c in candidates]
    (best_total, best), order = min(results, key=lambda r: r[0][0])
    rng = random.Random(seed)
    # Large graphs get fewer attempts: one placement is quadratic in the number of buffers.
    for _ in range(attempts if len(items) < 200 else 0):
        if best_total == bound:
            break
        trial = list(order)
        i, j = rng.randrange(len(trial)), rng.randrange(len(trial))
        trial.insert(j, trial.pop(i))
        total, offsets = _place(trial)
        if total <= best_total:
            best_total, best, order = total, offsets, trial
    allocations = tuple(
        Allocation(r.name, best[r.name], r.bytes, r.first, r.last)
        for r in sorted(items, key=lambda r: (r.first, best[r.name]))
    )
    return ArenaPlan(allocations, best_total, bound)
