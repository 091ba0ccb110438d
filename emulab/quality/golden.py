"""The golden model: a .tflite file run on the host with LiteRT (`ai-edge-litert`), float or int8."""

from __future__ import annotations

import platform
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from emulab.backends.base import Availability
from emulab.errors import InputError, ToolError
from emulab.model.files import read_input
from emulab.quality.hybrid import with_float_weights
from emulab.quality.samples import TensorSpec, trees_io

if TYPE_CHECKING:
    from numpy.typing import NDArray

Kernels = Literal["optimised", "reference"]
"""LiteRT's ``optimised`` kernels or its portable ``reference`` kernels. Both are deterministic, and both can differ by
a step or two of the output from what firmware computes: they do not round everywhere as TensorFlow Lite Micro does
(seen with LiteRT 2.3: optimised 996, reference 991 of 1000 kws outputs equal; of ad 14 and 0 of 40).
They are the golden model of accuracy, not the oracle of bit-exactness."""

INSTALL = "pip install ai-edge-litert"
MAX_MODEL_BYTES = 1 << 30


class HostModelUnavailable(ToolError):
    """This host cannot run the model; carries ``reason`` for a metric that is then unavailable."""

    def __init__(self, reason: str, how_to_install: str = "") -> None:
        self.reason, self.how_to_install = reason, how_to_install
        hint = f"; install it with: {how_to_install}" if how_to_install else ""
        super().__init__(f"golden model on the host: {reason}{hint}")


class HostModel(Protocol):
    """A model that runs on the host, one inference at a time."""

    @property
    def input(self) -> TensorSpec: ...

    @property
    def output(self) -> TensorSpec: ...

    def run(self, raw: NDArray[Any]) -> NDArray[Any]:
        """One inference on raw values of the input's shape; a copy of the raw output."""


def host_model_available() -> Availability:
    """Whether LiteRT can be imported here, and what to do where not."""
    try:
        from ai_edge_litert import interpreter
    except ImportError as error:
        machine = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
        reason = f"ai-edge-litert cannot be imported on {machine}: {error}"
        return Availability(False, reason=reason, how_to_install=INSTALL)
    from importlib.metadata import version

    return Availability(bool(interpreter), version=version("ai-edge-litert"))


class LitertModel:
    """A .tflite model in the LiteRT interpreter, one thread, so that results repeat bit for bit.

    ``float_weights`` counts the constants that were int8 in the file and are computed in float, as on a device
    (:mod:`emulab.quality.hybrid`). With ``keep_tensors`` intermediate tensors can be read with :meth:`tensor` after :meth:`run`.
    """

    def __init__(self, path: Path, kernels: Kernels = "optimised", keep_tensors: bool = False) -> None:
        state = host_model_available()
        if not state.available:
            raise HostModelUnavailable(state.reason, state.how_to_install)
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        self.path = path
        kinds = {
            "optimised": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            "reference": OpResolverType.BUILTIN_REF,
        }
        content = read_input(path, MAX_MODEL_BYTES, "a TensorFlow Lite model")
        if content[4:8] != b"TFL3":
            raise InputError.at(path, "", "not a TensorFlow Lite model (no TFL3 identifier)")
        content, self.float_weights = with_float_weights(content)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # that keeping tensors needs memory
                self._interpreter: Any = Interpreter(
                    model_content=content,
                    num_threads=1,
                    experimental_op_resolver_type=kinds[kernels],
                    experimental_preserve_all_tensors=keep_tensors,
                )
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise InputError.at(path, "", f"LiteRT refuses the model: {' '.join(str(error).split())}") from None
        try:
            given, answer = self._interpreter.get_input_details()[0], self._interpreter.get_output_details()[0]
        except UnicodeDecodeError:
            raise InputError.at(
                path, "", "the name of an input or output tensor is not UTF-8; is the file damaged?"
            ) from None
        self.input, self.output = _spec(given), _spec(answer)
        self._in, self._out = given["index"], answer["index"]

    def run(self, raw: NDArray[Any]) -> NDArray[Any]:
        """One inference. State of streaming models goes on from the inference before; see :meth:`reset`."""
        if raw.size != self.input.elements:
            raise InputError.at(
                self.path, "input", f"expected {self.input.elements} elements {self.input.shape}, found {raw.size}"
            )
        self._interpreter.set_tensor(self._in, raw.reshape(self.input.shape).astype(self.input.dtype, copy=False))
        try:
            self._interpreter.invoke()
        except RuntimeError as error:
            raise InputError.at(self.path, "", f"LiteRT cannot run the model: {' '.join(str(error).split())}") from None
        result: NDArray[Any] = self._interpreter.get_tensor(self._out)
        return result

    def reset(self) -> None:
        """Set the model's variables to their start values."""
        self._interpreter.reset_all_variables()

    def tensor(self, index: int) -> NDArray[Any]:
        """Tensor *index* of the first subgraph after a run, raw; needs ``keep_tensors``."""
        result: NDArray[Any] = self._interpreter.get_tensor(index)
        return result


class TreesModel:
    """A tree ensemble (:mod:`emulab.firmware.trees`), walked with the integers that firmware uses."""

    def __init__(self, path: Path) -> None:
        from emulab.firmware.trees import read_trees

        self._trees = read_trees(path)
        self.input, self.output = trees_io(self._trees)

    def run(self, raw: NDArray[Any]) -> NDArray[Any]:
        return self._trees.sums(raw).astype("int32").reshape(self.output.shape)


def load_host_model(path: str | Path, kernels: Kernels = "optimised") -> LitertModel | TreesModel:
    """Open a .tflite file, or a tree ensemble (.json, .csv), for the host.

    HostModelUnavailable where LiteRT is needed and missing, InputError for a bad file.
    """
    from emulab.firmware.trees import SUFFIXES

    place = Path(path)
    return TreesModel(place) if place.suffix in SUFFIXES else LitertModel(place, kernels)


def _spec(detail: dict[str, Any]) -> TensorSpec:
    import numpy as np

    scale, zero = detail["quantization"]
    shape = tuple(int(n) for n in detail["shape"])
    return TensorSpec(str(detail["name"]), shape, np.dtype(detail["dtype"]).name, float(scale), int(zero))
