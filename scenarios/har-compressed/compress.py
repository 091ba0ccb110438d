"""Compress the wrist-sensor model three ways and quantise each: magnitude pruning, weight clustering, fewer channels.

One command, from the repository (it takes about five minutes on two cores)::

    pip install 'emulab[train]' && python scenarios/har-compressed/compress.py

It starts from the shipped float model (``../har-wearable/har_float32.tflite``), so that whatever changes is the
compression's doing, fine-tunes on the subjects that model was trained on, and writes ``<name>_float32.tflite``,
``<name>_int8.tflite`` and the results section of ``MODEL_CARD.md`` beside it:

- ``pruned``: the smallest weights set to zero, TensorFlow Model Optimization's ``prune_low_magnitude``;
- ``clustered``: sixteen values per layer, its ``cluster_weights``;
- ``channels``: whole channels set to zero by the L1 norm of their filters (H. Li et al., "Pruning Filters for Efficient
  ConvNets", ICLR 2017), which code generation then leaves out. The toolkit prunes single weights, so this is ours.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ["TF_USE_LEGACY_KERAS"] = "1"  # what the optimisation toolkit is written for
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot

HERE = Path(__file__).resolve().parent
BASE = HERE.parent / "har-wearable"
sys.path.insert(0, str(BASE))

import train as har  # noqa: E402

SPARSITY = 0.5
CLUSTERS = 16
KEEP = {"conv0": 12, "point1": 20, "point2": 28, "point3": 40}
"""Channels kept of 16, 32, 48, 64; multiples of four, the unit the kernels work in."""
EPOCHS = har.EPOCHS
RATE = 1e-3  # a third of what the model was trained with


def network(batch_size: int | None = None) -> Any:
    """The model of train.py as it is deployed: batch normalisation folded into weights and bias."""
    layers = tf.keras.layers
    inputs = layers.Input(shape=(har.WINDOW, 1, len(har.CHANNELS)), batch_size=batch_size)
    x = layers.Conv2D(16, (7, 1), strides=(2, 2), padding="same", activation="relu", name="conv0")(inputs)
    for index, (filters, kernel) in enumerate(((32, 7), (48, 5), (64, 5)), start=1):
        depthwise = layers.DepthwiseConv2D(
            (kernel, 1), strides=(2, 2), padding="same", activation="relu", name=f"depth{index}"
        )
        x = layers.Conv2D(filters, 1, activation="relu", name=f"point{index}")(depthwise(x))
    x = layers.Dropout(0.3)(layers.Reshape((64,))(layers.AveragePooling2D((12, 1))(x)))
    return tf.keras.Model(inputs, layers.Dense(len(har.LABELS), activation="softmax", name="dense")(x))


def shipped_weights(file: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Kernel and bias by layer name of the float .tflite, in Keras's order of axes."""
    interpreter = tf.lite.Interpreter(
        model_content=file.read_bytes(),
        experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    names = iter(["conv0", "depth1", "point1", "depth2", "point2", "depth3", "point3"])
    found = {}
    for op in interpreter._get_ops_details():
        kind = op["op_name"]
        if kind not in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            continue
        kernel, bias = (interpreter.get_tensor(i) for i in op["inputs"][1:3])
        if kind == "FULLY_CONNECTED":
            found["dense"] = (kernel.T, bias)
        else:  # OHWI -> HWIO, and 1HWC -> HWC1
            found[next(names)] = (kernel.transpose(1, 2, 3, 0), bias)
    return found


def base() -> Any:
    """The shipped model in Keras."""
    model = network()
    for name, weights in shipped_weights(BASE / "har_float32.tflite").items():
        model.get_layer(name).set_weights(list(weights))
    return model


def tune(model: Any, data: har.Windows, epochs: int, callbacks: list[Any] | None = None) -> None:
    """Fine-tune as train.py trains: its augmentation, regularisation and number of epochs; no choice by any test."""
    tf.keras.utils.set_random_seed(har.SEED)
    rng = np.random.default_rng(har.SEED)
    steps = -(-len(data.label) // har.BATCH)
    model.compile(
        tf.keras.optimizers.AdamW(tf.keras.optimizers.schedules.CosineDecay(RATE, epochs * steps), weight_decay=1e-3),
        tf.keras.losses.CategoricalCrossentropy(label_smoothing=0.05),
    )
    y = np.eye(len(har.LABELS), dtype=np.float32)[data.label]

    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        while True:
            order = rng.permutation(len(y))
            x = har.augment(data.x[order], rng)
            for start in range(0, len(y), har.BATCH):
                yield x[start : start + har.BATCH], y[order][start : start + har.BATCH]

    model.fit(batches(), steps_per_epoch=steps, epochs=epochs, verbose=0, callbacks=callbacks or [])


def pruned(data: har.Windows) -> Any:
    """A share of SPARSITY of every pointwise and dense kernel at zero, growing over the first two thirds."""
    steps = EPOCHS * -(-len(data.label) // har.BATCH)
    schedule = tfmot.sparsity.keras.PolynomialDecay(0.2, SPARSITY, 0, steps * 2 // 3, frequency=20)

    def wrap(layer: Any) -> Any:
        few = layer.name == "conv0" or layer.name.startswith("depth")
        if few or not layer.weights:
            return layer
        return tfmot.sparsity.keras.prune_low_magnitude(layer, pruning_schedule=schedule)

    model = tf.keras.models.clone_model(base(), clone_function=wrap)
    tune(model, data, EPOCHS, [tfmot.sparsity.keras.UpdatePruningStep()])
    return tfmot.sparsity.keras.strip_pruning(model)


def clustered(data: har.Windows) -> Any:
    """CLUSTERS values per convolution and dense layer, the centroids fine-tuned."""
    scheme = tfmot.clustering.keras.CentroidInitialization.KMEANS_PLUS_PLUS

    def wrap(layer: Any) -> Any:
        if layer.name.startswith("depth") or not layer.weights:
            return layer
        return tfmot.clustering.keras.cluster_weights(layer, number_of_clusters=CLUSTERS, cluster_centroids_init=scheme)

    tf.keras.utils.set_random_seed(har.SEED)
    model = tf.keras.models.clone_model(base(), clone_function=wrap)
    tune(model, data, EPOCHS)
    return tfmot.clustering.keras.strip_clustering(model)


def channels(data: har.Windows) -> Any:
    """Only the channels of KEEP, those with the largest filters; the others, and what follows them, stay zero."""
    model = base()
    masks: dict[str, np.ndarray] = {}
    for name, keep in KEEP.items():
        kernel = model.get_layer(name).get_weights()[0]
        norm = np.abs(kernel).sum(axis=(0, 1, 2))
        mask = np.zeros(len(norm), np.float32)
        mask[np.argsort(norm)[-keep:]] = 1
        masks[name] = mask
    # A depthwise layer sees the channels of the layer before it.
    masks |= {f"depth{i}": masks[name] for i, name in enumerate(("conv0", "point1", "point2"), start=1)}

    def apply() -> None:
        for name, mask in masks.items():
            kernel, bias = model.get_layer(name).get_weights()
            shaped = mask[None, None, :, None] if name.startswith("depth") else mask
            model.get_layer(name).set_weights([kernel * shaped, bias * mask])

    class Hold(tf.keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, batch: int, logs: object = None) -> None:
            apply()

    apply()
    tune(model, data, EPOCHS, [Hold()])
    return model


def tuned(data: har.Windows) -> Any:
    """Fine-tuned and nothing else: what the same training does without compression."""
    model = base()
    tune(model, data, EPOCHS)
    return model


def convert(model: Any, representative: np.ndarray | None = None) -> bytes:
    """Keras -> .tflite, as train.py does it, for the folded network."""
    fixed = network(batch_size=1)
    for layer in fixed.layers:
        if layer.weights:
            layer.set_weights(model.get_layer(layer.name).get_weights())
    kept, har.network = har.network, lambda batch_size=None: fixed
    try:
        return har.convert(fixed, representative)
    finally:
        har.network = kept


def describe(model: Any) -> tuple[float, int]:
    """Share of zero weights, and the most distinct values of a convolution or dense kernel."""
    kernels = [layer.get_weights()[0] for layer in model.layers if layer.weights]
    zero = sum(int((k == 0).sum()) for k in kernels) / sum(k.size for k in kernels)
    plain = [layer.get_weights()[0] for layer in model.layers if layer.weights and "depth" not in layer.name]
    return zero, max(len(np.unique(k)) for k in plain)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=HERE)
    folder = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    tf.config.experimental.enable_op_determinism()
    everything, test = har.load(har.TRAIN_STRIDE), har.load(har.EVAL_STRIDE)
    data = everything.pick(~np.isin(everything.subject, har.HELD_OUT))
    held_out = test.pick(np.isin(test.subject, har.HELD_OUT))
    ranges = har.subset(data, 300, har.SEED)
    same = np.mean(har.classify(convert(base()), held_out.x) == held_out.label)
    lines = [
        f"The shipped float model, read back: {same:.4f} on {len(held_out.label)} windows of two subjects never seen.",
        "",
        "| model | zero weights | values per layer, at most | top-1, float32 | top-1, int8 |",
        "|---|---|---|---|---|",
    ]
    recipes: dict[str, Callable[[har.Windows], Any]] = {
        "tuned": tuned,
        "pruned": pruned,
        "clustered": clustered,
        "channels": channels,
    }
    for name, recipe in recipes.items():
        model = recipe(data)
        blobs = [convert(model), convert(model, ranges)]
        accuracy = [float(np.mean(har.classify(blob, held_out.x) == held_out.label)) for blob in blobs]
        zero, values = describe(model)
        lines.append(f"| {name} | {zero:.1%} | {values} | {accuracy[0]:.4f} | {accuracy[1]:.4f} |")
        print(lines[-1], flush=True)
        if name == "tuned":
            continue
        har.write_whole(folder / f"{name}_float32.tflite", blobs[0])
        har.write_whole(folder / f"{name}_int8.tflite", blobs[1])
    versions = f"TensorFlow {tf.__version__}, TensorFlow Model Optimization {tfmot.__version__}, seed {har.SEED}"
    har.update_card(folder / "MODEL_CARD.md", "\n".join([*lines, "", f"Made with {versions}."]))


if __name__ == "__main__":
    main()
