"""What streaming firmware is built with: front end, what counts as a detection, and the constants that follow."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from emulab.errors import InputError
from emulab.firmware.audio import front_end
from emulab.firmware.audio.header import frontend_header

if TYPE_CHECKING:
    from emulab.firmware.audio import FrontEnd
    from emulab.firmware.codegen.generator import TensorDescription

ROLLING = {"lfbe": True, "micro": False}
"""Whether the model sees a window of features that moves by one row, or new rows only (and remembers the rest)."""


@dataclass(frozen=True)
class StreamOptions:
    """A detection: the mean of the last ``average`` outputs number ``output`` is above ``threshold`` (0 to 1)."""

    front_end: str
    output: int = 0
    threshold: float = 0.5
    average: int = 1
    refractory_s: float = 1.0
    """After a detection none counts for so long."""


@dataclass(frozen=True)
class StreamPlan:
    """The stream of one model: per step ``step_samples`` come in and one inference is made."""

    front_end: FrontEnd
    rows: int
    fresh_rows: int
    scale: float
    zero_point: int
    output_scale: float
    output_zero_point: int
    threshold: int
    """The sum of ``average`` raw outputs that must be exceeded."""
    refractory: int
    """Inferences without detection after one."""

    @property
    def step_samples(self) -> int:
        return self.fresh_rows * self.front_end.hop

    @property
    def step_s(self) -> float:
        return self.step_samples / self.front_end.sample_hz

    def inference_s(self, index: int) -> float:
        """Stream time at which the samples of inference *index* have all come, in seconds."""
        hops = self.front_end.delay + (index + 1) * self.fresh_rows
        return -(-hops // self.fresh_rows) * self.step_s


def plan_stream(options: StreamOptions, given: TensorDescription, answer: TensorDescription) -> StreamPlan:
    """Match options and model; InputError says where they do not fit."""
    found = front_end(options.front_end)
    elements = math.prod(given.shape)
    if given.dtype != "int8" or given.scale is None or given.zero_point is None or elements % found.channels:
        raise InputError(
            f"stream: front end {found.name} gives rows of {found.channels} int8 features; the model takes "
            f"{given.dtype} of shape {given.shape}"
        )
    outputs = math.prod(answer.shape)
    if answer.dtype not in ("int8", "uint8") or answer.scale is None or answer.zero_point is None:
        raise InputError(f"stream: expected a model with int8 or uint8 scores, found {answer.dtype}")
    if not 0 <= options.output < outputs:
        raise InputError(f"stream.output: expected 0 to {outputs - 1}, found {options.output}")
    if not 1 <= options.average <= 64 or not 0 <= options.refractory_s <= 60 or not 0 <= options.threshold <= 1:
        raise InputError("stream: expected threshold 0 to 1, average 1 to 64, refractory_s 0 to 60")
    rows = elements // found.channels
    fresh = 1 if ROLLING[found.name] else rows
    step_s = fresh * found.hop_s
    raw = options.average * (options.threshold / answer.scale + answer.zero_point)
    return StreamPlan(
        front_end=found,
        rows=rows,
        fresh_rows=fresh,
        scale=given.scale,
        zero_point=given.zero_point,
        output_scale=answer.scale,
        output_zero_point=answer.zero_point,
        threshold=math.floor(raw + 1e-6),
        refractory=round(options.refractory_s / step_s),
    )


def stream_header(options: StreamOptions, plan: StreamPlan) -> str:
    """``emulab_frontend.h`` of a stream: tables, scaling, and the limits of detection."""
    limits = {
        "EMULAB_STREAM_ROWS": f"{plan.fresh_rows}u",
        "EMULAB_STREAM_OUTPUT": str(options.output),
        "EMULAB_STREAM_AVERAGE": f"{options.average}u",
        "EMULAB_STREAM_THRESHOLD": f"({plan.threshold})",
        "EMULAB_STREAM_REFRACTORY": f"{plan.refractory}u",
    }
    text = frontend_header(plan.front_end, plan.scale, plan.zero_point)
    defines = "".join(f"#define {name} {value}\n" for name, value in limits.items())
    return text.replace("#include <stdint.h>\n", f"#include <stdint.h>\n{defines}", 1)
