"""What to type instead: complaints about a configuration in the words of somebody who writes YAML."""

from __future__ import annotations

import datetime
import difflib
import types
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

#: Patterns of texts, and each in words.
RUN, DEVICE = r"^[A-Za-z0-9][A-Za-z0-9_-]*$", r"^(auto|cpu|cuda(:\d+)?)$"
_PATTERNS = {RUN: "letters, digits, _ and - (no blanks)", DEVICE: "auto, cpu, cuda or, of several GPUs, cuda:1"}


def complaints(error: ValidationError, top: type[BaseModel]) -> list[str]:
    """One line a complaint: the key, what is wrong, what to type.

    Parameters
    ----------
    error : ValidationError
    top : type[BaseModel]
        The section that was to be read.
    """
    return list(dict.fromkeys(_complaint(item, top) for item in _of_the_meant_alternative(error.errors())))


def section_of(annotation: Any) -> type[BaseModel] | None:
    """The section class inside an annotation such as ``Literal["auto"] | SplitMonths`` or ``list[Box]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, types.UnionType, Annotated, list):
        return next((found for part in get_args(annotation) if (found := section_of(part))), None)
    return None


def nearest(name: str, valid: Iterable[str]) -> str:
    """The valid name that looks most like ``name``."""
    choices = list(valid)
    return (difflib.get_close_matches(name, choices, 1, 0.0) or choices)[0]


def _of_the_meant_alternative(items: list[Any]) -> list[Any]:
    """Of a key with alternatives (``auto`` or a section or a number), the complaints about the one that was meant."""
    with_literal = {item["loc"][:-1] for item in items if str(item["loc"][-1:]).startswith('("literal[')}
    inside = {item["loc"][0] for item in items if _inside_alternative(item)}
    return [
        item
        for item in items
        if not (item["loc"][:-1] in with_literal and (item["type"] == "model_type" or item["loc"][-1] == "int"))
        and not (item["type"] == "literal_error" and item["loc"][0] in inside)
    ]


def _inside_alternative(item: Mapping[str, Any]) -> bool:
    return "SplitMonths" in item["loc"] and item["type"] != "model_type"


def _complaint(item: Mapping[str, Any], top: type[BaseModel]) -> str:
    place = [str(part) for part in item["loc"] if str(part) not in ("SplitMonths", "int", "literal['auto']")]
    if item["type"] == "missing" and isinstance(item["loc"][-1], int):
        place.pop()
        message = f"a list of {_length(place, top)} numbers expected (found {list(item['input'])})"
    elif item["type"] == "value_error":
        message = item["msg"].removeprefix("Value error, ")
    else:
        message = _expectation(place, item, top)
    return f"{'.'.join(place)}: {message}" if place else message


def _expectation(place: list[str], item: Mapping[str, Any], top: type[BaseModel]) -> str:
    """What was expected and what was found."""
    kind, found, context = item["type"], item["input"], item.get("ctx", {})
    if kind == "missing":
        return "missing; add it"
    if kind == "extra_forbidden":
        valid = list(_section_at(place[:-1], top).model_fields)
        return f"unknown key; the nearest valid key is {nearest(place[-1], valid)!r} (valid: {', '.join(valid)})"
    if kind == "model_type":
        keys = ", ".join(_section_at(place, top).model_fields)
        if found is None:
            return f"nothing stands below it; give it keys ({keys}) or take it out"
        return f"keys expected ({keys}), found {found!r}"
    if kind == "literal_error":
        annotation = _annotation(place, top)
        number = "a whole number or " if int in get_args(annotation) else ""
        section = section_of(annotation)
        lists = f", or keys ({', '.join(section.model_fields)})," if section else ""
        return f"{number}{context['expected']}{lists} expected (found {found!r})"
    if kind == "string_pattern_mismatch":
        return f"{_PATTERNS.get(context['pattern'], context['pattern'])} expected (found {found!r})"
    if kind == "string_type" and isinstance(found, int | float | datetime.date):
        return f'a text expected, found {found}: put it in quotes, "{found}"'
    if kind in ("list_type", "tuple_type"):
        inside = found if isinstance(found, str | int | float) else "..."
        return f"a list expected: put it in brackets, [{inside}] (found {found!r})"
    if kind == "too_long":
        return f"a list of {_length(place, top)} numbers expected (found {list(found)})"
    return f"{item['msg']} (found {found!r})"


def _section_at(place: list[str], top: type[BaseModel]) -> type[BaseModel]:
    section = top
    for name in (part for part in place if not part.isdigit()):
        section = section_of(section.model_fields[name].annotation) or section
    return section


def _annotation(place: list[str], top: type[BaseModel]) -> Any:
    """The type of a key; the last part of its place may be a position in a list."""
    *above, name = [part for part in place if not part.isdigit()]
    annotation = _section_at(above, top).model_fields[name].annotation
    return get_args(annotation)[0] if get_origin(annotation) is list else annotation


def _length(place: list[str], top: type[BaseModel]) -> int:
    return len(get_args(_annotation(place, top)))
