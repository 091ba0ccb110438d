"""The HTML report in a real browser: its plots draw, nothing is fetched, it fits a phone."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from emulab.model.quantity import Quantity
from emulab.model.record import LayerRow, Provenance, Result, RunRecord, WindowRecord
from emulab.report.html import plots, write_html

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs a headless Chromium: apt install chromium")


@pytest.fixture
def report(tmp_path: Path) -> tuple[Path, int]:
    layers = [
        LayerRow(name="CONV_2D", symbol=f"emulab_layer_{i}_conv_2d", cycles=100.0 * i, macs=10) for i in range(1, 6)
    ]
    window = WindowRecord(name="inference", start_s=0, stop_s=1, layers=layers)
    result = Result(
        platform="nucleo-l4r5zi",
        backend="unicorn",
        status="passed",
        metrics={
            "latency_s": Quantity(value=0.005, unit="s"),
            "flash_bytes": Quantity(value=30000, unit="B", kind="emulated"),
            "battery_life_s": Quantity(value=1e7, unit="s"),
        },
        windows=[window],
        artifacts={"current_trace": "trace.csv"},
        details={"energy_by_component_j": {"core": 1e-3, "imu": 2e-3}},
    )
    rows = "".join(f"{i},{1 + i % 7},{1},{9}\n" for i in range(2000))
    (tmp_path / "trace.csv").write_text("Timestamp(ms),Current(uA),Min(uA),Max(uA)\n" + rows)
    record = RunRecord(
        scenario={"name": "x", "title": "A title"},
        provenance=Provenance(emulab="0", hashes={"firmware of a long name": "0123456789abcdef" * 4}),
        results=[result],
    )
    return write_html(record, tmp_path), len(plots(record, tmp_path))


def browse(page: Path, profile: Path, width: int) -> str:
    """The page's DOM after its scripts ran."""
    assert CHROMIUM is not None
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
    flags += ["--disable-background-networking", "--disable-component-update", f"--user-data-dir={profile}"]
    flags += [f"--window-size={width},900", "--virtual-time-budget=8000", "--dump-dom", page.as_uri()]
    done = subprocess.run([CHROMIUM, *flags], capture_output=True, text=True, timeout=120)
    return done.stdout


@pytest.mark.parametrize("width", [1200, 390])
def test_every_plot_draws(report: tuple[Path, int], tmp_path: Path, width: int) -> None:
    page, count = report
    # In a frame: a window of the browser is no narrower than 500 pixels. The page tells what it drew, what it would
    # have to be scrolled sideways for, and what went wrong.
    probe = (
        "<script>const wrong = []; addEventListener('error', e => wrong.push(e.message));"
        "addEventListener('load', () => setTimeout(() => parent.postMessage(['told', innerWidth,"
        " Math.max(0, document.documentElement.scrollWidth - innerWidth),"
        " document.querySelectorAll('.js-plotly-plot').length, wrong.length].join(':'), '*'), 3000));</script><style>"
    )
    page.write_text(page.read_text().replace("<style>", probe, 1))
    frame = tmp_path / "frame.html"
    frame.write_text(
        f'<iframe src="{page.name}" width="{width}" height="800" style="border:0"></iframe>'
        "<script>addEventListener('message', e => document.title = e.data);</script>"
    )
    dom = browse(frame, tmp_path / "profile", 1300)
    told = re.search(r"<title>told:(\d+):(\d+):(\d+):(\d+)</title>", dom)
    assert told is not None, dom[:2000]
    assert [int(value) for value in told.groups()] == [width, 0, count, 0]
    assert count == 4
    assert not re.search(r'(src|href)="https?://', page.read_text())
