"""Readers of evaluation sets: ``npz`` archives and the folders of the MLPerf Tiny runner.

``npz``: an archive of NumPy arrays without pickles.

=============== ==============================================================================================
``x``           (n, *input shape without the batch*), an integer or float type
``y``           (n,) class numbers
``scale``       optional, broadcasts against ``x``: real = x * scale + offset. Without it integers are the model's raw
                input tensor and floats are real values
``offset``      optional, see ``scale``; 0 where absent
``labels``      optional, (classes,) class names
``group``       optional, (n,) who or what a sample is from
``names``       optional, (n,) sample names
``sample_rate_hz`` optional: the samples are a sensor's signal over time (the first axis), at this rate
=============== ==============================================================================================

``mlperf``: a folder with ``y_labels.csv`` (``file,classes,class[,bytes,stride]``) and one file per sample. kws is int8
features of the reference model, ic and vww are unsigned RGB pixels, ad is float32 little-endian log-mel energies fed in
sliding windows (mlcommons/tiny, benchmark/runner; eembc/energyrunner, datasets).

``bearing``: a folder of recorded vibration, or an archive of windows simulated from a seed, see :mod:`emulab.quality.recordings`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile, ZipFile

from emulab.errors import InputError
from emulab.model.files import read_input
from emulab.quality.samples import INTEGERS, Dataset, Encoding, Sample, Task, TensorSpec, model_io

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emulab.quality.recordings import BearingSet

MAX_NPZ_BYTES = 1 << 30
MAX_SAMPLE_BYTES = 64 << 20
_ENCODINGS: dict[str, Encoding] = {"kws": "int8", "ic": "uint8", "vww": "uint8", "ad": "float32"}
"""Encoding by the start of the runner's folder name (kws01, ic01, ...)."""


def open_dataset(
    path: str | Path,
    format: str = "npz",
    model: str | Path | TensorSpec | None = None,
    encoding: Encoding | None = None,
    front_end: str | None = None,
) -> NpzDataset | MlperfDataset | BearingSet:
    """Open an evaluation set.

    ``model`` (a .tflite file, or its input tensor) is the model the device runs: its input quantisation turns real
    values into the device's bytes and back. ``encoding`` says what an MLPerf folder holds where its name does not.
    With ``front_end`` (envelope) the device is sent samples and makes the features itself: format bearing only.
    Raises InputError that names file and place.
    """
    spec = model if isinstance(model, TensorSpec) or model is None else model_io(Path(model))[0]
    if front_end and format != "bearing":
        raise InputError.at(
            path, "format", f"front end {front_end} takes vibration: expected 'bearing', found {format!r}"
        )
    if format == "npz":
        return NpzDataset(Path(path), spec)
    if format == "mlperf":
        return MlperfDataset(Path(path), spec, encoding)
    if format == "bearing":
        from emulab.quality.recordings import recorded_set, simulated_bearings

        return (simulated_bearings if Path(path).is_file() else recorded_set)(Path(path), spec, bool(front_end))
    raise InputError.at(path, "format", f"expected 'npz', 'mlperf' or 'bearing', found {format!r}")


