"""UNIDIRECTIONAL_SEQUENCE_LSTM and SVDF: layers with a state that lives from one inference to the next."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from emulab.errors import InputError
from emulab.firmware.codegen.fixed_point import float_activation_range, quantize_multiplier, wrap32
from emulab.firmware.codegen.graph import DType, Op, Tensor
from emulab.firmware.codegen.lowering import Context, Lowered, c_float, require_dtype, require_shape, struct
from emulab.firmware.codegen.ops.int16 import ELEMENTWISE, logistic_table
from emulab.firmware.codegen.options import LstmOptions, SvdfOptions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

READY = ["if (!emulab_model_ready) {", "    emulab_model_reset();", "}"]
GATES = 4
GATE_SCALE = 2.0**-12
"""Of a gate's argument; its value has 2^-15."""


def _state(ctx: Context, op: Op, position: int, elements: int, *types: DType) -> Tensor:
    """A variable among the inputs, of which `elements` must fit."""
    state = ctx.input(op, position)
    require_dtype(state, *types)
    if not state.is_variable or state.is_constant:
        raise InputError(f"tensor {state.name!r} must be a variable")
    if state.elements != elements:
        raise InputError(f"tensor {state.name!r} {list(state.shape)} must hold {elements} values")
    return state


def lower_lstm(ctx: Context, op: Op) -> Lowered:
    """UNIDIRECTIONAL_SEQUENCE_LSTM with four gates, without peepholes, projection or normalisation."""
    o = op.options
    assert isinstance(o, LstmOptions)
    if len(op.inputs) < 20:
        raise InputError(f"{len(op.inputs)} inputs, expected 20 or more")
    for what, positions in (
        ("peepholes", (9, 10, 11)),
        ("a projection", (16, 17)),
        ("normalised layers", range(20, min(24, len(op.inputs)))),
    ):
        if any(op.inputs[i] is not None for i in positions):
            raise InputError(f"{what} are not supported" if what[-1] == "s" else f"{what} is not supported")
    if any(op.inputs[i] is None for i in (1, 5, 12)):
        raise InputError("an input gate coupled with the forget gate is not supported")
    if o.activation != "TANH":
        raise InputError(f"activation {o.activation} is not supported, only TANH")
    x, y = ctx.input(op, 0), ctx.output(op)
    require_dtype(x, DType.INT8, DType.FLOAT32)
    if len(x.shape) != 3 or 0 in x.shape:
        raise InputError(f"tensor {x.name!r} has shape {list(x.shape)}, expected batch, time and features")
    steps, batches = x.shape[:2] if o.time_major else x.shape[1::-1]
    inputs, units = x.shape[2], ctx.input(op, 1).shape[0] if ctx.input(op, 1).shape else 0
    require_dtype(y, x.dtype)
    require_shape(y, (*x.shape[:2], units))
    weights = [ctx.input(op, i) for i in range(1, 5)]
    recurrent = [ctx.input(op, i) for i in range(5, 9)]
    biases = [ctx.input(op, i) for i in range(12, 16)]
    for group, shape in ((weights, (units, inputs)), (recurrent, (units, units)), (biases, (units,))):
        for tensor in group:
            require_shape(tensor, shape)
    hidden = _state(ctx, op, 18, batches * units, x.dtype)
    cell = _state(ctx, op, 19, batches * units, DType.INT16 if x.dtype is DType.INT8 else DType.FLOAT32)
    sizes = {"batches": batches, "steps": steps, "inputs": inputs, "units": units, "time_major": int(o.time_major)}
    fields: dict[str, object] = {"shape": "{" + ", ".join(f".{k} = {v}" for k, v in sizes.items()) + "}"}
    suffix, sources = "f32", ("lstm_f32.c", "elementwise_f32.c")
    if x.dtype is DType.INT8:
        suffix, sources = "s8", ("lstm_s8.c", *ELEMENTWISE)
        fields |= _integer_lstm(ctx, op, x, hidden, cell, (weights, recurrent, biases))
        fields["clip"] = min(int(o.cell_clip / cell.scale), 32767)
    else:
        for tensor in (*weights, *recurrent, *biases):
            require_dtype(tensor, DType.FLOAT32)
        fields["weights"] = ctx.constant(f"w{op.index}", "float", _joined(weights))
        fields["recurrent"] = ctx.constant(f"r{op.index}", "float", _joined(recurrent))
        fields["bias"] = ctx.constant(f"b{op.index}", "float", _joined(biases))
        fields["clip"] = c_float(o.cell_clip)
    if (y.scale, y.zero_point) != (hidden.scale, hidden.zero_point) if x.dtype is DType.INT8 else False:
        raise InputError(f"tensors {y.name!r} and {hidden.name!r} must have the same quantisation")
    lines = [*READY, *struct(f"emulab_lstm_{suffix}_params", fields)]
    pointers = ", ".join([ctx.pointer(x), ctx.pointer(hidden), ctx.pointer(cell), ctx.scratch(op), ctx.pointer(y)])
    lines.append(f"emulab_lstm_{suffix}(&p, {pointers});")
    macs = batches * steps * GATES * units * (inputs + units)
    return Lowered(lines, sources, macs, GATES * units * cell.dtype.itemsize)


