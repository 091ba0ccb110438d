"""Train three bearing-fault models on the same 128 int8 features: a CNN, a random forest, gradient-boosted trees.

One command, from the repository::

    pip install 'emulab[train]' && EMULAB_ASSETS=FOLDER python scenarios/predictive-maintenance/train.py

FOLDER holds ``cwru/`` (Case Western Reserve University bearing recordings as .npz, one per test with ``de``, ``fs`` and
``rpm``, and their ``index.csv``). The recordings have no formal licence and do not ship; the weights trained here do,
and so does ``eval.npz``, which is simulated. Writes beside itself (``--output DIR``: elsewhere) ``cnn_float32.tflite``,
``cnn_int8.tflite``, ``forest.json`` (through emlearn), ``boosted.json``, ``eval.npz`` and the results section of
``MODEL_CARD.md``. All seeds are constants below.
"""

from __future__ import annotations

import argparse
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import emlearn
import numpy as np
import sklearn
import tensorflow as tf
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier

from emulab.firmware.emlearn import parse_emlearn
from emulab.firmware.estimators import trees_of
from emulab.firmware.trees import TreeEnsemble
from emulab.quality.bearing import BINS, CONDITIONS, simulated_set
from emulab.quality.export import export_tflite, write_whole
from emulab.quality.recordings import HELD_OUT_LOAD_HP, read_recordings

np.seterr(all="warn")  # emlearn makes every underflow an error, also in code that is not its own

SEED = 20_240_601
SIMULATED_TRAIN, SIMULATED_TEST = 4000, 400
SCALE = 1 / 64  # real value of one int8 step of the input: the CNN sees -2 to 2
EPOCHS = 20


def network(batch_size: int | None = None) -> tf.keras.Model:
    """Small separable CNN over the order axis, written with 2-D operators."""
    layers = tf.keras.layers
    inputs = layers.Input(shape=(BINS, 1, 1), batch_size=batch_size)

    def rectified(x: Any) -> Any:
        return layers.ReLU()(layers.BatchNormalization()(x))

    x = rectified(layers.Conv2D(16, (7, 1), strides=(2, 2), padding="same", use_bias=False)(inputs))
    for filters in (24, 32):
        x = rectified(layers.DepthwiseConv2D((5, 1), strides=(2, 2), padding="same", use_bias=False)(x))
        x = rectified(layers.Conv2D(filters, 1, use_bias=False)(x))
    x = layers.Dropout(0.2)(layers.Reshape((16 * 32,))(x))
    return tf.keras.Model(inputs, layers.Dense(len(CONDITIONS), activation="softmax")(x))


def real(x: np.ndarray) -> np.ndarray:
    return (x.astype(np.float32) * np.float32(SCALE)).reshape(-1, BINS, 1, 1)


def balanced(y: np.ndarray) -> np.ndarray:
    """Weight per sample, so that every class counts the same."""
    counts = np.bincount(y, minlength=len(CONDITIONS))
    return len(y) / (len(CONDITIONS) * np.maximum(counts, 1))[y]


