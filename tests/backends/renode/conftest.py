"""The fake Renode, and an ELF that Renode would load."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Makes the fake the Renode that is found; temporary files go to ``tmp_path / 'tmp'``."""
    import tempfile

    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    command = f"{sys.executable} {Path(__file__).with_name('fake_renode.py')}"
    monkeypatch.setenv("RENODE", command)
    return command
