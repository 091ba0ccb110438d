"""What the training scripts of the scenarios share: a Keras network as float or int8 .tflite, and files written whole."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def export_tflite(network: Any, representative: Iterable[NDArray[np.float32]] | None = None) -> bytes:
    """A Keras network whose input has batch 1 as .tflite.

    With *representative* inputs, each with its batch dimension, int8 throughout, its input and output included: they
    give the ranges, so an input of the two ends of a sensor's range fixes the scale of the model's input. Needs
    TensorFlow (the ``train`` extra).
    """
    import tensorflow  # type: ignore[import-untyped,import-not-found,unused-ignore]

    tf: Any = tensorflow
    converter = tf.lite.TFLiteConverter.from_keras_model(network)
    if representative is not None:
        samples = list(representative)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([sample] for sample in samples)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def write_whole(path: Path, data: bytes) -> None:
    """Write beside, then rename: no half-written file."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(data)
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)
