"""Float models within rounding of the reference, and real wake-word models with state, bit for bit over 10 s."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from codegen_host import HostModel, Reference

from emulab.firmware.codegen import KernelTarget

pytest.importorskip("tflite_micro", reason="the reference interpreter is missing: pip install tflite-micro")


@pytest.mark.parametrize("name", ["pretrainedResnet", "ad01_fp32", "vww_96_float"])
def test_float_models(mlperf_tiny: Path, tmp_path: Path, name: str) -> None:
    model = mlperf_tiny / "models" / f"{name}.tflite"
    host = HostModel(model, KernelTarget.PORTABLE, tmp_path)
    reference, rng = Reference(model.read_bytes(), arena_bytes=2 << 20), np.random.default_rng(1)
    for _ in range(3):
        x = rng.normal(size=host.generated.input.shape).astype(np.float32)
        y, wanted = host(x)[0], reference(x)[0]
        assert np.abs(y - wanted).max() <= 1e-4 * np.abs(wanted).max()


def test_weights_alone_in_int8_are_computed_in_float(mlperf_tiny: Path, tmp_path: Path) -> None:
    """The reference has no kernels for such layers, so it gets the model with those weights as floats."""
    pytest.importorskip("ai_edge_litert", reason="the writer of models is missing: pip install ai-edge-litert")
    from emulab.quality.hybrid import with_float_weights

    model = mlperf_tiny / "models" / "kws_ref_model_float32.tflite"
    as_float, count = with_float_weights(model.read_bytes())
    assert count == 5
    host = HostModel(model, KernelTarget.PORTABLE, tmp_path)
    reference, rng = Reference(as_float, arena_bytes=2 << 20), np.random.default_rng(1)
    for _ in range(10):
        x = rng.normal(size=host.generated.input.shape).astype(np.float32) * 30
        y, wanted = host(x)[0], reference(x)[0]
        assert np.abs(y - wanted).max() <= 1e-4 * np.abs(wanted).max()


def wake_words() -> list[Path]:
    spec = importlib.util.find_spec("pymicro_wakeword")
    if spec is None or not spec.submodule_search_locations:
        return []
    return sorted(Path(spec.submodule_search_locations[0]).glob("models/*.tflite"))


@pytest.mark.skipif(not wake_words(), reason="no wake-word models: pip install pymicro-wakeword")
@pytest.mark.parametrize("target", [KernelTarget.PORTABLE, KernelTarget.ARM_DSP], ids=lambda t: t.value)
@pytest.mark.parametrize("model", wake_words(), ids=lambda p: p.stem)
def test_wake_words_keep_their_state(model: Path, target: KernelTarget, tmp_path: Path) -> None:
    host, reference = HostModel(model, target, tmp_path), Reference(model.read_bytes(), arena_bytes=1 << 20)
    shape = host.generated.input.shape
    frames = -(-1000 // shape[1])  # 10 s of features every 10 ms
    rng = np.random.default_rng(4)
    # A slow random walk, as features are, so that the state matters.
    level = np.zeros(shape[-1])
    first = None
    for _ in range(frames):
        level = np.clip(level + rng.normal(size=shape[-1]) * 20, -128, 127)
        x = np.broadcast_to(level, shape).astype(np.int8)
        first = x if first is None else first
        np.testing.assert_array_equal(host(x)[0], reference(x)[0])
    assert first is not None
    fresh = Reference(model.read_bytes(), arena_bytes=1 << 20)
    host.library.emulab_model_reset()
    np.testing.assert_array_equal(host(first)[0], fresh(first)[0])
