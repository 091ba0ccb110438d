"""A Keras model as a float .tflite with batch 1, so that it can be quantised like any other; needs TensorFlow."""

from __future__ import annotations

import contextlib
import io
import os
import zipfile
from pathlib import Path
from typing import Any

from emulab.errors import InputError, ToolError

SUFFIX = ".keras"
INSTALL = "pip install 'emulab[train]'"


class TrainingUnavailable(ToolError):
    """TensorFlow cannot be imported; the message has the line that installs it."""


def keras_to_tflite(model: Path) -> bytes:
    """Convert a model saved by Keras 3 (``.keras``) to float32 .tflite, one sample per inference.

    Layers that carry Python code are refused, as a file is data. InputError for what Keras cannot read or TensorFlow
    Lite cannot express; TrainingUnavailable without TensorFlow.
    """
    if not zipfile.is_zipfile(model):
        raise InputError.at(model, "", "not a .keras archive; save the model with model.save('NAME.keras')")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        import tensorflow  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ImportError as error:
        raise TrainingUnavailable(f"{model}: TensorFlow cannot be imported: {error}; {INSTALL}") from None
    tf: Any = tensorflow
    try:
        # The converter talks to both streams.
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            network = tf.keras.models.load_model(model, compile=False, safe_mode=True)
            shapes = network.input_shape if isinstance(network.input_shape, list) else [network.input_shape]
            if len(shapes) != 1 or None in shapes[0][1:]:
                raise InputError.at(model, "", f"expected one input of fixed shape, found {network.input_shape}")
            one = tf.keras.Input(batch_shape=(1, *shapes[0][1:]))
            fixed = tf.keras.models.clone_model(network, input_tensors=one)
            fixed.set_weights(network.get_weights())
            return bytes(tf.lite.TFLiteConverter.from_keras_model(fixed).convert())
    except InputError:
        raise
    except Exception as error:
        # Keras and the converter raise whatever comes; what they say is about the file.
        reason = " ".join(str(error).split())[:300]
        raise InputError.at(model, "", f"Keras or TensorFlow Lite refuses the model: {reason}") from None
