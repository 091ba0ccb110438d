"""Train the wrist-sensor activity model: data -> leave-subjects-out evaluation -> float32 and int8 .tflite.

One command, from the repository::

    pip install 'emulab[train]' && python scenarios/har-wearable/train.py

Everything it writes lies beside it: ``har_float32.tflite``, ``har_int8.tflite``, ``eval.npz`` and the results section
of ``MODEL_CARD.md``. ``--output DIR`` writes elsewhere, ``--skip-folds`` leaves out the table of subjects.
Seeds are constants below; TensorFlow is told to be deterministic, so one machine and version gives one model.

Data: ``seglearn.datasets.load_watch`` (BSD-3-Clause, see NOTICE.seglearn.txt): ten subjects, seven shoulder exercises,
both wrists, 50 Hz, acceleration in g and angular rate in rad/s.
"""

from __future__ import annotations

import argparse
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
from seglearn.datasets import load_watch

from emulab.quality.export import export_tflite, write_whole

SEED = 20_240_601
SAMPLE_RATE_HZ = 50
WINDOW = 192  # samples: 3.84 s, about one repetition
TRAIN_STRIDE = 32
EVAL_STRIDE = WINDOW  # evaluation windows do not overlap
HELD_OUT = (9, 10)  # the last two by number, fixed before anything was trained; no choice below was made on them
# Full scale of a common MEMS part: +-4 g and +-500 deg/s. One int8 step of the input is then the upper byte of the
# sensor's 16-bit sample, so a node needs no arithmetic between sensor and model.
FULL_SCALE = np.array([4.0, 4.0, 4.0] + [np.deg2rad(500.0)] * 3)
CHANNELS = ("ax", "ay", "az", "wx", "wy", "wz")
LABELS = ("pendulum", "abduction", "forward_elevation", "internal_rotation", "external_rotation", "trapezius", "row")
EPOCHS = 15
BATCH = 64


@dataclass(frozen=True)
class Windows:
    """Windows as a sensor delivers them: int16 counts (n, 192, 1, 6), class (n,), subject (n,), right wrist (n,)."""

    counts: np.ndarray
    label: np.ndarray
    subject: np.ndarray
    side: np.ndarray

    def pick(self, mask: np.ndarray) -> Windows:
        """The windows of a mask or of indices."""
        return Windows(self.counts[mask], self.label[mask], self.subject[mask], self.side[mask])

    @property
    def x(self) -> np.ndarray:
        """Model input: full scale is +-1, float32."""
        return (self.counts / 32768.0).astype(np.float32)


def load(stride: int) -> Windows:
    """All windows of all recordings at *stride* samples; no window spans two recordings."""
    data = load_watch()
    counts, label, subject, side = [], [], [], []
    for signal, y, who, where in zip(data["X"], data["y"], data["subject"], data["side"], strict=True):
        sensor = np.clip(np.round(signal / FULL_SCALE * 32768.0), -32768, 32767).astype(np.int16)
        for start in range(0, len(sensor) - WINDOW + 1, stride):
            counts.append(sensor[start : start + WINDOW, None, :])
            label.append(int(y))
            subject.append(int(who))
            side.append(int(where))
    return Windows(np.stack(counts), np.array(label), np.array(subject), np.array(side))


