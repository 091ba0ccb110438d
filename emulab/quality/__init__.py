"""Quality of a workload: datasets, metrics, the golden model on the host, quantised against float, noise robustness.

The usual calls::

    dataset = open_dataset("eval.npz", model="har_int8.tflite")
    result = evaluate("har_int8.tflite", dataset)             # on the host; result.accuracy_top1, .per_class, ...
    result = score(dataset, outputs_of_the_dut)               # of what a board or an emulated board answered
    report = agreement("har_int8.tflite", "har_float32.tflite", dataset)
    curves = noise_sweep("har_int8.tflite", dataset, seed=1)
    made = quantize("har_float32.tflite", "har_int8.tflite", dataset)

Nothing here imports NumPy or an inference engine before it is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emulab.quality.datasets import open_dataset
    from emulab.quality.divergence import Agreement, agreement
    from emulab.quality.evaluation import QualityResult, evaluate, score
    from emulab.quality.golden import HostModelUnavailable, host_model_available, load_host_model
    from emulab.quality.noise import NoiseCurve, NoiseReport, noise_sweep, noise_sweeps
    from emulab.quality.quantization import Quantisation, quantize
    from emulab.quality.samples import Dataset, Sample, TensorSpec

_WHERE = {
    "Agreement": "divergence",
    "agreement": "divergence",
    "open_dataset": "datasets",
    "QualityResult": "evaluation",
    "evaluate": "evaluation",
    "score": "evaluation",
    "HostModelUnavailable": "golden",
    "host_model_available": "golden",
    "load_host_model": "golden",
    "NoiseCurve": "noise",
    "NoiseReport": "noise",
    "noise_sweep": "noise",
    "noise_sweeps": "noise",
    "Quantisation": "quantization",
    "quantize": "quantization",
    "Dataset": "samples",
    "Sample": "samples",
    "TensorSpec": "samples",
}

__all__ = [
    "Agreement",
    "Dataset",
    "HostModelUnavailable",
    "NoiseCurve",
    "NoiseReport",
    "QualityResult",
    "Quantisation",
    "Sample",
    "TensorSpec",
    "agreement",
    "evaluate",
    "host_model_available",
    "load_host_model",
    "noise_sweep",
    "noise_sweeps",
    "open_dataset",
    "quantize",
    "score",
]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        from importlib import import_module

        return getattr(import_module(f"emulab.quality.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'emulab.quality' has no attribute {name!r}")
