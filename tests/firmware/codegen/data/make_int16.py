"""Make the 16x8 models beside this file: small networks with random weights. Needs TensorFlow (`train` extra)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

keras = tf.keras
layers = tf.keras.layers


def convolutions() -> keras.Model:
    """Most operators on images."""
    given = layers.Input((12, 10, 3))
    x = layers.Conv2D(9, 3, strides=2, padding="same", activation="relu")(given)
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu")(x)
    x = layers.ReLU()(layers.Add()([x, layers.Conv2D(9, 1)(x)]))
    x = layers.Conv2D(13, 2, activation="relu6")(layers.MaxPool2D(2)(x))
    x = layers.Flatten()(layers.AveragePooling2D((2, 1))(x))
    x = layers.Dense(6)(layers.Dense(11, activation="tanh")(x))
    return keras.Model(given, layers.Softmax()(x))


def gates() -> keras.Model:
    """What recurrent cells are made of."""
    given = layers.Input((24,))
    b = layers.Dense(20, activation="tanh")(given)
    x = layers.Multiply()([layers.Dense(20, activation="sigmoid")(given), b])
    x = layers.Dense(20)(layers.Reshape((20,))(layers.Reshape((4, 5))(x)))
    return keras.Model(given, layers.Dense(5)(layers.Subtract()([x, b])))


def main() -> None:
    """Write int16_conv.tflite (float input and output) and int16_gate.tflite (16-bit ones)."""
    tf.random.set_seed(1)
    np.random.seed(1)
    ops = [tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8]
    for name, net, io in (("conv", convolutions(), tf.float32), ("gate", gates(), tf.int16)):
        for w in net.weights:
            w.assign(w + tf.random.normal(w.shape) * 0.1)
        data = np.random.randn(200, *net.input_shape[1:]).astype(np.float32)
        converter = tf.lite.TFLiteConverter.from_keras_model(net)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda samples=data: ([sample[None]] for sample in samples)
        converter.target_spec.supported_ops = ops
        converter.inference_input_type = converter.inference_output_type = io
        Path(__file__).with_name(f"int16_{name}.tflite").write_bytes(converter.convert())


if __name__ == "__main__":
    main()