def network(batch_size: int | None = None) -> tf.keras.Model:
    """1-D separable CNN written with 2-D operators over (time, 1, channel)."""
    layers = tf.keras.layers
    inputs = layers.Input(shape=(WINDOW, 1, len(CHANNELS)), batch_size=batch_size)

    def block(x: Any, filters: int, kernel: int, stride: int) -> Any:
        x = layers.DepthwiseConv2D((kernel, 1), strides=(stride, stride), padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.Conv2D(filters, 1, use_bias=False)(x)
        return layers.ReLU()(layers.BatchNormalization()(x))

    x = layers.Conv2D(16, (7, 1), strides=(2, 2), padding="same", use_bias=False)(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = block(x, 32, 7, 2)
    x = block(x, 48, 5, 2)
    x = block(x, 64, 5, 2)
    x = layers.AveragePooling2D((12, 1))(x)
    x = layers.Reshape((64,))(x)
    x = layers.Dropout(0.3)(x)
    return tf.keras.Model(inputs, layers.Dense(len(LABELS), activation="softmax")(x))


def rotations(rng: np.random.Generator, n: int, sigma_rad: float) -> np.ndarray:
    """n random small rotations (Rodrigues), (n, 3, 3)."""
    axis = rng.normal(size=(n, 3))
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    angle = rng.normal(scale=sigma_rad, size=(n, 1, 1))
    k = np.zeros((n, 3, 3))
    k[:, 0, 1], k[:, 0, 2], k[:, 1, 2] = -axis[:, 2], axis[:, 1], -axis[:, 0]
    k[:, 1, 0], k[:, 2, 0], k[:, 2, 1] = axis[:, 2], -axis[:, 1], axis[:, 0]
    return np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * (k @ k)


def augment(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """How wearers differ: the watch sits rotated on the wrist, people move faster or slower, sensors have noise."""
    n = len(x)
    turn = rotations(rng, n, np.deg2rad(15.0))
    signal = x[:, :, 0, :] * FULL_SCALE
    signal = np.concatenate([signal[..., :3] @ turn, signal[..., 3:] @ turn], axis=-1)
    rate = rng.uniform(0.8, 1.2, size=n)
    time = (np.arange(WINDOW) - WINDOW / 2)[None, :] * rate[:, None] + WINDOW / 2
    time = np.clip(time, 0, WINDOW - 1.001)
    low = time.astype(int)
    part = (time - low)[..., None]
    row = np.arange(n)[:, None]
    signal = signal[row, low] * (1 - part) + signal[row, low + 1] * part
    signal[..., 3:] *= rate[:, None, None]
    signal *= rng.uniform(0.9, 1.1, size=(n, 1, 1))
    signal += rng.normal(size=signal.shape) * np.array([0.02] * 3 + [0.05] * 3)
    return np.clip(signal / FULL_SCALE, -1, 32767 / 32768)[:, :, None, :].astype(np.float32)


def fit(train: Windows, seed: int) -> tf.keras.Model:
    """Train one network; cosine learning rate, a fixed number of epochs, the last weights (no early stopping)."""
    tf.keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    model = network()
    steps = -(-len(train.label) // BATCH)
    rate = tf.keras.optimizers.schedules.CosineDecay(3e-3, EPOCHS * steps)
    model.compile(
        tf.keras.optimizers.AdamW(rate, weight_decay=1e-3),
        tf.keras.losses.CategoricalCrossentropy(label_smoothing=0.05),
    )
    x, y = train.x, np.eye(len(LABELS), dtype=np.float32)[train.label]
    for _ in range(EPOCHS):
        order = rng.permutation(len(y))
        model.fit(augment(x[order], rng), y[order], batch_size=BATCH, epochs=1, verbose=0, shuffle=False)
    return model


def convert(model: tf.keras.Model, representative: np.ndarray | None = None) -> bytes:
    """Keras -> .tflite with batch 1; int8 in, inside and out where *representative* windows are given."""
    fixed = network(batch_size=1)
    fixed.set_weights(model.get_weights())
    if representative is None:
        return export_tflite(fixed)
    # The two ends of the sensor's range pin the input to scale 1/128, zero point 0.
    ends = np.where(np.arange(representative[0].size) % 2, -1.0, 127 / 128).astype(np.float32)
    windows = (np.clip(window[None], -1.0, 127 / 128) for window in representative)
    return export_tflite(fixed, [ends.reshape(1, *representative.shape[1:]), *windows])


def classify(tflite: bytes, x: np.ndarray) -> np.ndarray:
    """Class per window, with the reference kernels of the TensorFlow Lite interpreter."""
    resolver = tf.lite.experimental.OpResolverType.BUILTIN_REF
    interpreter = tf.lite.Interpreter(model_content=tflite, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    source, sink = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    if source["dtype"] == np.int8:
        scale, zero = source["quantization"]
        x = np.clip(np.round(x / scale) + zero, -128, 127).astype(np.int8)
    result = []
    for window in x:
        interpreter.set_tensor(source["index"], window[None])
        interpreter.invoke()
        result.append(int(np.argmax(interpreter.get_tensor(sink["index"])[0])))
    return np.array(result)


def subset(train: Windows, n: int, seed: int) -> np.ndarray:
    """n training windows to calibrate the activation ranges with."""
    return train.x[np.random.default_rng(seed).choice(len(train.label), n, replace=False)]


def leave_one_subject_out(train: Windows, test: Windows) -> dict[int, tuple[float, float]]:
    """Per subject (float, int8) top-1 of a network that has never seen that subject."""
    result = {}
    for subject in sorted(set(test.subject)):
        inner = train.pick(train.subject != subject)
        outer = test.pick(test.subject == subject)
        model = fit(inner, SEED + int(subject))
        accuracy = [
            float(np.mean(classify(blob, outer.x) == outer.label))
            for blob in (convert(model), convert(model, subset(inner, 300, SEED)))
        ]
        result[int(subject)] = (accuracy[0], accuracy[1])
        print(f"subject {subject}: float {accuracy[0]:.4f}, int8 {accuracy[1]:.4f}, n {len(outer.label)}", flush=True)
    return result


def confusion(label: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """Counts, true class down, answer across."""
    table = np.zeros((len(LABELS), len(LABELS)), int)
    np.add.at(table, (label, guess), 1)
    return table


def save_eval(path: Path, test: Windows) -> None:
    """The held-out windows as counts, with what is needed to read them (format: emulab.quality.datasets).

    In a shuffled order, so that the first so many are a fair sample of all.
    """
    test = test.pick(np.random.default_rng(SEED).permutation(len(test.label)))
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        x=test.counts,
        y=test.label.astype(np.uint8),
        scale=np.float32(1 / 32768),
        group=test.subject.astype(np.uint8),
        labels=np.array(LABELS),
        channels=np.array(CHANNELS),
        full_scale=FULL_SCALE.astype(np.float32),
        full_scale_unit=np.array(["g"] * 3 + ["rad/s"] * 3),
        sample_rate_hz=np.float32(SAMPLE_RATE_HZ),
    )
    write_whole(path, buffer.getvalue())


def card(
    test: Windows, guesses: Sequence[np.ndarray], sizes: Sequence[int], folds: dict[int, tuple[float, float]]
) -> str:
    """The results section of the model card, in Markdown."""
    hits = [guess == test.label for guess in guesses]
    lines = ["| | float32 | int8 |", "|---|---|---|"]
    lines += [f"| file, bytes | {sizes[0]} | {sizes[1]} |"]
    title = f"**top-1, held-out subjects, {len(test.label)} windows**"
    lines += [f"| {title} | {hits[0].mean():.4f} | {hits[1].mean():.4f} |"]
    for subject in sorted(set(test.subject)):
        of = test.subject == subject
        lines += [f"| subject {subject}, {of.sum()} windows | {hits[0][of].mean():.4f} | {hits[1][of].mean():.4f} |"]
    for index, name in enumerate(LABELS):
        of = test.label == index
        lines += [f"| {name}, {of.sum()} windows | {hits[0][of].mean():.4f} | {hits[1][of].mean():.4f} |"]
    agree = float((guesses[0] == guesses[1]).mean())
    lines += ["", f"float32 and int8 give the same class on {agree:.2%} of the held-out windows.", ""]
    lines += ["Confusion of the int8 model (true class down, answer across):", ""]
    lines += ["| | " + " | ".join(LABELS) + " |", "|---" * (len(LABELS) + 1) + "|"]
    for name, row in zip(LABELS, confusion(test.label, guesses[1]), strict=True):
        lines += [f"| {name} | " + " | ".join(map(str, row)) + " |"]
    if folds:
        lines += ["", "Leave-one-subject-out, a network per subject that never saw that subject:", ""]
        lines += ["| subject | float32 | int8 |", "|---|---|---|"]
        lines += [f"| {subject} | {a:.4f} | {b:.4f} |" for subject, (a, b) in folds.items()]
        table = np.array(list(folds.values()))
        mean, spread = table.mean(axis=0), table.std(axis=0, ddof=1)
        lines += [f"| **mean** | {mean[0]:.4f} | {mean[1]:.4f} |"]
        lines += [f"| standard deviation | {spread[0]:.4f} | {spread[1]:.4f} |"]
        lines += [
            f"| lowest to highest | {table[:, 0].min():.4f} to {table[:, 0].max():.4f} "
            f"| {table[:, 1].min():.4f} to {table[:, 1].max():.4f} |"
        ]
    lines += ["", f"Made with TensorFlow {tf.__version__}, NumPy {np.__version__}, seed {SEED}."]
    return "\n".join(lines)


def update_card(path: Path, text: str) -> None:
    """Replace what lies between the two markers of the model card; without a card, write the section alone."""
    start, stop = "<!-- results: written by train.py -->", "<!-- end of results -->"
    old = path.read_text(encoding="utf-8") if path.is_file() else f"{start}\n{stop}\n"
    before, _, rest = old.partition(start)
    _, _, after = rest.partition(stop)
    write_whole(path, f"{before}{start}\n{text}\n{stop}{after}".encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path(__file__).resolve().parent)
    parser.add_argument("--skip-folds", action="store_true", help="no leave-one-subject-out evaluation")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    tf.config.experimental.enable_op_determinism()
    everything, test = load(TRAIN_STRIDE), load(EVAL_STRIDE)
    train = everything.pick(~np.isin(everything.subject, HELD_OUT))
    held_out = test.pick(np.isin(test.subject, HELD_OUT))
    model = fit(train, SEED)
    blobs = [convert(model), convert(model, subset(train, 300, SEED))]
    guesses = [classify(blob, held_out.x) for blob in blobs]
    accuracy = [float(np.mean(guess == held_out.label)) for guess in guesses]
    print(f"held out: float {accuracy[0]:.4f}, int8 {accuracy[1]:.4f}", flush=True)
    folds = {} if arguments.skip_folds else leave_one_subject_out(everything, test)
    write_whole(arguments.output / "har_float32.tflite", blobs[0])
    write_whole(arguments.output / "har_int8.tflite", blobs[1])
    save_eval(arguments.output / "eval.npz", held_out)
    update_card(arguments.output / "MODEL_CARD.md", card(held_out, guesses, [len(blob) for blob in blobs], folds))


if __name__ == "__main__":
    main()
