"""What all HTML pages share: style, plots that one can zoom, and nothing fetched from elsewhere.

Text goes through Jinja's autoescape; plot data travels as JSON in which ``<`` is escaped; ``plotly.min.js`` lies
beside the page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from emulab.compare.embedding import script_json
from emulab.model.record import write_bytes, write_text

Figure = Mapping[str, Any]
"""``title``, ``note``, and Plotly's ``data`` and ``layout`` as plain data."""


def write_page(file: Path, template: str, figures: Sequence[Figure], **values: Any) -> Path:
    """Render *template* (of ``compare/templates`` or ``report/templates``) with its plots into *file*.

    ToolError where the disk or the folder does not let us.
    """
    import jinja2

    loader = jinja2.ChoiceLoader([jinja2.PackageLoader("emulab.compare"), jinja2.PackageLoader("emulab.report")])
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    data = script_json([{"data": f["data"], "layout": f["layout"]} for f in figures], default=str)
    text = environment.get_template(template).render(plots=figures, plot_json=data, **values)
    if figures:
        from plotly.offline import get_plotlyjs

        write_bytes(file.parent / "plotly.min.js", get_plotlyjs().encode())
    return write_text(file, text)


def si_axis(unit: str, label: str = "", logarithmic: bool = False) -> dict[str, Any]:
    """Layout of an axis whose ticks read ``10 mA``."""
    axis: dict[str, Any] = {"ticksuffix": unit, "exponentformat": "SI", "minexponent": 0}
    if label:
        axis["title"] = {"text": label}
    if logarithmic:
        axis |= {"type": "log", "dtick": "D2"}
    return axis
