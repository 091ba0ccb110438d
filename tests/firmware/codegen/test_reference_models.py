"""The MLPerf Tiny models: generated C equals the reference interpreter on every evaluation input."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from codegen_host import HostModel, Reference

from emulab.firmware.codegen import KernelTarget

pytest.importorskip("tflite_micro", reason="the reference interpreter is missing: pip install tflite-micro")

HOST_TARGETS = [KernelTarget.PORTABLE, KernelTarget.ARM_DSP]


def labels(folder: Path) -> list[list[str]]:
    with (folder / "y_labels.csv").open() as file:
        return [row for row in csv.reader(file) if row]


@pytest.mark.parametrize("target", HOST_TARGETS, ids=lambda t: t.value)
def test_kws_equals_the_reference_on_all_inputs(mlperf_tiny: Path, tmp_path: Path, target: KernelTarget) -> None:
    model = mlperf_tiny / "models" / "kws_ref_model.tflite"
    host, reference = HostModel(model, target, tmp_path), Reference(model.read_bytes())
    folder = mlperf_tiny / "eval" / "kws01"
    correct = 0
    rows = labels(folder)
    assert len(rows) == 1000
    for name, _, label in rows:
        x = np.fromfile(folder / name, np.int8).reshape(host.generated.input.shape)
        (y,) = host(x)
        np.testing.assert_array_equal(y, reference(x)[0], err_msg=name)
        correct += int(y.argmax() == int(label))
    assert correct == 901


@pytest.mark.parametrize("target", HOST_TARGETS, ids=lambda t: t.value)
def test_ic_equals_the_reference_on_all_inputs(mlperf_tiny: Path, tmp_path: Path, target: KernelTarget) -> None:
    model = mlperf_tiny / "models" / "pretrainedResnet_quant.tflite"
    host, reference = HostModel(model, target, tmp_path), Reference(model.read_bytes())
    folder = mlperf_tiny / "eval" / "ic01"
    correct = 0
    rows = labels(folder)
    assert len(rows) == 200
    for name, _, label in rows:
        x = (np.fromfile(folder / name, np.uint8).astype(np.int16) - 128).astype(np.int8)
        x = x.reshape(host.generated.input.shape)
        (y,) = host(x)
        np.testing.assert_array_equal(y, reference(x)[0], err_msg=name)
        correct += int(y.argmax() == int(label))
    assert correct == 173  # 86.5 %


@pytest.mark.parametrize("target", HOST_TARGETS, ids=lambda t: t.value)
def test_ad_equals_the_reference_on_all_windows(mlperf_tiny: Path, tmp_path: Path, target: KernelTarget) -> None:
    model = mlperf_tiny / "models" / "ad01_int8.tflite"
    host, reference = HostModel(model, target, tmp_path), Reference(model.read_bytes())
    d = host.generated.input
    assert d.scale is not None and d.zero_point is not None
    for path in sorted((mlperf_tiny / "eval" / "ad01").glob("*.bin")):
        mel = np.fromfile(path, np.float32)
        for start in range(0, mel.size - 640 + 1, 128):
            q = np.round(mel[start : start + 640] / d.scale) + d.zero_point
            x = np.clip(q, -128, 127).astype(np.int8).reshape(d.shape)
            np.testing.assert_array_equal(host(x)[0], reference(x)[0], err_msg=f"{path.name} at {start}")


@pytest.mark.parametrize("target", list(KernelTarget), ids=lambda t: t.value)
@pytest.mark.parametrize("name", ["vww_96_int8", "str_ww_ref_model"])
def test_random_inputs_equal_the_reference(mlperf_tiny: Path, tmp_path: Path, name: str, target: KernelTarget) -> None:
    model = mlperf_tiny / "models" / f"{name}.tflite"
    host, reference = HostModel(model, target, tmp_path), Reference(model.read_bytes())
    rng = np.random.default_rng(7)
    for _ in range(50):
        x = rng.integers(-128, 128, host.generated.input.shape, np.int8)
        np.testing.assert_array_equal(host(x)[0], reference(x)[0])


@pytest.mark.parametrize(
    ("name", "arena_limit", "macs"),
    [
        ("kws_ref_model", 16_300, 2_656_768),
        ("pretrainedResnet_quant", 50_000, 12_501_632),
        ("ad01_int8", 2_200, 264_192),
        ("vww_96_int8", 56_500, 7_489_664),
        ("str_ww_ref_model", 8_000, 826_368),
    ],
)
def test_arena_and_macs(mlperf_tiny: Path, tmp_path: Path, name: str, arena_limit: int, macs: int) -> None:
    from emulab.firmware.codegen import generate

    for target in KernelTarget:
        g = generate(mlperf_tiny / "models" / f"{name}.tflite", tmp_path / target.value, target=target)
        assert g.macs == macs
        # The DSP kernels trade a few KB of scratch, bounded, for speed.
        assert g.arena.bytes <= arena_limit + (5120 if target is KernelTarget.ARM_DSP else 0)
        assert g.arena.bytes == g.arena.lower_bound
