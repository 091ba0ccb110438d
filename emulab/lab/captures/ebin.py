"""``.ebin`` of the EEMBC energy runner: byte 0xF1, float32 LE sample rate in Hz, float32 LE samples in uJ per sample.

The DUT's edges lie beside it in a JSON list of seconds: a sync first, then (start, stop) pairs.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path

from emulab.errors import InputError
from emulab.lab.capture import Capture
from emulab.lab.captures.results_txt import beside
from emulab.lab.captures.session import RecordedSession, number, pair_windows


def decode(data: bytes, file: object, voltage_v: float = 0.0) -> Capture:
    """Bytes of an ``.ebin`` as a power capture. InputError when they are not one."""
    import numpy as np

    if len(data) < 9 or data[0] != 0xF1:
        raise InputError.at(file, "byte 0", "not an .ebin trace: expected 0xF1, a sample rate and samples")
    rate = struct.unpack_from("<f", data, 1)[0]
    if not (math.isfinite(rate) and 0 < rate <= 1e8):
        raise InputError.at(file, "bytes 1 to 4", f"sample rate {rate:g} Hz is not plausible")
    if (len(data) - 5) % 4:
        raise InputError.at(file, f"byte {len(data)}", "the last sample is cut off; is the file complete?")
    micro = np.frombuffer(data, "<f4", offset=5).astype(np.float64)
    bad = ~np.isfinite(micro)
    if (micro[~bad] < 0).any():
        raise InputError.at(file, "samples", "negative energy; expected uJ per sample")
    return Capture(
        0.0, 1.0 / rate, micro * 1e-6 * rate, "W", voltage_v, lost_samples=int(bad.sum()), source=Path(str(file)).name
    )


def read_timestamps(file: Path) -> list[float]:
    """The JSON list of seconds. InputError when it is anything else."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError.at(file, "", "no such file; an .ebin trace needs the timestamps of the DUT's edges") from None
    except (OSError, ValueError) as error:
        raise InputError.at(file, "", f"not JSON: {error}") from None
    if not isinstance(found, list) or not all(
        isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x) for x in found
    ):
        raise InputError.at(file, "", "expected a list of seconds")
    return [float(x) for x in found]


def read(path: Path, options: Mapping[str, str]) -> RecordedSession:
    """Read a trace with its timestamps (``STEM.timestamps.json``) and, where there, ``STEM.results.txt``."""
    stem = path.name.removesuffix(".ebin")
    capture = decode(path.read_bytes(), path, number(path, options, "voltage_v") or 0.0)
    stamps = Path(options["timestamps"]) if "timestamps" in options else path.with_name(stem + ".timestamps.json")
    edges = read_timestamps(stamps)
    if len(edges) % 2:
        edges = edges[1:]  # the first is the sync pulse
    reported = beside(path, stem, options.get("results", ""))
    given = number(path, options, "inferences")
    counts = sorted(set(reported.inferences)) if reported else []
    if given is None and len(counts) != 1:
        raise InputError.at(
            path, "inferences", "how many inferences a window has is not recorded; give it, e.g. ,inferences=100"
        )
    count = int(given) if given is not None else counts[0]
    return RecordedSession(
        source=path.name,
        capture=capture,
        windows=pair_windows(stamps, edges, count, capture, capture.step_s),
        reported=reported.figures() if reported else {},
        notes=("latency is that of energy mode, from the DUT's edges in the trace",),
    )
