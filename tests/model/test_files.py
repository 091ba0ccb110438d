"""YAML and other input files: data only, each key once, bounded, and one line for whatever is wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulab.errors import InputError
from emulab.model.files import MAX_DEPTH, YamlProblem, parse_value, parse_yaml, read_input, read_yaml

ALIASES = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3, column 1: not valid YAML: the key 'a' is given twice, first in line 1"),
        ("x:\n  a: 1\n  a: 2\n", "line 3, column 3: not valid YAML: the key 'a' is given twice"),
        ("x: !!python/object/apply:os.system ['true']\n", "could not determine a constructor"),
        (ALIASES, "more than 200000 values, counting what aliases stand for"),
        ("x: &x {y: *x}\n", "a value contains itself"),
        ("x: " + "[" * 60 + "]" * 60, f"nested deeper than {MAX_DEPTH} levels"),
        ("x: " + "[" * 200_000 + "]" * 200_000, f"nested deeper than {MAX_DEPTH} levels"),
        ("x: " + "1" * 5000, "Exceeds the limit"),
        ("x: 2001-99-99\n", "not valid YAML: month must be in 1..12"),
        ("x: [\n", "not valid YAML"),
        ("a: 1\n---\nb: 2\n", "expected a single document"),
        ("x: \x07\n", "not valid YAML: control characters are not allowed"),
        ("- a\n", "expected a mapping at the top, found list"),
        ("", "expected a mapping at the top, found nothing; the file is empty"),
    ],
)
def test_what_is_refused_is_told_in_one_line(tmp_path: Path, text: str, expected: str) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_yaml(file)
    message = str(caught.value)
    assert expected in message and message.startswith(str(file)) and "\n" not in message and len(message) < 400


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_marks_and_line_ends_of_other_systems(tmp_path: Path, encoding: str, newline: str) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_bytes(f"name: größe{newline}x:{newline}  - 1{newline}".encode(encoding))
    assert read_yaml(file) == {"name": "größe", "x": [1]}


def test_merge_keys_and_anchors_are_yaml() -> None:
    assert parse_yaml("base: &b {x: 1, y: 2}\nmine: {<<: *b, y: 3}\n")["mine"] == {"x": 1, "y": 3}


def test_what_is_read_is_the_callers_own(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("x: [1]\n")
    read_yaml(file)["x"].append(2)
    assert read_yaml(file) == {"x": [1]}


def test_other_bytes_than_utf8(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes("name: café".encode("latin-1"))
    with pytest.raises(InputError, match="not UTF-8 at byte 9"):
        read_yaml(file)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_data_or_one_line(text: str) -> None:
    try:
        parse_yaml(text)
    except YamlProblem as error:
        assert "\n" not in f"{error.place}{error}"


def test_a_value_of_the_command_line_says_which() -> None:
    with pytest.raises(InputError, match=r"^--set a\.b: the value is not valid YAML: [^\n]*$"):
        parse_value("[", "--set a.b")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs a file without an end")
def test_a_file_without_an_end_is_not_read() -> None:
    with pytest.raises(InputError, match="/dev/zero: is not an ordinary file; expected a model"):
        read_input(Path("/dev/zero"), 100, "a model")


def test_folders_and_large_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder; expected a model"):
        read_input(tmp_path, 100, "a model")
    file = tmp_path / "m"
    file.write_bytes(bytes(101))
    with pytest.raises(InputError, match=r"has 101 bytes, more than a model may \(100\)"):
        read_input(file, 100, "a model")
    assert read_input(file, 101, "a model") == bytes(101)
    with pytest.raises(InputError, match="no such file"):
        read_input(tmp_path / "absent", 1, "a model")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_is_not_ours(tmp_path: Path) -> None:
    file = tmp_path / "m"
    file.write_bytes(b"x")
    file.chmod(0)
    with pytest.raises(InputError, match="cannot be read: Permission denied"):
        read_input(file, 1, "a model")
