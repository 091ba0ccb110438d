"""Train the vibration node's model: simulated machine -> spectrum as the node computes it -> float32 and int8 .tflite.

One command, from the repository::

    pip install 'emulab[train]' && python scenarios/vibration-node/train.py

It writes ``vibration_float32.tflite``, ``vibration_int8.tflite`` and ``eval.npz`` beside itself (``--output DIR``:
elsewhere) and prints the figures of ``MODEL_CARD.md``. Seeds are constants below.

Data: no recordings. A rotor on bearings is simulated from what the textbooks say of each fault (imbalance: once per
turn; misalignment: twice per turn; looseness: many harmonics and halves), with sensor noise, drawn speed, load and
mounting, and read as a LIS2DH12 would: 1344 samples/s, +-2 g, 12 bits. The sensor that the node's firmware reads in
co-simulation plays the same (``emulab/backends/unicorn/parts/rotor.py``).
"""

from __future__ import annotations

import argparse
import io
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

from emulab.backends.unicorn.parts.rotor import CONDITIONS, acceleration
from emulab.quality.export import export_tflite, write_whole

SEED = 20_240_917
SAMPLE_RATE_HZ = 1344.0
SAMPLES = 512
BINS = 64
LABELS = CONDITIONS
FULL_SCALE_G = 2.0


def signal(label: int, rng: np.random.Generator) -> np.ndarray:
    """One window of acceleration in counts of 12 bits, int16 (512,)."""
    x = acceleration(label, rng, SAMPLES, SAMPLE_RATE_HZ)
    return np.clip(np.round(x / FULL_SCALE_G * 2048), -2048, 2047).astype(np.int16)


def spectrum(counts: np.ndarray) -> np.ndarray:
    """What the node feeds the model: int8 (64,), 0.5 dB per step, strongest of four lines of a 512-point FFT.

    Zero is the spectrum's median, so that mounting and gain do not matter.
    """
    window = np.hanning(SAMPLES)
    lines = np.abs(np.fft.rfft((counts - counts.mean()) * window))[1 : 4 * BINS + 1]
    decibel = 20 * np.log10(np.maximum(lines.reshape(BINS, 4).max(axis=1), 1.0))
    level = (decibel - np.median(decibel)) / 0.5
    return np.clip(np.round(level), -128, 127).astype(np.int8)


def windows(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """n windows, classes in turn: int8 (n, 64), class (n,)."""
    rng = np.random.default_rng(seed)
    y = (np.arange(n) % len(LABELS)).astype(np.uint8)
    return np.stack([spectrum(signal(int(label), rng)) for label in y]), y


def network(batch_size: int | None = None) -> tf.keras.Model:
    """Convolution along frequency, then two dense layers."""
    layers = tf.keras.layers
    inputs = layers.Input(shape=(BINS, 1, 1), batch_size=batch_size)
    x = layers.Conv2D(8, (5, 1), strides=(2, 1), padding="same", activation="relu")(inputs)
    x = layers.Conv2D(16, (5, 1), strides=(2, 1), padding="same", activation="relu")(x)
    x = layers.Reshape((16 * BINS // 4,))(x)
    x = layers.Dense(24, activation="relu")(x)
    return tf.keras.Model(inputs, layers.Dense(len(LABELS), activation="softmax")(x))


def convert(model: tf.keras.Model, representative: np.ndarray | None = None) -> bytes:
    """Keras -> .tflite with batch 1; int8 throughout where *representative* windows are given."""
    fixed = network(batch_size=1)
    fixed.set_weights(model.get_weights())
    if representative is None:
        return export_tflite(fixed)
    # The two ends pin the input to scale 1/128, zero point 0: the spectrum's bytes are the model's input.
    ends = np.where(np.arange(BINS) % 2, -1.0, 127 / 128).astype(np.float32).reshape(1, BINS, 1, 1)
    return export_tflite(fixed, [ends, *(window[None] for window in representative)])


def classify(tflite: bytes, x: np.ndarray) -> np.ndarray:
    """Class per window, with the reference kernels."""
    resolver = tf.lite.experimental.OpResolverType.BUILTIN_REF
    interpreter = tf.lite.Interpreter(model_content=tflite, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    source, sink = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    guesses = []
    for window in x:
        data = window.astype(np.int8) if source["dtype"] == np.int8 else (window / 128.0).astype(np.float32)
        interpreter.set_tensor(source["index"], data.reshape(1, BINS, 1, 1))
        interpreter.invoke()
        guesses.append(int(np.argmax(interpreter.get_tensor(sink["index"])[0])))
    return np.array(guesses)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path(__file__).resolve().parent)
    folder: Path = parser.parse_args().output
    tf.keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    x, y = windows(12000, SEED)
    test_x, test_y = windows(400, SEED + 1)
    model = network()
    model.compile(tf.keras.optimizers.Adam(2e-3), "sparse_categorical_crossentropy")
    scaled = (x / 128.0).astype(np.float32).reshape(-1, BINS, 1, 1)
    model.fit(scaled, y, batch_size=64, epochs=12, verbose=0)
    blobs = convert(model), convert(model, scaled[:300])
    for name, blob in zip(("float32", "int8"), blobs, strict=True):
        write_whole(folder / f"vibration_{name}.tflite", blob)
        hits = classify(blob, test_x) == test_y
        print(f"{name}: {len(blob)} bytes, top-1 {hits.mean():.4f}")
        for index, label in enumerate(LABELS):
            print(f"  {label}: {hits[test_y == index].mean():.4f} of {int((test_y == index).sum())}")
    faults = classify(blobs[1], test_x) != 0
    print(f"int8: faults seen {faults[test_y != 0].mean():.4f}, false alarms {faults[test_y == 0].mean():.4f}")
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        x=test_x.reshape(-1, BINS, 1, 1),
        y=test_y,
        scale=np.float32(1 / 128),
        labels=np.array(LABELS),
    )
    write_whole(folder / "eval.npz", buffer.getvalue())


if __name__ == "__main__":
    main()