class NpzDataset:
    """Samples of an ``npz`` archive; see the module's first lines for its arrays."""

    task: Task = "classification"

    def __init__(self, path: Path, spec: TensorSpec | None = None) -> None:
        import numpy as np

        self.path, self._spec = path, spec
        arrays = read_npz(path)
        for key in ("x", "y"):
            if key not in arrays:
                raise InputError.at(path, key, f"no such array; found {', '.join(sorted(arrays)) or 'none'}")
        self._x, self._y = arrays["x"], arrays["y"]
        if self._x.ndim < 2 or self._x.dtype.kind not in "iuf":
            raise InputError.at(path, "x", f"expected (n, ...) numbers, found {self._x.dtype} {self._x.shape}")
        n = len(self._x)
        if self._y.shape != (n,) or self._y.dtype.kind not in "iu" or n == 0 or int(self._y.min()) < 0:
            raise InputError.at(
                path, "y", f"expected {n or 'some'} class numbers, found {self._y.dtype} {self._y.shape}"
            )
        self._scale, self._offset = arrays.get("scale"), arrays.get("offset", np.float32(0))
        for key in ("scale", "offset"):
            if key not in arrays:
                continue
            array = arrays[key]
            try:
                if np.broadcast_shapes(array.shape, self._x.shape[1:]) != self._x.shape[1:]:
                    raise ValueError
            except ValueError:
                message = f"shape {array.shape} does not broadcast against samples of {self._x.shape[1:]}"
                raise InputError.at(path, key, message) from None
        count = int(self._y.max()) + 1
        self.labels = tuple(str(v) for v in arrays.get("labels", np.arange(count)))
        if len(self.labels) < count:
            raise InputError.at(path, "labels", f"{len(self.labels)} names for class numbers up to {count - 1}")
        self.sample_hz = _rate(path, arrays)
        self._groups = _column(path, arrays, "group", n)
        self._names = _column(path, arrays, "names", n)
        elements = int(np.prod(self._x.shape[1:]))
        if spec is not None and spec.elements != elements:
            raise InputError.at(path, "x", f"samples of {elements} values, but the model takes {spec.elements}")
        self.value_range = self._range()

    @property
    def name(self) -> str:
        return self.path.stem

    def __len__(self) -> int:
        return len(self._x)

    def __iter__(self) -> Iterator[Sample]:
        for index in range(len(self)):
            real = self._real(self._x[index])
            raw = real if self._spec is None else self._spec.quantise(real)
            yield Sample(
                name=self._names[index] or f"{self.name}-{index:04d}",
                label=int(self._y[index]),
                real=real[None],
                payload=raw.tobytes(),
                group=self._groups[index],
            )

    def _real(self, x: NDArray[Any]) -> NDArray[Any]:
        import numpy as np

        if self._scale is not None:
            return (x * np.asarray(self._scale, np.float64) + self._offset).astype(np.float32)
        if x.dtype.kind != "f" and self._spec is not None and self._spec.quantised:
            return self._spec.dequantise(x)
        return x.astype(np.float32)

    def _range(self) -> tuple[float, float]:
        """Of an integer type all it can hold; of floats what the set holds."""
        import numpy as np

        if self._x.dtype.kind == "f":
            ends = np.stack([self._x.min(axis=0), self._x.max(axis=0)])
        else:
            limits = np.iinfo(self._x.dtype)
            ends = np.stack([np.full(self._x.shape[1:], v, self._x.dtype) for v in (limits.min, limits.max)])
        real = np.stack([self._real(end) for end in ends])
        return float(real.min()), float(real.max())


class Reencoded:
    """The samples of a set made for one model (its int8 input tensor), as another model takes them on a device."""

    def __init__(self, dataset: Dataset, model: Path) -> None:
        self._dataset, self._spec = dataset, model_io(model)[0]
        self.task: Task = dataset.task
        self.labels, self.value_range = dataset.labels, dataset.value_range
        self.sample_hz: float | None = getattr(dataset, "sample_hz", None)

    @property
    def name(self) -> str:
        return self._dataset.name

    def __len__(self) -> int:
        return len(self._dataset)

    def __iter__(self) -> Iterator[Sample]:
        for sample in self._dataset:
            if sample.window_bytes is None:
                yield replace(sample, payload=self._spec.quantise(sample.real).tobytes())
            else:
                yield sample  # a file fed in windows is float32 whatever the model takes


@dataclass(frozen=True, slots=True)
class _Row:
    file: str
    label: int
    window_bytes: int | None
    stride_bytes: int | None


class MlperfDataset:
    """Samples of a folder of the MLPerf Tiny runner."""

    def __init__(self, folder: Path, spec: TensorSpec | None, encoding: Encoding | None = None) -> None:
        self.folder, self._spec = folder, spec
        self._index = folder / "y_labels.csv"
        self._rows, classes = _read_index(self._index)
        self.task: Task = "anomaly" if self._rows[0].window_bytes is not None else "classification"
        self.labels = ("normal", "anomaly") if self.task == "anomaly" else tuple(str(i) for i in range(classes))
        prefix = folder.resolve().name.rstrip("0123456789")
        found = encoding or _ENCODINGS.get(prefix)
        if found is None:
            known = ", ".join(f"{name}01" for name in _ENCODINGS)
            raise InputError.at(folder, "", f"cannot tell the encoding from the folder's name (known: {known})")
        self.encoding: Encoding = found
        if self.encoding != "float32" and (spec is None or not spec.quantised):
            message = (
                f"{self.encoding} samples get their real values from the int8 model's input scale; give that model"
            )
            raise InputError.at(folder, "", message)

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def value_range(self) -> tuple[float, float]:
        """Of int8 and uint8 samples all the input tensor can hold; of float32 the least and greatest value found."""
        import numpy as np

        if self.encoding == "float32":
            ends = [(float(s.real.min()), float(s.real.max())) for s in self]
            return min(e[0] for e in ends), max(e[1] for e in ends)
        assert self._spec is not None
        low, high = self._spec.dequantise(np.array(INTEGERS[self._spec.dtype]))
        return float(low), float(high)

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Sample]:
        for row in self._rows:
            yield self._sample(row)

    def _sample(self, row: _Row) -> Sample:
        import numpy as np

        file = self.folder / row.file
        data = read_input(file, MAX_SAMPLE_BYTES, "a sample")
        pieces = [data]
        if row.window_bytes is not None:
            from emulab.dut.procedures import sliding_windows

            try:
                pieces = list(sliding_windows(data, row.window_bytes, row.stride_bytes or row.window_bytes))
            except InputError as error:
                raise InputError.at(file, "", str(error)) from None
        width = 4 if self.encoding == "float32" else 1
        for piece in pieces[:1]:
            if self._spec is not None and len(piece) != width * self._spec.elements:
                expected = f"{width * self._spec.elements} bytes ({self.encoding}, shape {self._spec.shape})"
                raise InputError.at(file, "", f"expected {expected}, found {len(piece)}")
            if len(piece) % width:
                raise InputError.at(file, "", f"{len(piece)} bytes are no whole number of {self.encoding} values")
        raw = np.stack(
            [np.frombuffer(p, {"int8": "i1", "uint8": "u1", "float32": "<f4"}[self.encoding]) for p in pieces]
        )
        if self.encoding == "uint8":
            raw = (raw.astype(np.int16) - 128).astype(np.int8)
        real = raw.astype(np.float32)
        if self._spec is not None:
            real = real if self.encoding == "float32" else self._spec.dequantise(raw)
            real = real.reshape(len(pieces), *self._spec.shape[1:])
        if not np.isfinite(real).all():
            raise InputError.at(file, "", "holds values that are not finite numbers")
        return Sample(row.file.removesuffix(".bin"), row.label, real, data, row.window_bytes, row.stride_bytes)


