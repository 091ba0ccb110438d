"""Fit the free parameters of a pipeline model to measured cycle counts: ``python -m emulab.timing.fit INDEX...``

INDEX is a CSV file beside the images it lists (columns: :func:`emulab.timing.samples.read_rows`): MLPerf Tiny images,
or bare programs that bracket their work by ``start_trigger`` and ``stop_trigger``. Only parameters a model marks as free
move, within their range and held by a prior at the value of the platform file. Printed: error per row before and after,
and the error of each row predicted by a fit without it (leave-one-out). Nothing is fitted per program, image or submitter.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulab.errors import EmulabError, InputError

if TYPE_CHECKING:
    from emulab.timing.pipeline import Parameter
    from emulab.timing.samples import Sample

ROW_SIGMA = 0.01
"""What a row is trusted to, relative: re-measured images differ by up to 0.7 %."""
PRIOR_SIGMA = 0.5
"""How far a parameter is expected from its prior, in cycles."""


def collect(indexes: Sequence[Path], core: str, match: str, say: Any) -> list[Sample]:
    """Run every listed image whose platform has timing model *core* and whose name contains *match*."""
    from emulab.firmware.image import load_image
    from emulab.model.platform import load_platform
    from emulab.timing.samples import PROGRAM_START, read_rows, run_dut, run_program

    samples: list[Sample] = []
    for index in indexes:
        for file, name, cycles in read_rows(index):
            platform = load_platform(name).platform
            if platform.core.timing.model != core or match not in file.name or "_energy" in file.stem:
                continue
            flash = next(iter(platform.memory_of_kind("flash").values()), None)
            raw = file.suffix == ".bin" and flash is not None
            image = load_image(file, base=flash.base if raw and flash is not None else None)
            run = run_program if PROGRAM_START in image.symbols else run_dut
            try:
                sample = run(platform, image, file.stem, cycles)
            except EmulabError as error:
                say(f"{file.name}: left out: {error}")
                continue
            say(f"{file.name}: {sample.emulated_cycles:.0f} cycles, measured {cycles:.0f}")
            samples.append(sample)
    return samples


def design(samples: Sequence[Sample], free: dict[str, Parameter], values: dict[str, float]) -> tuple[Any, Any]:
    """Relative deviation of each row at *values*, and its slope per parameter (rows x parameters)."""
    import numpy as np

    from emulab.timing import load_core_timing

    def cycles(change: dict[str, float]) -> Any:
        models = {s.platform.name: load_core_timing(s.platform.core, {**values, **change}) for s in samples}
        return np.array([s.priced(models[s.platform.name]) for s in samples])

    measured = np.array([s.measured_cycles for s in samples])
    base = cycles({})
    slopes = np.zeros((len(samples), len(free)))
    for column, (name, parameter) in enumerate(free.items()):
        step = 1.0 if values[name] + 1.0 <= parameter.high else -1.0 if values[name] - 1.0 >= parameter.low else 0.5
        slopes[:, column] = (cycles({name: values[name] + step}) - base) / (step * measured)
    return base / measured - 1.0, slopes


def solve(deviation: Any, slopes: Any, low: Any, high: Any) -> Any:
    """Change of the parameters that minimises rows and prior together, within [low, high] (coordinate descent)."""
    import numpy as np

    hessian = slopes.T @ slopes / ROW_SIGMA**2 + np.eye(slopes.shape[1]) / PRIOR_SIGMA**2
    gradient = slopes.T @ deviation / ROW_SIGMA**2
    change = np.zeros(slopes.shape[1])
    for _ in range(2000):
        before = change.copy()
        for j in range(len(change)):
            rest = gradient[j] + hessian[j] @ change - hessian[j, j] * change[j]
            change[j] = min(max(-rest / hessian[j, j], low[j]), high[j])
        if np.abs(change - before).max() < 1e-9:
            break
    return change


def report(samples: Sequence[Sample], free: dict[str, Parameter], values: dict[str, float]) -> str:
    """Fit and describe: parameters, rows, leave-one-out."""
    import numpy as np

    deviation, slopes = design(samples, free, values)
    low = np.array([p.low - values[n] for n, p in free.items()])
    high = np.array([p.high - values[n] for n, p in free.items()])
    change = solve(deviation, slopes, low, high)
    after = deviation + slopes @ change
    left_out = []
    for row in range(len(samples)):
        keep = [i for i in range(len(samples)) if i != row]
        without = solve(deviation[keep], slopes[keep], low, high)
        left_out.append(float(deviation[row] + slopes[row] @ without))
    lines = ["| parameter | platform file | fitted |", "|---|---|---|"]
    for (name, _), moved in zip(free.items(), change, strict=True):
        lines.append(f"| {name} | {values[name]:g} | {values[name] + moved:.2f} |")
    lines += ["", "| row | platform | now % | fitted % | left out % |", "|---|---|---|---|---|"]
    for sample, d, a, o in zip(samples, deviation, after, left_out, strict=True):
        lines.append(f"| {sample.name} | {sample.platform.name} | {d:+.2%} | {a:+.2%} | {o:+.2%} |".replace("%", ""))
    for text, errors in (("now", deviation), ("fitted", after), ("left out", np.array(left_out))):
        lines.append(f"\n{text}: mean absolute {np.abs(errors).mean():.2%}, largest {np.abs(errors).max():.2%}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m emulab.timing.fit", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("index", nargs="+", type=Path, help="CSV files that list images and what silicon took")
    parser.add_argument("--core", required=True, help="timing model to fit, e.g. cortex-m4")
    parser.add_argument("--only", default="", help="take only images whose file name contains this")
    parser.add_argument("--vary", action="append", default=[], metavar="NAME", help="free parameters (default: all)")
    options = parser.parse_args(arguments)
    try:
        from emulab.timing import load_core_timing

        samples = collect(options.index, options.core, options.only, lambda t: print(t, file=sys.stderr, flush=True))
        if len(samples) < 2:
            raise InputError(f"only {len(samples)} rows for timing model {options.core!r}; a fit needs two or more")
        model: Any = load_core_timing(samples[0].platform.core)
        free = {n: p for n, p in model.PARAMETERS.items() if p.free and (not options.vary or n in options.vary)}
        for name in options.vary:
            if name not in free:
                raise InputError(f"--vary {name}: not a free parameter of {options.core}; free: {', '.join(free)}")
        values = {n: model.p[n] for n in free}
        print(report(samples, free, values))
    except EmulabError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
