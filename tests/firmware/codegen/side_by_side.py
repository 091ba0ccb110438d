"""Many operators in one model, side by side: one compilation compares them all with a reference."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from codegen_host import HostModel, Reference
from numpy.typing import NDArray
from tflite_builder import O, T, build_model

from emulab.firmware.codegen import KernelTarget


def random_values(seed: int, t: T) -> NDArray[np.generic]:
    """Values of a tensor's type: all of an integer's range, floats about 3."""
    rng = np.random.default_rng(seed)
    if t.dtype == "float32":
        return (rng.normal(size=t.shape) * 3).astype(np.float32)
    if t.dtype == "bool":
        return rng.integers(0, 2, t.shape).astype(bool)
    info = np.iinfo(t.dtype)
    return rng.integers(info.min, info.max, t.shape, t.dtype, endpoint=True)


class LiteRT:
    """The full interpreter, for operators that the one for microcontrollers lacks."""

    def __init__(self, model: bytes) -> None:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        self.interpreter = Interpreter(model_content=model, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
        self.interpreter.allocate_tensors()

    def __call__(self, *inputs: NDArray[np.generic]) -> list[NDArray[np.generic]]:
        for d, value in zip(self.interpreter.get_input_details(), inputs, strict=True):
            self.interpreter.set_tensor(d["index"], value)
        self.interpreter.invoke()
        return [np.array(self.interpreter.get_tensor(d["index"])) for d in self.interpreter.get_output_details()]


@dataclass
class SideBySide:
    """Inputs, and operators that each read them and give an output of the model."""

    inputs: list[T]
    tensors: list[T] = field(default_factory=list)
    ops: list[O] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tensors = list(self.inputs)

    def add(self, kind: str, inputs: Sequence[int | T | None], *ys: T, options: str = "", **fields: Any) -> None:
        """One operator; inputs are numbers of the model's inputs, or constants of its own."""
        places = []
        for given in inputs:
            if given is None:
                places.append(-1)
            elif isinstance(given, int):
                places.append(given)
            else:
                places.append(len(self.tensors))
                self.tensors.append(given)
        outputs = list(range(len(self.tensors), len(self.tensors) + len(ys)))
        self.tensors += ys
        self.ops.append(O(kind, places, outputs, options, fields))
        self.outputs += outputs

    def model(self) -> bytes:
        return build_model(self.tensors, self.ops, range(len(self.inputs)), self.outputs)

    def check(
        self,
        reference: Any = None,
        *,
        runs: int = 3,
        tolerance: float = 0.0,
        targets: Sequence[KernelTarget] = (KernelTarget.PORTABLE,),
        values: Sequence[Sequence[NDArray[np.generic]]] = (),
    ) -> None:
        """The generated code gives what the reference gives; `values` are the inputs of each run, else random ones."""
        model = self.model()
        if reference is None:
            reference = Reference(model, outputs=len(self.outputs))
        elif reference is LiteRT:
            reference = LiteRT(model)
        given = values or [[random_values(97 * r + i, t) for i, t in enumerate(self.inputs)] for r in range(runs)]
        expected = [[np.array(y) for y in reference(*x)] for x in given]
        producer = {i: op for op in self.ops for i in op.outputs}
        producers = [producer[i] for i in self.outputs]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "ops.tflite"
            path.write_bytes(model)
            for target in targets:
                host = HostModel(path, target, Path(folder))
                for x, wanted in zip(given, expected, strict=True):
                    for op, y, z in zip(producers, host(*x), wanted, strict=True):
                        note = f"{op.kind} {op.options} {target.value}"
                        if y.dtype == np.float32:
                            np.testing.assert_allclose(y, z, rtol=tolerance, atol=tolerance, err_msg=note)
                        else:
                            np.testing.assert_array_equal(y, z, err_msg=note)
