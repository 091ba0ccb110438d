"""Models whose weights alone are int8, made models of floats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emulab.quality import load_host_model, open_dataset
from emulab.quality.evaluation import evaluate
from emulab.quality.golden import LitertModel
from emulab.quality.hybrid import with_float_weights

pytestmark = pytest.mark.usefixtures("litert")


def test_what_is_no_such_model_stays_as_it_is(har: Path) -> None:
    for content in (b"", b"TFL3", bytes(64), bytes(range(256)), (har / "har_int8.tflite").read_bytes()):
        assert with_float_weights(content) == (content, 0)
    damaged = bytearray((har / "har_float32.tflite").read_bytes())
    for position in range(8, len(damaged), 397):
        one = bytes(damaged[:position]) + b"\xff\x7f" + bytes(damaged[position + 2 :])
        assert with_float_weights(one) == (one, 0)


def test_weights_become_the_values_they_stand_for(mlperf: Path) -> None:
    path = mlperf / "models" / "kws_ref_model_float32.tflite"
    model = load_host_model(path)
    assert isinstance(model, LitertModel) and model.float_weights == 5
    from tflite import Model

    before = Model.GetRootAs(path.read_bytes(), 0)
    after = Model.GetRootAs(with_float_weights(path.read_bytes())[0], 0)
    graph, wide = before.Subgraphs(0), after.Subgraphs(0)
    assert [graph.Tensors(i).Name() for i in range(graph.TensorsLength())] == [
        wide.Tensors(i).Name() for i in range(wide.TensorsLength())
    ]
    index = graph.Operators(0).Inputs(1)
    raw = before.Buffers(graph.Tensors(index).Buffer()).DataAsNumpy().view(np.int8)
    real = after.Buffers(wide.Tensors(index).Buffer()).DataAsNumpy().view(np.float32)
    scale = graph.Tensors(index).Quantization().Scale(0)
    np.testing.assert_array_equal(real, (raw * float(scale)).astype(np.float32))


def test_the_report_says_so(mlperf: Path) -> None:
    models = mlperf / "models"
    dataset = open_dataset(mlperf / "eval" / "kws01", "mlperf", models / "kws_ref_model.tflite")
    assert "computed in float" in evaluate(models / "kws_ref_model_float32.tflite", dataset, limit=2).source
    assert "computed in float" not in evaluate(models / "kws_ref_model.tflite", dataset, limit=2).source
