"""``emulab build``: an ELF from a model or from a scenario's application, for a board and every emulator of it."""

from __future__ import annotations

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, metavar="MODEL", help="a .tflite model, or a scenario with an application")
    parser.add_argument("--platform", required=True, metavar="P", help="board to build for (emulab list platforms)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="ELF to write (default: <model>-<platform>.elf)")
    parser.add_argument("--toolchain", choices=["zig", "gnu"], default="zig")
    parser.add_argument(
        "--mode", choices=["performance", "energy"], default="performance", help="how the DUT timestamps"
    )
    parser.add_argument("--model-id", default="", metavar="ID", help="what the DUT answers to profile%% (kws01, ...)")
    parser.add_argument("--kernels", default="auto", help="auto, portable, arm_dsp, ...")
    parser.add_argument("--optimise", default="O2", help="O2, O3, Os")
    parser.add_argument("--json", action="store_true", help="print what was built as JSON")


def run(args: argparse.Namespace) -> int:
    from emulab.cli.show import console, print_rows, progress
    from emulab.errors import InputError
    from emulab.firmware.build import BuildOptions, build
    from emulab.model.platform import load_platform
    from emulab.model.record import write_bytes
    from emulab.model.scenario import scenario_names
    from emulab.report.units import size

    if args.model.is_dir() or args.model.suffix in (".yaml", ".yml") or str(args.model) in scenario_names():
        return _application(args)
    if not args.model.is_file():
        raise InputError(f"{args.model}: no such file")
    platform = load_platform(args.platform).platform
    options = BuildOptions(
        model_id=args.model_id or args.model.stem,
        mode=args.mode,
        toolchain=args.toolchain,
        optimise=args.optimise,
        kernels=args.kernels,
    )
    with progress(quiet=args.json) as step:
        step(platform.name, "build")
        firmware = build(args.model, platform, options=options)
    target = args.output or Path(f"{args.model.stem}-{platform.name}.elf")
    write_bytes(target, firmware.elf.read_bytes())
    if args.json:
        import json

        sections = dict(firmware.flash_by_section)
        print(
            json.dumps(
                {
                    "elf": str(target),
                    "sha256": firmware.image.sha256,
                    "flash_bytes": firmware.flash_bytes,
                    "ram_bytes": firmware.ram_bytes,
                    "arena_bytes": firmware.arena_bytes,
                    "stack_bytes": firmware.stack_bytes,
                    "flash_by_section": sections,
                    "toolchain": firmware.toolchain,
                },
                indent=1,
            )
        )
        return 0
    screen = console()
    rows = [
        {
            "layer": layer.symbol,
            "flash": size(layer.flash_bytes),
            "weights": size(layer.weight_bytes),
            "MACs": f"{layer.macs:,}",
            "output": "x".join(map(str, layer.output_shape)),
        }
        for layer in firmware.layers
    ]
    print_rows(screen, f"{args.model.name} on {platform.name}", rows)
    arena = size(firmware.arena_bytes)
    screen.print(
        f"flash {size(firmware.flash_bytes)} of {size(platform.flash_bytes)}, RAM {size(firmware.ram_bytes)} + stack "
        f"{size(firmware.stack_bytes)} of {size(platform.ram_bytes)} (arena {arena}), {firmware.toolchain}"
    )
    screen.print(str(target), style="dim", markup=False)
    return 0


def _application(args: argparse.Namespace) -> int:
    """Build a scenario's application; its own ``build:`` says with what."""
    from emulab.cli.show import console, progress
    from emulab.model.platform import load_platform
    from emulab.model.record import write_bytes
    from emulab.model.scenario import load_scenario
    from emulab.report.units import size
    from emulab.run.cosim import build_firmware

    loaded = load_scenario(args.model)
    platform = load_platform(args.platform).platform
    with progress(quiet=args.json) as step:
        step(platform.name, "build the application")
        firmware = build_firmware(loaded, platform)
    target = args.output or Path(f"{loaded.scenario.name}-{platform.name}.elf")
    write_bytes(target, firmware.elf.read_bytes())
    if args.json:
        import json

        told = {"elf": str(target), "sha256": firmware.image.sha256, "toolchain": firmware.toolchain}
        sizes = {name: getattr(firmware, name) for name in ("flash_bytes", "ram_bytes", "stack_bytes")}
        print(json.dumps({**told, **sizes}, indent=1))
        return 0
    screen = console()
    screen.print(
        f"flash {size(firmware.flash_bytes)} of {size(platform.flash_bytes)}, RAM {size(firmware.ram_bytes)} + stack "
        f"{size(firmware.stack_bytes)} of {size(platform.ram_bytes)}, {firmware.toolchain}"
    )
    screen.print(str(target), style="dim", markup=False)
    return 0
