"""Model to C: no interpreter, one function per layer, a static arena, weights in flash.

    generated = generate(Path("model.tflite"), Path("out"), target=KernelTarget.ARM_DSP)

Compile `generated.sources` with `generated.include_dirs` and `generated.defines`; call `emulab_model_run()`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulab.firmware.codegen.target import KernelTarget

if TYPE_CHECKING:
    from emulab.firmware.codegen.generator import GeneratedModel, LayerInfo, TensorDescription, generate
    from emulab.firmware.codegen.registry import SUPPORTED_OPS, SupportedOp

__all__ = [
    "SUPPORTED_OPS",
    "GeneratedModel",
    "KernelTarget",
    "LayerInfo",
    "SupportedOp",
    "TensorDescription",
    "generate",
]


def __getattr__(name: str) -> object:
    # Lazily, so that the command line can name the targets without loading the lowering.
    if name in ("SUPPORTED_OPS", "SupportedOp"):
        from emulab.firmware.codegen import registry

        return getattr(registry, name)
    if name in ("GeneratedModel", "LayerInfo", "TensorDescription", "generate"):
        import importlib

        return getattr(importlib.import_module("emulab.firmware.codegen.generator"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
