"""JSON that can stand inside a ``<script>`` element whatever names it holds."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


def script_json(value: Any, default: Callable[[Any], Any] = float) -> Any:
    """*value* as JSON without ``&``, ``<`` or ``>``, marked as safe for templates. ValueError for NaN and infinity."""
    from markupsafe import Markup

    text = json.dumps(value, allow_nan=False, default=default)
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))
