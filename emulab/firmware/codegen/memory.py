"""From lowered operators to arena requests: lifetimes, shared buffers, in-place outputs, scratch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from emulab.errors import InputError
from emulab.firmware.codegen.arena import ArenaPlan, Request, plan
from emulab.firmware.codegen.graph import DType, Subgraph
from emulab.firmware.codegen.lowering import Lowered


@dataclass(frozen=True)
class MemoryPlan:
    """The arena plan, and for every tensor held in it the name of its allocation."""

    arena: ArenaPlan
    buffer_of: dict[int, str]

    def offset(self, tensor: int) -> int:
        return self.arena[self.buffer_of[tensor]].offset


def plan_memory(
    graph: Subgraph, lowered: list[Lowered], *, variables: Sequence[int] = (), preserve_input: bool = False
) -> MemoryPlan:
    """Lay out every tensor that is not a constant, and every operator's scratch.

    A buffer is named after the tensor first in it (`t<n>`), scratch `s<op>`, variables (given by their bytes)
    `v<n>`. Graph inputs live from before the first operator, graph outputs until after the last, variables always. An
    input is overwritten after its last use unless `preserve_input`.
    """
    end = len(graph.ops)
    first: dict[int, int] = {i: -1 for i in graph.inputs}
    last: dict[int, int] = {i: (end if preserve_input else -1) for i in graph.inputs}
    for op in graph.ops:
        for i in op.inputs:
            if i is None or _elsewhere(graph, i):
                continue
            if i not in first:
                name = graph.tensors[i].name
                raise InputError(f"{graph.describe(op)}: tensor {name!r} is read before any operator writes it")
            last[i] = max(last[i], op.index)
        for o in op.outputs:
            if graph.tensors[o].dtype is DType.RESOURCE:
                continue
            if graph.tensors[o].is_variable:
                raise InputError(f"{graph.describe(op)}: variable {graph.tensors[o].name!r} must not be an output")
            if o in first or graph.tensors[o].is_constant:
                raise InputError(f"{graph.describe(op)}: tensor {graph.tensors[o].name!r} is written twice")
            first[o], last[o] = op.index, op.index
    for o in graph.outputs:
        if o not in first:
            raise InputError(f"graph output {graph.tensors[o].name!r} is never written")
        last[o] = end
    root = {i: i for i in first}
    size = {i: graph.tensors[i].bytes for i in first}

    def find(i: int) -> int:
        while root[i] != i:
            i = root[i]
        return i

    def merge(a: int, b: int) -> None:
        a, b = find(a), find(b)
        if a == b:
            return
        if first[b] < first[a]:
            a, b = b, a
        root[b] = a
        last[a], size[a] = max(last[a], last[b]), max(size[a], size[b])

    for low in lowered:
        for out, source in low.aliases:
            merge(out, source)
    for op, low in zip(graph.ops, lowered, strict=True):
        for out, source in low.in_place:
            if source not in root or find(out) == find(source):
                continue
            a = find(source)
            dies_here = last[a] == op.index and first[find(out)] == op.index
            others = [i for i in op.inputs if i is not None and i != source and i in root and find(i) == a]
            if dies_here and not others and graph.tensors[out].bytes <= size[a]:
                merge(source, out)
                break
    requests = [Request(f"t{i}", size[i], first[i], last[i]) for i in first if find(i) == i]
    requests += [
        Request(f"s{op.index}", low.scratch_bytes, op.index, op.index)
        for op, low in zip(graph.ops, lowered, strict=True)
        if low.scratch_bytes
    ]
    requests += [Request(f"v{n}", size, -1, end) for n, size in enumerate(variables)]
    return MemoryPlan(plan(requests), {i: f"t{find(i)}" for i in first})


def spare_bytes(graph: Subgraph) -> dict[int, int]:
    """Per operator, the bytes by which the tensors alive during it stay below the most that are alive at any time."""
    first: dict[int, int] = {i: 0 for i in graph.inputs}
    last: dict[int, int] = {}
    for op in graph.ops:
        for o in op.outputs:
            first.setdefault(o, op.index)
            last[o] = op.index
        last.update({i: op.index for i in op.inputs if i is not None})
    last.update({o: len(graph.ops) for o in graph.outputs})
    live = [0] * len(graph.ops)
    for i, start in first.items():
        if not _elsewhere(graph, i):
            for t in range(start, min(last.get(i, start) + 1, len(live))):
                live[t] += graph.tensors[i].bytes
    return {t: max(live) - n for t, n in enumerate(live)}


def _elsewhere(graph: Subgraph, index: int) -> bool:
    """Whether a tensor has no place of its own in the arena: constants, variables and handles of such."""
    tensor = graph.tensors[index]
    return tensor.is_constant or tensor.is_variable or tensor.dtype is DType.RESOURCE
