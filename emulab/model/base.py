"""What all schemas share: strict models, and validation errors turned into one line with a suggestion."""

from __future__ import annotations

import difflib
import re
import reprlib
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from emulab.errors import InputError

ModelT = TypeVar("ModelT", bound=BaseModel)


class Schema(BaseModel):
    """Base of every schema: unknown keys are errors, numbers are finite, values are not changed after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False)


def _file_name(name: str) -> str:
    if not re.fullmatch(r"[^\W_](?:[\w .()+-]{0,78}[\w)+])?", name):
        raise ValueError("expected 1 to 80 letters, digits, blanks or ._+-() that begin with a letter or digit")
    return name


FileName = Annotated[str, AfterValidator(_file_name)]
"""A name that files and folders are called after: no separators, no control characters, of any script."""


def _known_keys(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Names that would have been valid at *location*; empty where the schema cannot tell."""
    from typing import get_args

    current: Any = model
    for part in location:
        candidates: list[Any] = [current]
        found = None
        while candidates:
            candidate = candidates.pop()
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                for name, field in candidate.model_fields.items():
                    if part in (name, field.alias):
                        found = field.annotation
            elif isinstance(part, int) or get_args(candidate):
                candidates.extend(get_args(candidate))
        if found is None:
            # dict value, list item or a tag of a union: descend into the arguments
            args = [a for a in get_args(current) if a is not type(None) and a is not str]
            if not args:
                continue
            found = args[-1]
        current = found
    names: list[str] = []
    pending = [current]
    while pending:
        candidate = pending.pop()
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            names += [field.alias or name for name, field in candidate.model_fields.items()]
        else:
            pending.extend(get_args(candidate))
    return names


def _place(location: tuple[int | str, ...], data: object) -> str:
    """Dotted path of a problem; list items that have a name are followed by it: ``phases.0 (talk).bytes``."""
    words: list[str] = []
    for part in location:
        if str(part).startswith("function-"):
            continue
        words.append(str(part))
        if isinstance(data, dict):
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
            name = data.get("name") if isinstance(data, dict) else None
            if isinstance(name, str):
                words[-1] += f" ({reprlib.repr(name)[1:-1]})"
        else:
            data = None
    return ".".join(words)


def explain(error: ValidationError, model: type[BaseModel], file: object, data: object = None) -> InputError:
    """Turn the first problem of a pydantic error into one line: file, place, expected, found, closest key.

    With *data*, what was validated, the place tells list items by their name too.
    """
    problems = error.errors(include_url=False)
    # a misspelt key shows up as a missing one too: say the misspelling
    problem = next((item for item in problems if item["type"] == "extra_forbidden"), problems[0])
    location = problem["loc"]
    place = _place(location, data)
    if problem["type"] == "extra_forbidden":
        key = str(location[-1])
        known = _known_keys(model, location[:-1])
        close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]!r}?" if close else f"valid keys: {', '.join(sorted(known)) or 'none'}"
        return InputError.at(file, place, f"unknown key {key!r}; {hint}")
    if problem["type"] == "missing":
        return InputError.at(file, place, "required key is missing")
    message = problem["msg"].removeprefix("Value error, ")
    found = problem.get("input")
    shown = "" if isinstance(found, dict | list) or found is None else f" (found {reprlib.repr(found)})"
    more = len(problems) - 1
    tail = f"; and {more} more problem{'s' if more > 1 else ''}" if more else ""
    return InputError.at(file, place, f"{message}{shown}{tail}")


def validate(model: type[ModelT], data: Any, file: object) -> ModelT:
    """Validate *data* as *model*; InputError names *file* and the key."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise explain(error, model, file, data) from None
