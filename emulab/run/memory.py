"""Memory of a result: flash by section and layer, RAM by tensor, stack measured and bounded, against the limits."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from emulab.model.quantity import Quantity

if TYPE_CHECKING:
    from emulab.firmware.build import Firmware
    from emulab.firmware.image import Image
    from emulab.model.platform import Platform


def memory(
    image: Image | None, firmware: Firmware | None, platform: Platform, session: Mapping[str, Any]
) -> tuple[dict[str, Quantity], dict[str, Any]]:
    """Metrics, and ``details["memory"]``: of our own firmware as linked, of a given image what its file shows.

    *platform* is the board that was asked for, whose limits count even where another machine stood in for it.
    *session* is what the backend says of the session (``stack_bytes``, painted). Sizes in bytes.
    """
    if image is None:
        return {}, {}
    metrics: dict[str, Quantity] = {}

    def told(name: str, value: float, source: str, kind: Any = "emulated") -> None:
        metrics[name] = Quantity(value=value, unit="B", kind=kind, source=source)

    packed = sum(len(zlib.compress(data, 9)) for _, data in image.segments)
    details: dict[str, Any] = {
        "flash_by_section": {s.name: s.size for s in image.sections if s.in_file},
        "flash_bytes": image.size_bytes,
        "flash_limit_bytes": platform.flash_bytes,
        "ram_limit_bytes": platform.ram_bytes,
        "stack_painted_bytes": session.get("stack_bytes"),
    }
    if firmware is None:
        told("flash_bytes", image.size_bytes, "sections of the image" if image.sections else "size of the image")
        told("flash_deflated_bytes", packed, "the image, deflated")
        return metrics, details
    flash, ram = _limits(platform)
    details |= {
        "flash_limit_bytes": flash,
        "ram_limit_bytes": ram,
        "ram_bytes": firmware.ram_bytes,
        "stack_reserved_bytes": firmware.stack_bytes,
        "stack_bound_bytes": firmware.static_stack_bytes,
        "constants_in_ram": list(firmware.constants_in_ram),
        "layers": [
            {"symbol": layer.symbol, "op": layer.op, "code_bytes": layer.code_bytes, "weight_bytes": layer.weight_bytes}
            for layer in firmware.layers
        ],
        "kernels": _kernels(image),
        "arena": _arena(firmware),
    }
    told("flash_bytes", firmware.flash_bytes, "linked image")
    told("flash_deflated_bytes", packed, "linked image, deflated: what an update has to carry")
    told("ram_bytes", firmware.ram_bytes, "linked image, without stack")
    told("arena_bytes", firmware.arena_bytes, "arena plan")
    if firmware.static_stack_bytes is not None:
        source = "deepest chain of calls in the machine code, an interrupt on top"
        told("stack_bound_bytes", firmware.static_stack_bytes, source, "modelled")
    return metrics, details


def _kernels(image: Image) -> dict[str, int]:
    """Functions that layers share, the largest first: name -> bytes of code."""
    place = [(s.address, s.address + s.size) for s in image.sections if s.name == ".text.kernel"]
    found = {
        s.name: s.size
        for s in image.all_symbols
        if s.kind == "function" and s.size and any(low <= s.address & ~1 < high for low, high in place)
    }
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _limits(platform: Platform) -> tuple[int, int]:
    """Flash and RAM that the linker may use on the platform: what a model has to fit into."""
    from emulab.firmware.board import firmware_spec, memory_regions

    if not platform.board.firmware:  # never linked for: what the board has in all
        return platform.flash_bytes, platform.ram_bytes
    flash, ram = memory_regions(platform, firmware_spec(platform))
    return flash.size_bytes, ram.size_bytes


def _arena(firmware: Firmware) -> dict[str, Any]:
    """Buffers of the arena: what each holds, where it lies, during which operators (-1: before the first)."""
    layers = firmware.layers

    def holds(name: str, first: int) -> str:
        if name.startswith("v"):
            return "state"
        if name.startswith("s"):
            return f"scratch of {layers[first].symbol}" if 0 <= first < len(layers) else "scratch"
        if first < 0 or (first == 0 and name == "t0" and layers and layers[0].op == "TREES"):
            return "input"
        return f"output of {layers[first].symbol}" if first < len(layers) else name

    buffers = [
        {
            "name": a.name,
            "holds": holds(a.name, a.first),
            "offset": a.offset,
            "bytes": a.bytes,
            "first": a.first,
            "last": a.last,
        }
        for a in firmware.arena
    ]
    return {"bytes": firmware.arena_bytes, "buffers": buffers, "operators": [layer.symbol for layer in layers]}
