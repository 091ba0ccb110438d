"""The table of operators says which kernels are used, and memory stays within the reference interpreter's."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from networks import network

from emulab.firmware.codegen import SUPPORTED_OPS, KernelTarget, generate

SUFFIXES = {KernelTarget.ARM_DSP: "_dsp", KernelTarget.ARM_MVE: "_mve", KernelTarget.RV32IM: "_rv32"}
MODELS = ("kws_ref_model", "pretrainedResnet_quant", "ad01_int8", "vww_96_int8", "str_ww_ref_model")


def calls(model: Path, folder: Path, target: KernelTarget) -> dict[str, set[str]]:
    """Operator kind to the kernels its layers call."""
    generated = generate(model, folder / target.value, target=target)
    source = (folder / target.value / "model.c").read_text()
    found: dict[str, set[str]] = {}
    for layer in generated.layers:
        body = source.split(f"void {layer.symbol}(void)")[1].split("\n}")[0]
        found.setdefault(layer.op, set()).update(re.findall(r"(emulab_\w+)\(", body))
    return found


@pytest.mark.parametrize("target", list(KernelTarget), ids=lambda t: t.value)
def test_the_table_says_which_kernels_are_used(tmp_path: Path, target: KernelTarget) -> None:
    used: dict[str, set[str]] = {}
    for seed in range(8):
        model = tmp_path / "model.tflite"
        model.write_bytes(network(seed))
        for kind, names in calls(model, tmp_path, target).items():
            used.setdefault(kind, set()).update(names)
    for kind, names in used.items():
        tuned = any(suffix in name for name in names for suffix in SUFFIXES.values())
        if target in SUPPORTED_OPS[kind].tuned:
            # 3x3 windows of depthwise layers come by chance
            assert any(SUFFIXES[target] in name for name in names) or kind == "DEPTHWISE_CONV_2D", (kind, names)
        else:
            assert not tuned, (kind, names)


def test_16_bit_models_use_portable_kernels(tmp_path: Path) -> None:
    model = tmp_path / "model.tflite"
    model.write_bytes(network(1, "int16"))
    for target in KernelTarget:
        for names in calls(model, tmp_path, target).values():
            assert not any(s in name for name in names for s in SUFFIXES.values())


@pytest.mark.parametrize("name", MODELS)
def test_arena_at_most_that_of_the_reference_interpreter(mlperf_tiny: Path, tmp_path: Path, name: str) -> None:
    """The interpreter's arena holds its own structures besides tensors; ours holds tensors and scratch."""
    pytest.importorskip("tflite_micro", reason="the reference interpreter is missing: pip install tflite-micro")
    path = mlperf_tiny / "models" / f"{name}.tflite"
    script = (
        "import sys\nfrom tflite_micro.python.tflite_micro import runtime\n"
        "i = runtime.Interpreter.from_file(sys.argv[1], arena_size=1 << 22)\ni.invoke()\ni.print_allocations()\n"
    )
    command = [sys.executable, "-c", script, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    reported = {k: int(v) for k, v in re.findall(r"Arena allocation (\w+) (\d+) bytes", done.stdout + done.stderr)}
    for target in KernelTarget:
        generated = generate(path, tmp_path / target.value, target=target)
        assert generated.arena_bytes <= reported["total"]
        if target is not KernelTarget.ARM_DSP:
            # not even its tensors alone, but for the little scratch that the kernels need
            assert generated.arena_bytes <= reported["head"] + 512