def fit_cnn(x: np.ndarray, y: np.ndarray) -> tf.keras.Model:
    tf.keras.utils.set_random_seed(SEED)
    rng = np.random.default_rng(SEED)
    model = network()
    rate = tf.keras.optimizers.schedules.CosineDecay(3e-3, EPOCHS * -(-len(y) // 64))
    loss = tf.keras.losses.CategoricalCrossentropy(label_smoothing=0.05)
    model.compile(tf.keras.optimizers.AdamW(rate, weight_decay=1e-3), loss)
    target, weight = np.eye(len(CONDITIONS), dtype=np.float32)[y], balanced(y)
    for _ in range(EPOCHS):
        order = rng.permutation(len(y))
        # Small gains and noise on the spectrum: the level of a line says more than its last decibel.
        noisy = real(x[order]) + rng.normal(0, 0.05, (len(y), BINS, 1, 1)).astype(np.float32)
        model.fit(noisy, target[order], sample_weight=weight[order], batch_size=64, epochs=1, verbose=0, shuffle=False)
    return model


def fit_forest(x: np.ndarray, y: np.ndarray) -> RandomForestClassifier:
    return RandomForestClassifier(20, max_depth=10, min_samples_leaf=4, class_weight="balanced", random_state=SEED).fit(
        x, y
    )


def fit_boosted(x: np.ndarray, y: np.ndarray) -> GradientBoostingClassifier:
    model = GradientBoostingClassifier(
        n_estimators=30, max_depth=3, learning_rate=0.25, subsample=0.7, max_features=24, random_state=SEED
    )
    return model.fit(x, y, sample_weight=balanced(y))


def convert(model: tf.keras.Model, representative: np.ndarray | None = None) -> bytes:
    """Keras -> .tflite with batch 1; int8 throughout where *representative* features are given."""
    fixed = network(batch_size=1)
    fixed.set_weights(model.get_weights())
    if representative is None:
        return export_tflite(fixed)
    # The ends of int8 pin the input to scale 1/64, zero point 0: features go in as they are.
    ends = real(np.where(np.arange(BINS) % 2, -128, 127).astype(np.int8))
    return export_tflite(fixed, [ends, *(real(row) for row in representative)])


def classify(tflite: bytes, x: np.ndarray) -> np.ndarray:
    resolver = tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = tf.lite.Interpreter(model_content=tflite, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    source, sink = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    result = []
    for row in x:
        value = row.reshape(1, BINS, 1, 1) if source["dtype"] == np.int8 else real(row)
        interpreter.set_tensor(source["index"], value)
        interpreter.invoke()
        result.append(int(np.argmax(interpreter.get_tensor(sink["index"])[0])))
    return np.array(result)


def through_emlearn(model: RandomForestClassifier) -> TreeEnsemble:
    """Forest -> emlearn -> checked ensemble, leaves as class shares in 1/255."""
    converted = emlearn.convert(model, method="inline", dtype="int16_t", leaf_bits=8)
    return parse_emlearn(converted.save(name="forest", format="csv"), "forest", CONDITIONS, SCALE)


def answers(trees: TreeEnsemble, x: np.ndarray) -> np.ndarray:
    return np.array([int(np.argmax(trees.sums(row))) for row in x])


def guesses(x: np.ndarray, y: np.ndarray, tests: Mapping[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """Train all three on (x, y); class per window of every test set, by model."""
    boosted = trees_of(fit_boosted(x, y), SCALE, CONDITIONS)
    cnn, trees = fit_cnn(x, y), {"forest": through_emlearn(fit_forest(x, y)), "boosted": boosted}
    result = {"cnn": {name: cnn.predict(real(t), verbose=0).argmax(axis=1) for name, t in tests.items()}}
    for name, model in trees.items():
        result[name] = {test: answers(model, t) for test, t in tests.items()}
    return result


def update_card(path: Path, text: str) -> None:
    """Replace what lies between the two markers of the model card; without a card, write the section alone."""
    start, stop = "<!-- results: written by train.py -->", "<!-- end of results -->"
    old = path.read_text(encoding="utf-8") if path.is_file() else f"{start}\n{stop}\n"
    before, _, rest = old.partition(start)
    _, _, after = rest.partition(stop)
    write_whole(path, f"{before}{start}\n{text}\n{stop}{after}".encode())


def recalls(y: np.ndarray, guess: np.ndarray) -> str:
    """Share found, per class, then all windows."""
    cells = [f"{(guess[y == c] == c).mean():.3f}" if (y == c).any() else "-" for c in range(len(CONDITIONS))]
    return " | ".join([*cells, f"{(guess == y).mean():.4f}"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path(__file__).resolve().parent)
    arguments = parser.parse_args()
    folder = Path(os.environ.get("EMULAB_ASSETS", "")) / "cwru"
    if not (folder / "index.csv").is_file():
        raise SystemExit("set EMULAB_ASSETS to a folder that holds cwru/index.csv and the recordings it lists")
    arguments.output.mkdir(parents=True, exist_ok=True)
    tf.config.experimental.enable_op_determinism()
    simulated_x, simulated_y = simulated_set(SIMULATED_TRAIN, SEED)
    test_x, test_y = simulated_set(SIMULATED_TEST, SEED + 1)
    real_set = read_recordings(folder)
    header = "| model | " + " | ".join(CONDITIONS) + " | all windows |\n" + "|---" * (len(CONDITIONS) + 2) + "|"

    train = ((real_set.y > 0) & (real_set.load != HELD_OUT_LOAD_HP)) | real_set.good(late=False)
    held = real_set.held_out
    x = np.concatenate([real_set.x[train], simulated_x])
    y = np.concatenate([real_set.y[train], simulated_y]).astype(int)
    cnn, forest, boosted = fit_cnn(x, y), fit_forest(x, y), fit_boosted(x, y)
    picked = np.random.default_rng(SEED).choice(len(x), 300, replace=False)
    files = {"cnn_float32.tflite": convert(cnn), "cnn_int8.tflite": convert(cnn, x[picked])}
    trees = {"forest.json": through_emlearn(forest), "boosted.json": trees_of(boosted, SCALE, CONDITIONS)}
    for name, estimator in (("forest.json", forest), ("boosted.json", boosted)):
        same = np.mean(answers(trees[name], x[:1000]) == estimator.predict(x[:1000]))
        print(f"{name}: {same:.4f} of answers as the estimator's, {len(trees[name].nodes)} nodes", flush=True)
    files |= {name: model.to_json().encode() for name, model in trees.items()}
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        x=test_x.reshape(-1, BINS, 1, 1),
        y=test_y,
        scale=np.float32(SCALE),
        labels=np.array(CONDITIONS),
        seed=np.int64(SEED + 1),
    )
    files["eval.npz"] = buffer.getvalue()

    def shipped(rows: np.ndarray) -> dict[str, np.ndarray]:
        result = {name: classify(files[name], rows) for name in ("cnn_float32.tflite", "cnn_int8.tflite")}
        return result | {name: answers(model, rows) for name, model in trees.items()}

    lines = [f"Simulated windows of another seed (`eval.npz`, {len(test_y)} windows):", "", header]
    lines += [f"| {name} | {recalls(test_y, guess)} |" for name, guess in shipped(test_x).items()]
    lines += [
        "",
        f"Recordings at a load never trained on, the bearings seen at other loads ({held.sum()} windows):",
        "",
    ]
    lines += [header]
    lines += [f"| {name} | {recalls(real_set.y[held], g)} |" for name, g in shipped(real_set.x[held]).items()]
    for diameter in (7, 14, 21):
        inner = ((real_set.y > 0) & (real_set.diameter != diameter)) | real_set.good(late=False)
        outer = ((real_set.y > 0) & (real_set.diameter == diameter)) | real_set.good(late=True)
        tests = {"": real_set.x[outer]}
        lines += [
            "",
            f"Recordings of bearings never seen, faults of 0.{diameter:03d} inch ({outer.sum()} windows):",
            "",
            header,
        ]
        both_x = np.concatenate([real_set.x[inner], simulated_x])
        both_y = np.concatenate([real_set.y[inner], simulated_y]).astype(int)
        for label, a, b in (
            ("recordings alone", real_set.x[inner], real_set.y[inner]),
            ("recordings and simulation", both_x, both_y),
        ):
            for name, found in guesses(a, b, tests).items():
                lines += [f"| {name}, {label} | {recalls(real_set.y[outer], found[''])} |"]
        print("\n".join(lines[-6:]), flush=True)
    versions = f"TensorFlow {tf.__version__}, scikit-learn {sklearn.__version__}, NumPy {np.__version__}, seed {SEED}"
    sizes = [f"| {name} | {len(data)} |" for name, data in files.items()]
    lines += ["", "| file | bytes |", "|---|---|", *sizes]
    for name, model in trees.items():
        shape = f"{len(model.roots)} trees, {len(model.nodes)} nodes, {len(model.leaves)} leaves, depth {model.depth}"
        lines += ["", f"`{name}`: {shape}."]
    lines += ["", f"Made with {versions}."]
    for name, data in files.items():
        write_whole(arguments.output / name, data)
    update_card(arguments.output / "MODEL_CARD.md", "\n".join(lines))


if __name__ == "__main__":
    main()
