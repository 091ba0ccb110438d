"""``emulab list``: what there is to choose from."""

from __future__ import annotations

import argparse
from collections.abc import Callable

WHAT = ("platforms", "backends", "scenarios", "ops", "published", "parts", "timing", "assets", "bench", "metrics")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", nargs="?", choices=WHAT, default="platforms")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(args: argparse.Namespace) -> int:
    from emulab.cli.show import console, print_rows

    rows = ROWS[args.what]()
    if args.json:
        import json

        print(json.dumps(rows, indent=1))
        return 0
    print_rows(console(), args.what, rows, optional=("source", "board", "sha256", "SoC"))
    return 0


def _platforms() -> list[dict[str, str]]:
    from emulab.model.platform import load_platform, platform_names
    from emulab.report.units import engineering, size

    rows = []
    for name in platform_names():
        platform = load_platform(name).platform
        rows.append(
            {
                "name": name,
                "board": platform.board.title,
                "SoC": platform.soc.name,
                "core": platform.core.name,
                "clock": engineering(platform.board.clock_hz, "Hz"),
                "flash": size(platform.flash_bytes),
                "RAM": size(platform.ram_bytes),
                "energy": "yes" if platform.power else "no",
            }
        )
    return rows


def _backends() -> list[dict[str, str]]:
    from emulab.backends.base import iterate_backends

    rows = []
    for backend in iterate_backends():
        state = backend.available()
        rows.append(
            {
                "name": backend.name,
                "available": state.version or "yes" if state.available else "no",
                "capabilities": ", ".join(sorted(backend.capabilities)),
                "": state.reason,
            }
        )
    return rows


def _scenarios() -> list[dict[str, str]]:
    from emulab.model.scenario import load_scenario, scenario_names

    rows = []
    for name in scenario_names():
        scenario = load_scenario(name).scenario
        targets = ", ".join(dict.fromkeys(p for t in scenario.targets for p in t.platforms))
        rows.append({"name": name, "title": scenario.title, "platforms": targets})
    return rows


def _ops() -> list[dict[str, str]]:
    from emulab.firmware.codegen import SUPPORTED_OPS

    return [
        {"operator": name, "types": op.types, "kernels": op.kernels, "what": op.description}
        for name, op in sorted(SUPPORTED_OPS.items())
    ]


def _published() -> list[dict[str, str]]:
    from emulab.report.units import engineering
    from emulab.run.published import list_published

    return [
        {
            "key": row.key,
            "model": row.model,
            "board": row.board,
            "latency": "" if row.latency_s is None else engineering(row.latency_s, "s"),
            "energy": "" if row.energy_j is None else engineering(row.energy_j, "J"),
            "source": row.source,
        }
        for row in list_published()
    ]


def _parts() -> list[dict[str, str]]:
    from emulab.model.files import read_yaml
    from emulab.model.platform import search_path

    rows = []
    for folder in search_path("platforms"):
        for file in sorted((folder / "parts").glob("*.yaml")):
            data = read_yaml(file)
            rows.append({"name": file.stem, "kind": str(data.get("kind", "")), "title": str(data.get("title", ""))})
    return rows


def _timing() -> list[dict[str, str]]:
    from emulab.timing import timing_models

    return [{"model": name} for name in timing_models()]


def _assets() -> list[dict[str, str]]:
    from emulab.run.assets import ASSETS, find

    return [
        {"asset": a.path, "licence": a.licence, "here": "yes" if find(a.path) else "no", "sha256": a.sha256[:16]}
        for a in ASSETS.values()
    ]


def _metrics() -> list[dict[str, str]]:
    from emulab.model.metrics import METRICS

    return [{"metric": name, "what": what} for name, what in METRICS.items()]


def _bench() -> list[dict[str, str]]:
    """Consoles, power monitors and flash loaders; what each is stands first in its module's docstring."""
    import re
    from importlib import import_module

    from emulab.lab.consoles import FORMS
    from emulab.lab.flash import loader_names
    from emulab.lab.power import monitor_names

    rows = [{"option": f"--serial {form}", "what": what} for form, what in FORMS.items()]
    for option, names in (("--power", monitor_names()), ("--flash", loader_names())):
        for name, target in names.items():
            try:
                text = import_module(target.partition(":")[0]).__doc__ or ""
            except ImportError as error:
                text = f"its driver does not load: {error}"
            match = re.match(r"(.+?): ``(--[^`]+)``", text)
            rows.append(
                {
                    "option": match[2] if match else f"{option} {name}",
                    "what": match[1] if match else text.partition("\n")[0],
                }
            )
    return rows


ROWS: dict[str, Callable[[], list[dict[str, str]]]] = {
    "platforms": _platforms,
    "backends": _backends,
    "scenarios": _scenarios,
    "ops": _ops,
    "published": _published,
    "parts": _parts,
    "timing": _timing,
    "assets": _assets,
    "bench": _bench,
    "metrics": _metrics,
}
