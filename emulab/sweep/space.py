"""The space of a sweep: ``--vary KEY=...`` axes, their product or a random draw, and constraints.

An axis is ``KEY=a,b,c`` (YAML values), ``KEY=lo:hi:linN`` or ``KEY=lo:hi:logN`` (N points, ends included),
``KEY=lo:hi:randN`` / ``lo:hi:lograndN`` (N seeded draws), or ``KEY=*.tflite`` for a key that holds a path.
``platform`` and ``backend`` are short for the scenario's targets.
"""

from __future__ import annotations

import glob
import itertools
import math
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulab.errors import InputError
from emulab.model.files import parse_value

_RANGE = re.compile(r"(?P<lo>[^:]+):(?P<hi>[^:]+):(?P<kind>lin|log|rand|logrand)(?P<n>\d+)")
_COMPARISON = re.compile(r"\s*(?P<left>[\w.]+)\s*(?P<op><=|>=|<|>|==|!=)\s*(?P<right>[\w.eE+-]+)\s*")
MAX_VARIANTS = 10_000_000


@dataclass(frozen=True, slots=True)
class Axis:
    """One varied key and its values."""

    key: str
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Constraint:
    """``a.b <= 3`` or ``a.b < c.d``: variants that break it are left out before they are run."""

    left: str
    operator: str
    right: str

    def holds(self, variant: dict[str, Any]) -> bool:
        """Whether *variant* satisfies it; keys the sweep does not vary are an error."""
        left = self._value(self.left, variant)
        right = self._value(self.right, variant)
        if self.operator == "==":
            return bool(left == right)
        if self.operator == "!=":
            return bool(left != right)
        try:
            return bool({"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[self.operator])
        except TypeError:
            raise InputError(
                f"--where {self.left}{self.operator}{self.right}: {left!r} and {right!r} cannot be ordered"
            ) from None

    @staticmethod
    def _value(text: str, variant: dict[str, Any]) -> Any:
        if text in variant:
            return variant[text]
        value = parse_value(text, f"--where {text}")
        if isinstance(value, str) and "." in value:
            raise InputError(f"--where: {text!r} is not a varied key; varied: {', '.join(variant)}")
        return value


def parse_axis(text: str, base: Path, seed: int) -> Axis:
    """One ``--vary`` argument. *base* is the folder that relative globs refer to."""
    key, separator, spec = text.partition("=")
    if not separator or not key or not spec:
        raise InputError(f"--vary {text}: expected KEY=a,b or KEY=lo:hi:logN")
    match = _RANGE.fullmatch(spec)
    if match:
        return Axis(key, tuple(_range(text, match, random.Random(f"{seed}/{key}"))))
    if re.search(r":(lin|log|rand)", spec):
        raise InputError(f"--vary {text}: expected lo:hi:linN, lo:hi:logN, lo:hi:randN or lo:hi:lograndN")
    if any(mark in spec for mark in "*?["):
        pattern = spec if Path(spec).is_absolute() else str(base / spec)
        files = sorted(glob.glob(pattern)) or sorted(glob.glob(spec))
        if not files:
            raise InputError(f"--vary {text}: no file matches {pattern}")
        return Axis(key, tuple(str(Path(file).resolve()) for file in files))
    values = parse_value(f"[{spec}]", f"--vary {text}")
    return Axis(key, tuple(values))


def _range(text: str, match: re.Match[str], generator: random.Random) -> Iterator[float]:
    try:
        low, high, count = float(match["lo"]), float(match["hi"]), int(match["n"])
    except ValueError:
        raise InputError(f"--vary {text}: the ends of a range must be numbers") from None
    kind = match["kind"]
    if count < 1 or count > MAX_VARIANTS:
        raise InputError(f"--vary {text}: a range needs 1 to {MAX_VARIANTS} points")
    if "log" in kind and (low <= 0 or high <= 0):
        raise InputError(f"--vary {text}: a logarithmic range needs ends above zero")
    for index in range(count):
        share = generator.random() if "rand" in kind else (index / (count - 1) if count > 1 else 0.0)
        if "log" in kind:
            value = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
        else:
            value = low + share * (high - low)
        if "rand" not in kind and index in (0, count - 1):
            value = low if index == 0 else high
        yield float(f"{value:.12g}")


def parse_constraint(text: str) -> Constraint:
    """One ``--where`` argument."""
    match = _COMPARISON.fullmatch(text)
    if not match:
        raise InputError(f"--where {text}: expected KEY < VALUE (or <=, >, >=, ==, !=)")
    return Constraint(match["left"], match["op"], match["right"])


def variants(
    axes: Sequence[Axis], constraints: Sequence[Constraint] = (), sample: int | None = None, seed: int = 0
) -> list[dict[str, Any]]:
    """All combinations that satisfy the constraints, in order; with *sample*, that many drawn with *seed*."""
    keys = [axis.key for axis in axes]
    if len(set(keys)) != len(keys):
        raise InputError(f"--vary: a key is given twice: {', '.join(sorted({k for k in keys if keys.count(k) > 1}))}")
    total = math.prod(len(axis.values) for axis in axes)
    if total > MAX_VARIANTS and sample is None:
        raise InputError(f"the sweep has {total} variants, more than {MAX_VARIANTS}; use --sample N")
    if sample is not None and sample < total and total > MAX_VARIANTS:
        generator = random.Random(seed)
        drawn: list[dict[str, Any]] = []
        for _ in range(20 * sample):
            variant = {axis.key: generator.choice(axis.values) for axis in axes}
            if all(c.holds(variant) for c in constraints):
                drawn.append(variant)
            if len(drawn) == sample:
                break
        return drawn
    product = [dict(zip(keys, values, strict=True)) for values in itertools.product(*(axis.values for axis in axes))]
    kept = [variant for variant in product if all(c.holds(variant) for c in constraints)]
    if sample is not None and sample < len(kept):
        chosen = sorted(random.Random(seed).sample(range(len(kept)), sample))
        kept = [kept[index] for index in chosen]
    return kept


def assignments(variant: dict[str, Any]) -> tuple[list[str], list[str], list[str]]:
    """A variant as (overrides, platforms, backends) for a run."""
    import yaml

    overrides, platforms, backends = [], [], []
    for key, value in variant.items():
        if key == "platform":
            platforms.append(str(value))
        elif key == "backend":
            backends.append(str(value))
        else:
            text = yaml.safe_dump(value, default_flow_style=True).strip().removesuffix("...").strip()
            overrides.append(f"{key}={text}")
    return overrides, platforms, backends