def _joined(tensors: list[Tensor]) -> NDArray[np.generic]:
    import numpy as np

    return np.stack([t.array() for t in tensors])


def _integer_lstm(
    ctx: Context,
    op: Op,
    x: Tensor,
    hidden: Tensor,
    cell: Tensor,
    parts: tuple[list[Tensor], list[Tensor], list[Tensor]],
) -> dict[str, object]:
    """Constants of the int8 kernel: zero points folded into biases, one multiplier per gate and source."""
    import numpy as np

    weights, recurrent, biases = parts
    power = round(math.log2(cell.scale))
    if cell.scale != 2.0**power or cell.zero_point:
        raise InputError(f"tensor {cell.name!r} has scale {cell.scale:g}, expected a power of two and no zero point")
    multipliers = []
    folded: list[NDArray[np.generic]] = []
    for source, group in ((x, weights), (hidden, recurrent)):
        for gate, w in enumerate(group):
            require_dtype(w, DType.INT8)
            if w.zero_point or (w.quantisation and w.quantisation.per_channel):
                raise InputError(f"tensor {w.name!r}: expected one scale and no zero point")
            multipliers.append(quantize_multiplier(source.scale * w.scale / GATE_SCALE))
            bias = np.zeros(w.shape[0], np.int64)
            if source is x:
                require_dtype(biases[gate], DType.INT32)
                bias = biases[gate].array().astype(np.int64)
            sums = bias - source.zero_point * w.array().astype(np.int64).sum(axis=1)
            folded.append(np.array([wrap32(int(v)) for v in sums], np.int32))
    products = {
        "forget": 2.0**-15 * cell.scale / cell.scale,
        "input": 2.0**-30 / cell.scale,
        "hidden": 2.0**-30 / hidden.scale,
    }
    shift = 12 + power
    fields: dict[str, object] = {
        "weights": ctx.constant(f"w{op.index}", "int8_t", _joined(weights)),
        "recurrent": ctx.constant(f"r{op.index}", "int8_t", _joined(recurrent)),
        "bias": ctx.constant(f"b{op.index}", "int32_t", np.stack(folded[:GATES])),
        "recurrent_bias": ctx.constant(f"c{op.index}", "int32_t", np.stack(folded[GATES:])),
        "multiplier": ctx.constant(f"m{op.index}", "int32_t", np.array([m.value for m in multipliers], np.int32)),
        "shift": ctx.constant(f"h{op.index}", "int32_t", np.array([m.shift for m in multipliers], np.int32)),
        "logistic": ctx.constant(f"l{op.index}", "uint16_t", logistic_table()),
        "tanh_multiplier": 3 if shift < 0 else 3 << shift,
        "tanh_shift": max(-shift, 0),
        "hidden_zero": hidden.zero_point,
    }
    if not -15 <= shift <= 12:
        raise InputError(f"tensor {cell.name!r}: scale {cell.scale:g} is out of range")
    for name, value in products.items():
        m = quantize_multiplier(value)
        fields |= {f"{name}_multiplier": m.value, f"{name}_shift": m.shift}
    return fields


