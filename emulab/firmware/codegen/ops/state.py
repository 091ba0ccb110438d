"""Variables that live from one inference to the next: VAR_HANDLE, READ_VARIABLE, ASSIGN_VARIABLE, CALL_ONCE."""

from __future__ import annotations

from emulab.errors import InputError
from emulab.firmware.codegen.graph import DType, Op, Subgraph, Tensor
from emulab.firmware.codegen.lowering import Context, Lowered
from emulab.firmware.codegen.options import CallOnceOptions, VarHandleOptions


def lower_var_handle(ctx: Context, op: Op) -> Lowered:
    """Names a variable; no code."""
    y = ctx.output(op)
    if y.dtype is not DType.RESOURCE:
        raise InputError(f"tensor {y.name!r} is {y.dtype.name}, expected RESOURCE")
    ctx.handles[y.index] = _key(op)
    return Lowered([])


def _key(op: Op) -> str:
    assert isinstance(op.options, VarHandleOptions)
    return f"{op.options.container}/{op.options.shared_name}"


def _variable(ctx: Context, op: Op, like: Tensor) -> str:
    handle = ctx.input(op, 0)
    if handle.index not in ctx.handles:
        raise InputError(f"tensor {handle.name!r} is not a variable's handle")
    return ctx.variable(ctx.handles[handle.index], like)


def lower_read(ctx: Context, op: Op) -> Lowered:
    """The variable's value."""
    y = ctx.output(op)
    return Lowered([f"memcpy({ctx.pointer(y)}, {_variable(ctx, op, y)}, {y.bytes});"])


def lower_assign(ctx: Context, op: Op) -> Lowered:
    """A new value for the variable."""
    x = ctx.input(op, 1)
    return Lowered([f"memcpy({_variable(ctx, op, x)}, {ctx.pointer(x)}, {x.bytes});"])


def lower_call_once(ctx: Context, op: Op) -> Lowered:
    """Initial values, set before the first inference and by `emulab_model_reset`."""
    assert isinstance(op.options, CallOnceOptions)
    index = op.options.subgraph
    if not 0 < index < len(ctx.graph.subgraphs):
        raise InputError(f"there is no subgraph {index}")
    ctx.reset += initial_values(ctx, ctx.graph.subgraphs[index])
    return Lowered(["if (!emulab_model_ready) {", "    emulab_model_reset();", "}"])


def initial_values(ctx: Context, subgraph: Subgraph) -> list[str]:
    """C of a subgraph that does nothing but assign constants to variables."""
    handles: dict[int, str] = {}
    lines: list[str] = []
    for op in subgraph.ops:
        if op.kind == "VAR_HANDLE" and op.outputs:
            handles[op.outputs[0]] = _key(op)
            continue
        if op.kind != "ASSIGN_VARIABLE" or len(op.inputs) != 2 or None in op.inputs:
            raise InputError(f"{subgraph.describe(op)} in the initialisation subgraph is not supported")
        handle, source = op.inputs
        assert handle is not None and source is not None
        value = subgraph.tensors[source]
        if handle not in handles or value.data is None:
            raise InputError(f"{subgraph.describe(op)} must assign a constant to a variable")
        to = ctx.variable(handles[handle], value)
        if len(set(value.data)) == 1:
            lines.append(f"memset({to}, {value.data[0]}, {value.bytes});")
        else:
            symbol = ctx.constant(f"init{value.index}", value.dtype.c_type, value.array(), value.name)
            lines.append(f"memcpy({to}, {symbol}, {value.bytes});")
    return lines
