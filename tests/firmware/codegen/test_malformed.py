"""Models that are wrong: one line that names the operator or tensor, in bounded time, and nothing written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tflite_builder import O, T, build_model, constant

from emulab.errors import InputError, ToolError
from emulab.firmware.codegen import SUPPORTED_OPS, KernelTarget, generate
from emulab.firmware.codegen.generator import check_supported, generate_from_graph
from emulab.firmware.codegen.tflite_reader import MAX_OPERATORS, parse_model, read_model


def conv_model(**changes: object) -> bytes:
    """A small convolution; `changes` replace attributes of its tensors as `tensor_attribute`."""
    x = T((1, 6, 6, 2), scale=0.1, zero=1, name="input")
    w = T((4, 3, 3, 2), scale=[0.1] * 4, data=np.ones((4, 3, 3, 2), np.int8), name="weights")
    bias = T((4,), "int32", scale=[0.01] * 4, data=np.zeros(4, np.int32), name="bias")
    y = T((1, 4, 4, 4), scale=0.2, zero=0, name="output")
    named = {"x": x, "w": w, "bias": bias, "y": y}
    options = {"Padding": 1, "StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}
    for key, value in changes.items():
        tensor, _, attribute = key.partition("_")
        if tensor == "option":
            options[attribute] = value  # type: ignore[assignment]
        else:
            setattr(named[tensor], attribute, value)
    return build_model([x, w, bias, y], [O("CONV_2D", [0, 1, 2], [3], "Conv2DOptions", options)], [0], [3])


def fails(model: bytes, folder: Path, *words: str) -> str:
    path, out = folder / "model.tflite", folder / "out"
    path.write_bytes(model)
    with pytest.raises(InputError) as caught:
        generate(path, out, target=KernelTarget.PORTABLE)
    message = str(caught.value)
    assert "\n" not in message and message.startswith(str(path))
    for word in words:
        assert word in message, message
    assert caught.value.exit_code == 2
    assert not out.exists() or not list(out.iterdir())
    return message


def test_the_model_itself_is_good(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(conv_model())
    for target in KernelTarget:
        assert generate(path, tmp_path / target.value, target=target).macs == 64 * 18


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"x_scale": None}, ("CONV_2D", "'input'", "quantisation")),
        ({"w_scale": None}, ("CONV_2D", "'weights'", "quantisation")),
        ({"y_scale": None}, ("CONV_2D", "'output'", "quantisation")),
        ({"x_scale": 0.0}, ("'input'", "scale")),
        ({"x_scale": float("nan")}, ("'input'", "scale")),
        ({"w_scale": [0.1] * 3}, ("'weights'", "3 scales")),
        ({"y_shape": (1, 5, 4, 4)}, ("CONV_2D", "'output'", "[1, 5, 4, 4]", "[1, 4, 4, 4]")),
        ({"y_shape": (4, 4, 4)}, ("CONV_2D", "'output'", "4 dimensions")),
        ({"x_shape": (1, 0, 6, 2)}, ("CONV_2D", "'input'", "empty")),
        ({"x_shape": (1, -1, 6, 2)}, ("'input'", "dynamic")),
        ({"x_signature": (1, -1, 6, 2)}, ("'input'", "dynamic")),
        ({"x_shape": (1, 60000, 60000, 2)}, ("'input'", "larger")),
        ({"x_dtype": "uint8"}, ("CONV_2D", "'input'", "UINT8", "expected INT8 or INT16")),
        ({"x_dtype": "int16", "x_zero": 0}, ("CONV_2D", "'output'", "INT8", "expected INT16")),
        ({"w_shape": (4, 3, 3, 3)}, ("'weights'", "bytes of data")),
        ({"w_data": None}, ("CONV_2D", "'weights'", "constant")),
        ({"bias_shape": (2,), "bias_data": np.zeros(2, np.int32), "bias_scale": None}, ("CONV_2D", "'bias'")),
        ({"option_StrideH": 0}, ("CONV_2D", "stride 0")),
        ({"option_FusedActivationFunction": 4}, ("CONV_2D", "TANH")),
        ({"y_scale": 1e-29}, ("CONV_2D", "32 bits")),
    ],
    ids=lambda v: next(iter(v)) if isinstance(v, dict) else "",
)
def test_inconsistent_models(tmp_path: Path, changes: dict, words: tuple[str, ...]) -> None:
    fails(conv_model(**changes), tmp_path, *words)


def test_unknown_operator_is_named(tmp_path: Path) -> None:
    x, y = T((1, 4), "float32", name="in"), T((1, 4), "float32", name="strange")
    fails(build_model([x, y], [O("COS", [0], [1])], [0], [1]), tmp_path, "operator 0 COS", "'strange'", "list ops")


def test_too_many_operators(tmp_path: Path) -> None:
    n = 10_000
    tensors = [T((1,), "float32") for _ in range(n + 1)]
    model = build_model(tensors, [O("RELU", [i], [i + 1]) for i in range(n)], [0], [n])
    fails(model, tmp_path, "10000 operators", str(MAX_OPERATORS))


def test_many_operators_within_the_limit(tmp_path: Path) -> None:
    n = 1000
    model = build_model(
        [T((4,), "float32") for _ in range(n + 1)], [O("RELU", [i], [i + 1]) for i in range(n)], [0], [n]
    )
    path = tmp_path / "model.tflite"
    path.write_bytes(model)
    assert len(generate(path, tmp_path / "out", target=KernelTarget.PORTABLE).layers) == n


def test_wrong_order_and_wrong_indices(tmp_path: Path) -> None:
    t = [T((4,), "float32", name=n) for n in "abc"]
    fails(build_model(t, [O("RELU", [1], [2]), O("RELU", [0], [1])], [0], [2]), tmp_path, "'b'", "before")
    fails(build_model(t, [O("RELU", [0], [1]), O("RELU", [0], [1])], [0], [1]), tmp_path, "'b'", "twice")
    fails(build_model(t, [O("RELU", [0], [1])], [0], [2]), tmp_path, "'c'", "never written")
    fails(build_model(t, [O("RELU", [9], [1])], [0], [1]), tmp_path, "tensor 9")
    fails(build_model(t, [O("RELU", [0], [1])], [0], [7]), tmp_path, "tensor 7")
    fails(build_model(t, [O("RELU", [-1], [1])], [0], [1]), tmp_path, "input 0 is missing")
    fails(build_model([constant([1.0], "float32"), t[0]], [O("RELU", [0], [1])], [0], [1]), tmp_path, "constant")


def test_not_a_model(tmp_path: Path) -> None:
    fails(b"", tmp_path, "the file is empty")
    fails(b"MZ" + bytes(100), tmp_path, "not a TensorFlow Lite model")
    fails(bytes(4) + b"TFL3" + bytes(100), tmp_path)
    with pytest.raises(InputError, match="no such file"):
        read_model(tmp_path / "absent.tflite")


def test_every_truncation_is_refused_or_whole() -> None:
    model = conv_model()
    for size in range(len(model)):
        with pytest.raises(InputError):
            graph = parse_model(model[:size])
            check_supported(graph)
            generate_from_graph(graph, Path("/nonexistent"), target=KernelTarget.PORTABLE)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=8))
def test_fuzzed_models_end_in_one_line(tmp_path: Path, changes: list[tuple[int, int]]) -> None:
    model = bytearray(conv_model())
    for position, value in changes:
        model[position % len(model)] = value
    try:
        generate_from_graph(parse_model(bytes(model)), tmp_path / "out", target=KernelTarget.ARM_DSP)
    except (InputError, ToolError) as error:
        assert "\n" not in str(error)


def test_read_only_output(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(conv_model())
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ToolError, match="cannot write"):
        generate(path, tmp_path / "file" / "out", target=KernelTarget.PORTABLE)


def test_names_cannot_break_out_of_comments_or_strings(tmp_path: Path) -> None:
    path = tmp_path / 'a"*quote.tflite'
    path.write_bytes(conv_model(y_name="*/ int evil; /*", w_name="x\n#error"))
    generated = generate(path, tmp_path / "out", target=KernelTarget.PORTABLE)
    text = "".join(f.read_text() for f in generated.files)
    assert "*/ int evil" not in text and "\n#error" not in text and '"a"' not in text


def test_the_table_describes_every_operator() -> None:
    for kind, op in SUPPORTED_OPS.items():
        assert kind == op.kind and op.types and op.description and callable(op.lower)


def test_loops_are_named_with_what_to_do_instead() -> None:
    """Before the tensors of a loop, whose shapes are open, are complained about."""
    tensors = [T((1, 4), "float32"), T((1, 4), "float32", signature=(-1, -1))]
    model = build_model(tensors, [O("WHILE", [0], [1], "WhileOptions", {"CondSubgraphIndex": 0})], [0], [1])
    with pytest.raises(InputError, match=r"operator 0 WHILE is not supported.*unroll=True"):
        parse_model(model)


def test_weights_in_half_precision_are_floats(tmp_path: Path) -> None:
    from codegen_host import HostModel

    w = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float16)
    tensors = [T((1, 4), "float32"), T(w.shape, "float16", data=w), T(w.shape, "float32"), T((1, 3), "float32")]
    ops = [O("DEQUANTIZE", [1], [2]), O("FULLY_CONNECTED", [0, 2, -1], [3], "FullyConnectedOptions")]
    path = tmp_path / "half.tflite"
    path.write_bytes(build_model(tensors, ops, [0], [3]))
    x = np.array([[1, -2, 3, 0.5]], np.float32)
    host = HostModel(path, KernelTarget.PORTABLE, tmp_path)
    np.testing.assert_allclose(host(x)[0], x @ w.astype(np.float32).T, rtol=1e-6)
    assert [layer.op for layer in host.generated.layers] == ["FULLY_CONNECTED"]


def test_half_precision_is_for_constants_alone(tmp_path: Path) -> None:
    path = tmp_path / "half.tflite"
    tensors = [T((1, 4), "float16"), T((1, 4), "float32")]
    path.write_bytes(build_model(tensors, [O("DEQUANTIZE", [0], [1])], [0], [1]))
    with pytest.raises(InputError, match="is FLOAT16, expected"):
        generate(path, tmp_path / "out", target=KernelTarget.PORTABLE)


@pytest.mark.parametrize(
    ("name", "words"),
    [("net.onnx", "onnx2tf"), ("net.keras", "TFLiteConverter"), ("net.pt", "PyTorch"), ("net.tflite", "no TFL3")],
)
def test_models_of_other_frameworks_are_told_what_to_do(tmp_path: Path, name: str, words: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"PK\x03\x04" * 20)
    with pytest.raises(InputError, match=words):
        read_model(path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match="is empty"):
        read_model(path)
