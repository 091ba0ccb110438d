"""A board listens: firmware, modelled microphone and power components on one clock, for as long as a recording plays."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from emulab.errors import InputError, ToolError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emulab.backends.base import Backend, Session
    from emulab.firmware.build import Firmware
    from emulab.model.platform import Platform

TRACE_BUCKETS = 4096
SLICE_S = 0.25


def listen(
    backend: Backend,
    platform: Platform,
    firmware: Firmware,
    samples: NDArray[Any],
    length_s: float,
    limit_s: float = 600.0,
) -> dict[str, Any]:
    """Let the board listen to *samples* for *length_s* with its components on the ledger.

    Charge in coulomb by component, the supply's current over time, scores, detections and steps missed. ToolError when
    it takes longer than *limit_s* of wall time.
    """
    from emulab.backends.base import SessionOptions
    from emulab.backends.unicorn.parts.microphone import Microphone
    from emulab.dut import DutClient
    from emulab.energy.cosim import FirmwareMeter
    from emulab.energy.trace import BucketTrace

    with backend.open(platform, firmware.image, SessionOptions(profile=False)) as session:
        machine: Any = session.machine  # type: ignore[attr-defined]
        lines = [p for p in machine.peripherals.values() if hasattr(p, "microphone")]
        if not lines:
            raise InputError(f"platform {platform.name!r}: the machine has no audio line for board.firmware.audio")
        lines[0].microphone = Microphone(samples, 16_000)
        trace = BucketTrace(length_s / TRACE_BUCKETS, 2 * TRACE_BUCKETS)
        meter = FirmwareMeter(platform, machine, trace=trace)
        client = DutClient(session.console, session.clock, limit_s=min(limit_s, 120.0))
        client.sync()
        client.command("start")
        begin_s = session.clock.now_s()
        before, asleep = meter.charges(begin_s), machine.idle_q8
        _run(session, machine, begin_s + length_s, limit_s)
        end_s = session.clock.now_s()
        after, slept = meter.charges(end_s), machine.idle_q8 - asleep
        busy = 1 - slept / 256 / machine.core_hz / (end_s - begin_s)
        answer = client.command("stop")
        supply_v = meter.ledger.network.supply_v
    return {
        "begin_s": begin_s,
        "end_s": end_s,
        "supply_v": supply_v,
        "busy_share": busy,
        "charge_c": {name: after[name] - before.get(name, 0.0) for name in after},
        **_said(answer),
        "trace": _csv(trace, begin_s, end_s),
    }


def _run(session: Session, machine: Any, until_s: float, limit_s: float) -> None:
    deadline = time.monotonic() + limit_s
    while session.clock.now_s() < until_s:
        if time.monotonic() > deadline:
            raise ToolError(f"listening took longer than {limit_s:g} s; {session.describe_state()}")
        machine.env.run(until=min(until_s, session.clock.now_s() + SLICE_S))


def _said(answer: list[str]) -> dict[str, Any]:
    """What the DUT told after ``stop``."""
    from emulab.dut.client import DutError

    counts = {}
    for name in ("steps", "missed", "inferences", "detected"):
        prefix = f"m-stream-{name}-"
        value = next((line.removeprefix(prefix) for line in answer if line.startswith(prefix)), "")
        if not value.isdigit():
            raise DutError(f"DUT: 'stop' was not answered by {prefix}N; it said {answer[:6]}")
        counts[name] = int(value)
    try:
        found = [int(line.removeprefix("m-detection-")) for line in answer if line.startswith("m-detection-")]
        told = [line.removeprefix("m-scores-") for line in answer if line.startswith("m-scores-")]
        scores = [int(byte, 16) for line in told for byte in line.split("-")]
    except ValueError:
        raise DutError("DUT: a score or detection that 'stop' told is not a number") from None
    return {**counts, "detections": found, "scores": scores}


def _csv(trace: Any, begin_s: float, end_s: float) -> str:
    """The trace as CSV of ms and microampere, from the start of listening."""
    lines = ["Timestamp(ms),Current(uA),Min(uA),Max(uA)"]
    for at, mean, low, high in zip(*trace.arrays(), strict=True):
        if begin_s <= at < end_s:
            lines.append(f"{1e3 * (at - begin_s):.4f},{1e6 * mean:.3f},{1e6 * low:.3f},{1e6 * high:.3f}")
    return "\n".join(lines) + "\n"
