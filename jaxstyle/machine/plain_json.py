"""JSON of this project's own files, with its types checked: files are damaged now and then."""

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, NoReturn, Union, get_args, get_origin, get_type_hints

from jaxstyle.errors import DamagedError, one_line

_DIGITS = 20
"""Most digits of a whole number: those of 64 bits."""

_WORDS = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    NoneType: "null",
    list: "a list",
    tuple: "a list",
    dict: "an object",
    Mapping: "an object",
}


def parsed(text: bytes | str, kind: Any) -> Any:
    """Return the value of a JSON text, after checking that it has a type.

    Args:
        text: JSON, as bytes in UTF-8, with or without a byte order mark.
        kind: `str`, `bool`, `int`, `float` (a whole number is converted), `None`, `Any`,
            `list[kind]`, `tuple[kind, ...]`, `dict[str, kind]`, a `Literal`, a union of these, or a
            dataclass, which is made from an object that has its fields and no others.

    Raises:
        DamagedError: The text is not JSON of this type. The message is the reason alone: the caller
            adds which file it is, and what to do.

    >>> parsed('{"a": [1, 2.5]}', dict[str, list[float]])
    {'a': [1.0, 2.5]}
    """
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8-sig")
        value = json.loads(
            text,
            object_pairs_hook=_without_repetitions,
            parse_constant=_no_number,
            parse_int=_whole_number,
            parse_float=_number,
        )
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"is not valid JSON: {one_line(error)}") from None
    for each in _texts_in(value):
        _check_text(each)
    return checked(value, kind)


def checked(value: Any, kind: Any, where: str = "") -> Any:
    """Return a value of JSON as its type, after checking that it has it.

    Args:
        value: The value.
        kind: As of `parsed`.
        where: A name for the value in the message.

    Raises:
        DamagedError: It has another type.
    """
    outer, inner = get_origin(kind) or kind, get_args(kind)
    if kind is Any:
        return value
    if is_dataclass(kind) and isinstance(value, dict):
        return _record(value, kind, where)
    if outer in (Union, UnionType):
        return _one_of(value, inner, where)
    if outer is Literal and any(value == each and type(value) is type(each) for each in inner):
        return value
    if outer in (dict, Mapping) and isinstance(value, dict):
        return {n: checked(each, inner[1], _inside(where, n)) for n, each in value.items()}
    if outer in (list, tuple) and isinstance(value, list):
        return outer(checked(each, inner[0], _inside(where, "")) for each in value)
    if kind is float and type(value) in (int, float):
        with suppress(OverflowError):
            return float(value)
    if type(value) is kind or (kind is None and value is None):
        return value
    wanted = _WORDS.get(outer, "an object" if is_dataclass(kind) else "one of its values")
    problem = f"must be {wanted}, not {_WORDS.get(type(value), 'an array')}"
    raise DamagedError(f"{where} {problem}" if where else problem)


def _without_repetitions(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is there twice")
    return found


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number of JSON")


def _whole_number(text: str) -> int:
    if len(text) > _DIGITS:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return value


def _texts_in(value: Any) -> Iterator[str]:
    """Yield every text in a value, the names in objects too; without recursion."""
    left = [value]
    while left:
        each = left.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, dict):
            left += [*each, *each.values()]
        elif isinstance(each, list):
            left += each


def _check_text(text: str) -> None:
    """Raise DamagedError for a text that cannot even be a file's name."""
    try:
        if b"\0" in os.fsencode(text):
            raise DamagedError("has a text with a null character")
    except UnicodeEncodeError:
        raise DamagedError("has a text that is not Unicode") from None


def _one_of(value: Any, kinds: tuple[Any, ...], where: str) -> Any:
    """Return a value as the first of several types that it has."""
    if value is None and NoneType in kinds:
        return None
    kinds = tuple(kind for kind in kinds if kind is not NoneType)
    for kind in kinds[:-1]:
        with suppress(DamagedError):
            return checked(value, kind, where)
    return checked(value, kinds[-1], where)


def _record(value: dict[str, Any], kind: Any, where: str) -> Any:
    """Return an object as a dataclass."""
    hints = get_type_hints(kind)
    for name in value.keys() - hints.keys():
        raise DamagedError(f"{_inside(where, name)} is not known")
    for field in fields(kind):
        needed = field.default is MISSING and field.default_factory is MISSING
        if needed and field.name not in value:
            raise DamagedError(f"{_inside(where, field.name)} is missing")
    return kind(**{n: checked(each, hints[n], _inside(where, n)) for n, each in value.items()})


def _inside(where: str, name: str) -> str:
    """Return the name of a part of a value; `name` is empty for one of a list."""
    return f"{where}.{name}"[:100] if where and name else f"one of {where}" if where else name
