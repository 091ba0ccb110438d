"""How parts of a bench are named on the command line: ``NAME:ADDRESS,key=value,...``."""

from __future__ import annotations

from emulab.errors import InputError


def split_spec(spec: str, what: str) -> tuple[str, str, dict[str, str]]:
    """``NAME:ADDRESS,key=value`` -> (name, address, options). InputError that begins with *what* for what is no pair."""
    head, *rest = spec.split(",")
    options = {}
    for item in rest:
        key, separator, value = item.partition("=")
        if not separator:
            raise InputError(f"{what}: {item!r} is no key=value")
        options[key] = value
    name, _, address = head.partition(":")
    return name, address, options