def lower_svdf(ctx: Context, op: Op) -> Lowered:
    """SVDF: inputs, weights of features [filters, inputs], over time [filters, memory], bias if any, state."""
    o = op.options
    assert isinstance(o, SvdfOptions)
    x, feature, over_time, bias, y = (
        ctx.input(op, 0),
        ctx.input(op, 1),
        ctx.input(op, 2),
        ctx.optional(op, 3),
        ctx.output(op),
    )
    require_dtype(x, DType.INT8, DType.FLOAT32)
    for tensor in (x, feature, over_time, y):
        if len(tensor.shape) != 2 or 0 in tensor.shape:
            raise InputError(f"tensor {tensor.name!r} has shape {list(tensor.shape)}, expected 2 dimensions")
    (batches, inputs), (filters, memory) = x.shape, over_time.shape
    if o.rank < 1 or filters % o.rank:
        raise InputError(f"{filters} filters are no multiple of rank {o.rank}")
    units = filters // o.rank
    require_shape(feature, (filters, inputs))
    require_shape(y, (batches, units))
    require_dtype(y, x.dtype)
    require_dtype(feature, x.dtype)
    if bias is not None:
        require_shape(bias, (units,))
        require_dtype(bias, DType.INT32 if x.dtype is DType.INT8 else DType.FLOAT32)
    fields: dict[str, object] = {
        "batches": batches,
        "inputs": inputs,
        "units": units,
        "rank": o.rank,
        "memory": memory,
        "feature_weights": ctx.pointer(feature) if feature.is_constant else _no_constant(feature),
        "time_weights": ctx.pointer(over_time) if over_time.is_constant else _no_constant(over_time),
        "bias": 0 if bias is None else (ctx.pointer(bias) if bias.is_constant else _no_constant(bias)),
    }
    elements = batches * filters * memory
    macs = batches * filters * (inputs + memory)
    if x.dtype is DType.FLOAT32:
        state = _state(ctx, op, 4, elements, DType.FLOAT32)
        require_dtype(over_time, DType.FLOAT32)
        fields["act_min"], fields["act_max"] = float_activation_range(o.activation)
        kernel, params = "emulab_svdf_f32", "emulab_svdf_f32_params"
    else:
        if o.activation not in ("NONE", "RELU"):
            raise InputError(f"fused activation {o.activation} is not supported")
        state = _state(ctx, op, 4, elements, DType.INT8, DType.INT16)
        require_dtype(over_time, state.dtype)
        to_state = quantize_multiplier(x.scale * feature.scale / state.scale)
        out = quantize_multiplier(state.scale * over_time.scale / y.scale)
        fields |= {"in_zero": x.zero_point, "state_zero": state.zero_point, "out_zero": y.zero_point}
        fields |= {"feature_multiplier": to_state.value, "feature_shift": to_state.shift}
        fields |= {"out_multiplier": out.value, "out_shift": out.shift}
        kernel = f"emulab_svdf_s8_state{8 * state.dtype.itemsize}"
        params = "emulab_svdf_s8_params"
    lines = [*READY, *struct(params, fields)]
    lines.append(f"{kernel}(&p, {ctx.pointer(x)}, {ctx.pointer(state)}, {ctx.pointer(y)});")
    return Lowered(lines, ("svdf.c",), macs)


def _no_constant(tensor: Tensor) -> str:
    raise InputError(f"tensor {tensor.name!r} must be a constant")
