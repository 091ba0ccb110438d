"""The cache: one build per content, whole entries only, also with several processes and with Ctrl-C."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulab.cache import cache_dir, cache_key, fetch_or_build
from emulab.errors import ToolError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EMULAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_builds_once_per_content(cache: Path) -> None:
    calls = []

    def builder(folder: Path) -> None:
        calls.append(folder)
        (folder / "a.txt").write_text("content")

    first = fetch_or_build("test", ["a", 1], builder)
    assert fetch_or_build("test", ["a", 1], builder) == first
    assert fetch_or_build("test", ["a", 2], builder) != first
    assert len(calls) == 2 and (first / "a.txt").read_text() == "content"
    assert cache_dir() == cache and first.parent == cache / "test"


def test_a_path_stands_for_its_content(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("x")
    two.write_text("x")
    assert cache_key([one]) == cache_key([two])
    two.write_text("y")
    assert cache_key([one]) != cache_key([two])


parts = st.lists(st.one_of(st.text(), st.binary(), st.integers(), st.booleans(), st.none()), max_size=4)


@given(a=parts, b=parts)
def test_keys_differ_when_parts_differ(a: list[object], b: list[object]) -> None:
    same = [(type(x), x) for x in a] == [(type(x), x) for x in b]
    assert (cache_key(a) == cache_key(b)) == same  # type: ignore[arg-type]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_failed_build_leaves_nothing(cache: Path, error: type[BaseException]) -> None:
    def builder(folder: Path) -> None:
        (folder / "half").write_text("half")
        raise error

    with pytest.raises(error):
        fetch_or_build("test", ["a"], builder)
    assert [p for p in (cache / "test").iterdir() if p.is_dir()] == []
    assert (fetch_or_build("test", ["a"], lambda f: None)).is_dir()


def test_unusable_folder_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EMULAB_CACHE", str(tmp_path / "file"))
    with pytest.raises(ToolError, match="EMULAB_CACHE") as caught:
        fetch_or_build("test", ["a"], lambda f: None)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.name != "posix", reason="changes its user")
def test_a_cache_that_may_not_even_be_looked_into_is_one_line(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700 if os.geteuid() == 0 else 0)
    code = (
        "import os, sys; from pathlib import Path; from emulab.cache import fetch_or_build;"
        "os.geteuid() == 0 and os.seteuid(65534);"
        "fetch_or_build('k', ['x'], lambda folder: None)"
    )
    environment = {**os.environ, "EMULAB_CACHE": str(private / "cache")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    private.chmod(0o700)
    assert (
        "ToolError: cache " in done.stderr and "Permission denied; free some space or set EMULAB_CACHE" in done.stderr
    )


def test_full_disk_is_one_line(cache: Path) -> None:
    def builder(folder: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(ToolError, match="No space left on device; free some space"):
        fetch_or_build("test", ["a"], builder)


WORKER = """
import sys, time
from pathlib import Path
from emulab.cache import fetch_or_build
def builder(folder):
    with open(sys.argv[1], "a") as log: log.write("built\\n")
    time.sleep(0.3)
    (folder / "whole").write_text("x" * 100000)
entry = fetch_or_build("race", ["same"], builder)
assert len((entry / "whole").read_text()) == 100000
"""


def test_two_processes_build_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    workers = [subprocess.Popen([sys.executable, "-c", WORKER, str(log)]) for _ in range(3)]
    assert [w.wait(240) for w in workers] == [0, 0, 0]
    assert log.read_text() == "built\n"
