"""The house: imports point downward only, and files keep their size."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import emulab

PACKAGE = Path(emulab.__file__).parent
ROOMS = [
    "cli",
    "pytest_plugin",
    "api",
    "report",
    "compare",
    "sweep",
    "run",
    "energy",
    "quality",
    "dut",
    "backends",
    "lab",
    "timing",
    "probe",
    "firmware",
    "model",
]
LEAVES = {"errors", "cache", "plugins", "_callable", "__main__"}
# Types alone, or a part handed upwards by name: each with its reason.
ALLOWED = {
    ("lab", "backends"): "lab parts implement the contract of backends/base.py",
    ("energy", "backends"): "CurrentTrace is the contract's trace; co-simulation listens to a machine",
    ("probe", "timing"): "the probe prices blocks with the timing model it is given",
    ("quality", "dut"): "samples for the accuracy procedure",
}
# Programs that lie with the room they serve, and use the whole house.
PROGRAMS = {"timing/samples.py", "timing/fit.py", "timing/embench.py"}


def imports(file: Path) -> Iterator[str]:
    """Modules of emulab that *file* imports when it runs (blocks under TYPE_CHECKING do not count)."""

    def visit(node: ast.AST) -> Iterator[str]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            if isinstance(child, ast.Import):
                yield from (alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom) and child.module:
                yield child.module
            yield from visit(child)

    yield from (name for name in visit(ast.parse(file.read_text())) if name.startswith("emulab."))


@pytest.mark.parametrize("room", ROOMS)
def test_imports_point_downward(room: str) -> None:
    place = PACKAGE / room
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    wrong = []
    for file in files:
        if file.relative_to(PACKAGE).as_posix() in PROGRAMS:
            continue
        for module in imports(file):
            target = module.split(".")[1]
            if target in LEAVES or target not in ROOMS or (room, target) in ALLOWED:
                continue
            if ROOMS.index(target) < ROOMS.index(room):
                wrong.append(f"{file.relative_to(PACKAGE)} imports {module}")
    assert not wrong, "\n".join(wrong)


def test_leaves_import_nothing_but_leaves() -> None:
    for leaf in ("errors", "cache"):
        targets = {module.split(".")[1] for module in imports(PACKAGE / f"{leaf}.py")}
        assert targets <= LEAVES, f"{leaf}: {targets}"
