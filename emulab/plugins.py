"""Parts found by name: what is built in, and what other packages add through entry points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emulab.errors import InputError


class Registry:
    """Names of one kind of part -> ``module:attribute``; a module is imported when its part is asked for."""

    def __init__(self, group: str, builtin: Mapping[str, str]) -> None:
        self._group, self._builtin = group, dict(builtin)

    def names(self) -> dict[str, str]:
        """Name -> ``module:attribute`` of all parts, built in and from the entry points of the group."""
        from importlib.metadata import entry_points

        return {**self._builtin, **{point.name: point.value for point in entry_points(group=self._group)}}

    def load(self, name: str, unknown: str) -> Any:
        """The attribute behind *name*.

        InputError reads *unknown*, then the closest name or all of them; ImportError or AttributeError when the
        module does not load.
        """
        import difflib
        from importlib import import_module

        names = self.names()
        if name not in names:
            close = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
            raise InputError(
                f"{unknown}; " + (f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names)}")
            )
        module, _, attribute = names[name].partition(":")
        return getattr(import_module(module), attribute)
