"""Bearing vibration as an evaluation set: a folder of recordings, or windows simulated from a seed.

A folder holds one .npz per recording and ``index.csv``, which has the columns ``file``, ``fault`` (normal, B, IR, OR),
``diameter_mil`` and ``load_hp``; a file holds ``de`` (acceleration, 1-D), ``fs`` (Hz) and ``rpm``. This is the shape the
Case Western Reserve University recordings are kept in for development; they do not ship.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulab.errors import InputError
from emulab.quality.bearing import (
    BINS,
    CONDITIONS,
    SAMPLE_RATE_HZ,
    SPEEDS_RPM,
    WINDOW,
    envelope_orders,
    simulate,
    simulated_signals,
)
from emulab.quality.samples import Sample, Task, TensorSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

FAULTS = {"normal": 0, "B": 1, "IR": 2, "OR": 3}
STRIDE = 2048
MAX_SIMULATED = 10_000
HELD_OUT_LOAD_HP = 3
"""The shipped models were trained at the other loads."""
NORMAL_SPLIT = (0.6, 0.65)
"""One recording of a good bearing: training before the first, tests after the second share of it."""


@dataclass(frozen=True)
class Recordings:
    """Windows: features (n, BINS) int8, class, fault diameter in mil (0: none), load in hp, place in the file 0 .. 1."""

    x: NDArray[Any]
    y: NDArray[Any]
    diameter: NDArray[Any]
    load: NDArray[Any]
    time: NDArray[Any]
    signal: NDArray[Any]
    """Acceleration of the windows, (n, WINDOW) float32."""
    speed_rpm: NDArray[Any]

    def good(self, late: bool) -> NDArray[Any]:
        """Mask of the good bearing's windows: of the test part (late), or of the training part."""
        side = self.time > NORMAL_SPLIT[1] if late else self.time < NORMAL_SPLIT[0]
        mask: NDArray[Any] = (self.y == 0) & side
        return mask

    @property
    def held_out(self) -> NDArray[Any]:
        """Mask of what the shipped models were not trained on: the held-out load, the good bearing's test part."""
        mask: NDArray[Any] = ((self.y > 0) & (self.load == HELD_OUT_LOAD_HP)) | self.good(late=True)
        return mask


