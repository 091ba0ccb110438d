"""Every command line that the README and the docs show is one that the command line takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from emulab.cli import VERBS, _parser

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINE = re.compile(r"^(?:    |\$ )(?:.*&& )?(?:[A-Z_]+=\S+ )*emulab (.+)$")
INLINE = re.compile(r"`emulab ([^`]+)`")


def commands() -> list[tuple[str, str]]:
    """(place, words after ``emulab``) of every command line shown."""
    found = []
    for page in PAGES:
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
            shown = LINE.match(line)
            for words in [shown[1]] if shown else INLINE.findall(line):
                found.append((f"{page.relative_to(ROOT)}:{number}", words))
    return found


def test_there_are_some() -> None:
    assert len(commands()) > 40
    assert {words.split()[0] for _, words in commands()} <= VERBS.keys()
    assert VERBS.keys() - {words.split()[0] for _, words in commands()} == set()


@pytest.mark.parametrize(("place", "text"), commands())
def test_it_parses(place: str, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(text, comments=True)
    if len(words) < 2:  # a verb mentioned in passing
        return
    try:
        _parser(words[0]).parse_args(words)
    except SystemExit as stopped:
        pytest.fail(f"{place}: emulab {text}: {capsys.readouterr().err or stopped}")