def _read_index(file: Path) -> tuple[list[_Row], int]:
    """Rows of ``y_labels.csv`` and the number of classes."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError.at(file, "", "no such file; an MLPerf Tiny dataset is a folder with y_labels.csv") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError.at(file, "", f"cannot be read: {error}") from None
    rows: list[_Row] = []
    classes = 0
    for number, fields in enumerate(csv.reader(text.splitlines()), start=1):
        fields = [field.strip() for field in fields]
        if not any(fields):
            continue
        place = f"line {number}"
        if len(fields) not in (3, 5):
            message = f"expected file,classes,class[,bytes,stride], found {len(fields)} fields"
            raise InputError.at(file, place, message)
        try:
            count, label, *window = (int(field) for field in fields[1:])
        except ValueError:
            raise InputError.at(
                file, place, f"expected whole numbers after the file name, found {fields[1:]}"
            ) from None
        if not 0 <= label < count or (classes and count != classes):
            raise InputError.at(file, place, f"class {label} of {count}; classes so far: {classes or 'none'}")
        if window and min(window) < 1:
            raise InputError.at(file, place, f"bytes and stride must be positive, found {window}")
        if fields[0] != Path(fields[0]).name or not fields[0]:
            raise InputError.at(file, place, f"{fields[0]!r} is not the name of a file in this folder")
        if rows and bool(window) != (rows[0].window_bytes is not None):
            raise InputError.at(file, place, "some samples have sliding windows and some have not")
        classes = count
        rows.append(_Row(fields[0], label, *(window or (None, None))))
    if not rows:
        raise InputError.at(file, "", "holds no samples")
    return rows, classes


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of an archive; pickles are refused, and so is an archive that unpacks to more than a gigabyte."""
    import zlib

    import numpy as np

    try:
        with ZipFile(path) as archive:
            total = sum(entry.file_size for entry in archive.infolist())
        if total > MAX_NPZ_BYTES:
            raise InputError.at(path, "", f"unpacks to {total} bytes (limit {MAX_NPZ_BYTES})")
        with np.load(path, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except FileNotFoundError:
        raise InputError.at(path, "", "no such file") from None
    except (OSError, BadZipFile, ValueError, EOFError, KeyError, MemoryError, zlib.error, NotImplementedError) as error:
        raise InputError.at(path, "", f"not an archive of NumPy arrays: {' '.join(str(error).split())}") from None


def _rate(path: Path, arrays: dict[str, NDArray[Any]]) -> float | None:
    """The sample rate where the archive says one; InputError where it is none."""
    import numpy as np

    if "sample_rate_hz" not in arrays:
        return None
    value = arrays["sample_rate_hz"]
    if value.size != 1 or value.dtype.kind not in "iuf" or not np.isfinite(value).all() or float(value.item()) <= 0:
        raise InputError.at(path, "sample_rate_hz", f"expected a rate above 0, found {value.dtype} {value.shape}")
    return float(value.item())


def _column(path: Path, arrays: dict[str, NDArray[Any]], key: str, n: int) -> list[str]:
    """A column of text or numbers as text; empty strings where the archive has none."""
    if key not in arrays:
        return [""] * n
    if arrays[key].shape != (n,):
        raise InputError.at(path, key, f"expected {n} values, found shape {arrays[key].shape}")
    return [str(value) for value in arrays[key]]