def read_recordings(folder: Path, loads: Sequence[int] | None = None) -> Recordings:
    """Windows of all recordings (of *loads*, and of good bearings), brought to 12 kHz; InputError names the file."""
    import numpy as np

    index = folder / "index.csv"
    try:
        rows = list(csv.DictReader(index.read_text(encoding="utf-8").splitlines()))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError.at(index, "", f"cannot be read: {error}; expected the index of a recordings folder") from None
    columns: tuple[list[Any], ...] = ([], [], [], [], [], [], [])
    for number, entry in enumerate(rows, start=2):
        try:
            label, diameter, load = FAULTS[entry["fault"]], int(entry["diameter_mil"] or 0), int(entry["load_hp"])
            name = entry["file"]
        except (KeyError, TypeError, ValueError) as error:
            raise InputError.at(index, f"line {number}", f"not a row of a recordings index: {error}") from None
        if name != Path(name).name:
            raise InputError.at(index, f"line {number}", f"{name!r} is not the name of a file in this folder")
        if label and loads is not None and load not in loads:
            continue
        signal, rate, speed = _signal(folder / name)
        stride = STRIDE
        if rate == 4 * SAMPLE_RATE_HZ:
            n = len(signal) // 8 * 8
            signal = np.fft.irfft(np.fft.rfft(signal[:n])[: n // 8 + 1], n // 4) / 4
            stride = STRIDE // 4  # closer, since there is only this one
        elif rate != SAMPLE_RATE_HZ:
            raise InputError.at(folder / name, "fs", f"expected 12000 or 48000 Hz, found {rate}")
        for start in range(0, len(signal) - WINDOW + 1, stride):
            raw = signal[start : start + WINDOW].astype(np.float32)
            window = envelope_orders(signal[start : start + WINDOW], SAMPLE_RATE_HZ, speed)
            row = (window, label, diameter, load, start / len(signal), raw, speed)
            for column, value in zip(columns, row, strict=True):
                column.append(value)
    if not columns[0]:
        raise InputError.at(index, "", "lists no recording long enough for a window")
    return Recordings(*(np.array(column) for column in columns))


def _signal(file: Path) -> tuple[NDArray[Any], int, float]:
    from emulab.quality.datasets import read_npz

    arrays = read_npz(file)
    try:
        signal, rate, speed = arrays["de"].astype(float), int(arrays["fs"]), float(arrays["rpm"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError.at(file, "", f"expected the arrays de, fs and rpm: {error}") from None
    return signal, rate, speed


class BearingSet:
    """Windows of vibration as samples of a model: features through the front end, the signals kept for disturbances."""

    task: Task = "classification"
    labels: tuple[str, ...] = CONDITIONS
    sample_hz: float = SAMPLE_RATE_HZ

    def __init__(
        self,
        name: str,
        stem: str,
        spec: TensorSpec | None,
        x: NDArray[Any],
        y: NDArray[Any],
        draw: Callable[[], tuple[NDArray[Any], NDArray[Any]]],
        groups: Sequence[str],
        on_device: bool = False,
    ) -> None:
        """*name* is said of the set, *stem* is what its samples' names begin with.

        *draw* gives the signals, (n, WINDOW), and shaft speeds, (n,) rpm; it is called once they are asked for. With
        *on_device* the device is sent those (:func:`sent`), and the features are the ones it makes, in integers.
        """
        self.name, self._stem, self._spec = name, stem, spec
        self._given, self._y, self._draw, self._groups, self._on_device = x, y, draw, groups, on_device
        self._scale = spec.scale if spec is not None and spec.quantised else 1 / 64
        self.value_range = (-128 * self._scale, 127 * self._scale)

    def __len__(self) -> int:
        return len(self._y)

    def __iter__(self) -> Iterator[Sample]:
        features = _device_features(*self._counts) if self._on_device else self._given
        for index, (x, y, group) in enumerate(zip(features, self._y, self._groups, strict=True)):
            real, payload = self._input(x)
            if self._on_device:
                payload = sent(self._counts[0][index], int(self._counts[1][index]))
            yield Sample(f"{self._stem}-{index:04d}", int(y), real, payload, group=group)

    @cached_property
    def _drawn(self) -> tuple[NDArray[Any], NDArray[Any]]:
        return self._draw()

    @cached_property
    def _counts(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """The signals as 16-bit samples, the largest of the set at full scale, and shaft speeds in 0.1 rpm."""
        import numpy as np

        signal, speed = self._drawn
        top = max(float(np.abs(signal).max()), 1e-30)
        return np.rint(signal * (32767 / top)).astype(np.int16), np.rint(speed * 10).astype(np.int64)

    def signals(self, indices: Sequence[int]) -> Sequence[NDArray[Any]]:
        """Acceleration, (WINDOW, 1) each."""
        return [self._drawn[0][i][:, None] for i in indices]

    def observe(self, index: int, sample: Sample, signal: NDArray[Any]) -> Sample:
        """The sample of a disturbed signal, through the front end as it is defined, in floating point.

        A device's integers differ from it by a step at most; in NumPy they would take four times as long.
        """
        real, payload = self._input(envelope_orders(signal[:, 0], SAMPLE_RATE_HZ, float(self._drawn[1][index])))
        return replace(sample, real=real, payload=payload)

    def _input(self, x: NDArray[Any]) -> tuple[NDArray[Any], bytes]:
        import numpy as np

        shape = (1, BINS) if self._spec is None else self._spec.shape
        real = (x.astype(np.float32) * np.float32(self._scale)).reshape(shape)
        return real, (real if self._spec is None else self._spec.quantise(real)).tobytes()


def sent(counts: NDArray[Any], speed: int) -> bytes:
    """What a device with the front end takes: speed in 0.1 rpm, 32 bits, and samples of 16 bits, little-endian."""
    return speed.to_bytes(4, "little") + counts.astype("<i2").tobytes()


def sent_example(seed: int) -> bytes:
    """One simulated window of a damaged outer race, as a device takes it."""
    import numpy as np

    signal = simulate("outer_race", np.random.default_rng(seed))
    return sent(np.rint(signal * (32767 / np.abs(signal).max())), round(SPEEDS_RPM[1] * 10))


_features: dict[str, NDArray[Any]] = {}


def _device_features(counts: NDArray[Any], speed: NDArray[Any]) -> NDArray[Any]:
    """:func:`emulab.quality.envelope.envelope_steps`, of the last few sets kept: every model of a scenario asks."""
    from emulab.quality.envelope import envelope_steps

    key = hashlib.sha256(counts.tobytes() + speed.tobytes()).hexdigest()
    if key not in _features:
        if len(_features) >= 4:
            _features.pop(next(iter(_features)))
        _features[key] = envelope_steps(counts, speed)
    return _features[key]


def recorded_set(folder: Path, spec: TensorSpec | None = None, on_device: bool = False) -> BearingSet:
    """What the shipped bearing models have not been trained on, of a folder of recordings."""
    _check(folder, spec)
    windows = read_recordings(folder, loads=(HELD_OUT_LOAD_HP,))
    kept = windows.held_out
    groups = [str(d) if d else "" for d in windows.diameter[kept]]
    drawn = windows.signal[kept], windows.speed_rpm[kept]
    name = f"recordings ({folder.name})"
    x, y = windows.x[kept], windows.y[kept]
    return BearingSet(name, folder.name, spec, x, y, lambda: drawn, groups, on_device)


def simulated_bearings(file: Path, spec: TensorSpec | None = None, on_device: bool = False) -> BearingSet:
    """Simulated windows of an .npz with ``x`` (n, BINS) int8, ``y`` and the ``seed`` they were drawn with.

    The signals are drawn again from the seed once they are asked for; InputError where they are not the file's.
    """
    import numpy as np

    from emulab.quality.datasets import read_npz

    _check(file, spec)
    arrays = read_npz(file)
    try:
        x, y, seed = arrays["x"], arrays["y"], int(arrays["seed"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError.at(file, "", f"expected the arrays x, y and seed: {error}") from None
    fits = x.dtype == np.int8 and y.ndim == 1 and 0 < len(y) <= MAX_SIMULATED and x.size == len(y) * BINS
    if not fits:
        raise InputError.at(
            file, "x", f"expected (n, {BINS}) int8 for n labels, found {x.dtype} {x.shape} for {len(y)}"
        )
    features = x.reshape(-1, BINS)

    def draw() -> tuple[NDArray[Any], NDArray[Any]]:
        again, _, signal, speed = _simulated(len(y), seed)
        # The last bit of a transform differs between processors, which can move a feature by one step.
        if int(np.abs(again.astype(int) - features).max()) > 1:
            raise InputError.at(file, "seed", f"{seed} does not draw the windows that the file holds")
        return signal, speed

    return BearingSet(f"simulated signals ({file.name})", file.stem, spec, features, y, draw, [""] * len(y), on_device)


@lru_cache(maxsize=1)
def _simulated(n: int, seed: int) -> tuple[NDArray[Any], ...]:
    return simulated_signals(n, seed)


def _check(place: Path, spec: TensorSpec | None) -> None:
    if spec is not None and spec.elements != BINS:
        raise InputError.at(place, "", f"gives {BINS} features, but the model takes {spec.elements}")
