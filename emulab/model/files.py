"""Reading what users give: ordinary files of bounded size, and YAML as data, each key once and aliases in reason."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from emulab.errors import InputError

MAX_YAML_BYTES = 4 << 20
"""A scenario takes kilobytes; samples and traces belong in files beside it."""
MAX_NODES = 200_000
"""Values of one YAML file with every alias written out."""
MAX_DEPTH = 50
_NESTING_MARKS = 5000
"""With fewer characters that open a level, no file of ``MAX_YAML_BYTES`` is nested deep enough to do harm."""


def read_input(file: Path, limit_bytes: int, what: str) -> bytes:
    """Content of an ordinary file. InputError where it is none, cannot be read, or is larger than *limit_bytes*.

    A device or a pipe is refused unread: it may have no end. *what* says in words what was expected.
    """
    try:
        if file.exists() and not file.is_file():
            kind = "a folder" if file.is_dir() else "not an ordinary file"
            raise InputError.at(file, "", f"is {kind}; expected {what}")
        size = file.stat().st_size
        if size > limit_bytes:
            raise InputError.at(file, "", f"has {size} bytes, more than {what} may ({limit_bytes})")
        return file.read_bytes()
    except FileNotFoundError:
        raise InputError.at(file, "", "no such file") from None
    except (OSError, ValueError) as error:
        raise InputError.at(file, "", f"cannot be read: {getattr(error, 'strerror', None) or error}") from None


def read_yaml(file: Path) -> dict[str, Any]:
    """Read one YAML mapping; InputError names file, line and what is wrong.

    A file that has not changed since it was last read is not parsed again: a sweep reads the same few many times.
    """
    try:
        state = file.stat()
    except FileNotFoundError:
        raise InputError.at(file, "", "no such file") from None
    except (OSError, ValueError) as error:
        raise InputError.at(file, "", f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    return copy.deepcopy(_read_yaml(file, state.st_mtime_ns, state.st_size))


@lru_cache(maxsize=256)
def _read_yaml(file: Path, mtime_ns: int, size: int) -> dict[str, Any]:
    content = read_input(file, MAX_YAML_BYTES, "a YAML file")
    try:
        data = parse_yaml(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError.at(file, "", f"cannot be read: not UTF-8 at byte {error.start}") from None
    except YamlProblem as error:
        raise InputError.at(file, error.place, f"not valid YAML: {error}") from None
    if not isinstance(data, dict):
        found = "nothing; the file is empty" if data is None else type(data).__name__
        raise InputError.at(file, "", f"expected a mapping at the top, found {found}")
    return data


class YamlProblem(Exception):
    """Text is not YAML that we take; ``str()`` is one line, ``place`` says line and column where they are known."""

    def __init__(self, message: str, place: str = "") -> None:
        self.place = place
        super().__init__(message)


def parse_yaml(text: str) -> Any:
    """One YAML document as plain data. Raises YamlProblem.

    Refused beside what is no YAML: tags that would build objects, a key given twice, values that contain themselves,
    and aliases or nesting that grow beyond ``MAX_NODES`` and ``MAX_DEPTH``.
    """
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        if sum(text.count(mark) for mark in "[{-?") > _NESTING_MARKS:
            _check_depth(yaml.parse(text, Loader=base))
        loader = base(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _weigh(node, {}, ())
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        said = [getattr(error, name, None) for name in ("context", "problem", "reason")]
        message = ": ".join(text for text in said if text) or str(error)
        raise YamlProblem(" ".join(message.split()), place) from None
    except RecursionError:
        raise YamlProblem(f"nested deeper than {MAX_DEPTH} levels") from None
    except ValueError as error:  # a number of thousands of digits, a date that is none
        raise YamlProblem(" ".join(str(error).split())) from None


def parse_value(text: str, what: str) -> Any:
    """The YAML value of a command line argument; InputError begins with *what*."""
    try:
        return parse_yaml(text)
    except YamlProblem as error:
        raise InputError(f"{what}: the value is not valid YAML: {error}") from None


def _check_depth(events: Iterable[Any]) -> None:
    """Refuse nesting that the composer, which calls itself for each level, would not survive."""
    import yaml

    depth = 0
    for event in events:
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                mark: Any = event.start_mark
                raise yaml.MarkedYAMLError(problem=f"nested deeper than {MAX_DEPTH} levels", problem_mark=mark)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _weigh(node: Any, sizes: dict[int, int], path: tuple[int, ...]) -> int:
    """Number of values in *node* with aliases written out; raises MarkedYAMLError for what is refused."""
    import yaml

    known = sizes.get(id(node))
    if known is not None:
        return known

    def refuse(message: str, at: Any = node) -> yaml.MarkedYAMLError:
        return yaml.MarkedYAMLError(problem=message, problem_mark=at.start_mark)

    if id(node) in path:
        raise refuse("a value contains itself")
    if len(path) > MAX_DEPTH:
        raise refuse(f"nested deeper than {MAX_DEPTH} levels")
    children: list[Any] = []
    if isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in lines:
                    raise refuse(f"the key {key.value!r} is given twice, first in line {lines[key.value]}", key)
                lines[key.value] = key.start_mark.line + 1
            children += [key, value]
    elif isinstance(node, yaml.SequenceNode):
        children = node.value
    size = 1 + sum(_weigh(child, sizes, (*path, id(node))) for child in children)
    if size > MAX_NODES:
        raise refuse(f"more than {MAX_NODES} values, counting what aliases stand for")
    sizes[id(node)] = size
    return size
