"""Parsing of flags and manifest cells: text to values by type hint.

Text that cannot be parsed raises a ValueError of one line. Ranges and choices are checked later, in
`jaxstyle.settings.checks`.
"""

import types
import typing
from collections.abc import Callable
from typing import Any

_TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def reader(hint: Any) -> Callable[[str], Any]:
    """Return the function that parses text into a value of this type hint.

    >>> reader(tuple[int, ...])("300, 1e2")
    (300, 100)
    >>> reader(dict[str, float])("relu1_1=2,relu2_1")
    {'relu1_1': 2.0, 'relu2_1': 1.0}
    """
    if typing.get_origin(hint) in (types.UnionType, typing.Union):  # X | None
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    if typing.get_origin(hint) is tuple:
        return _comma_separated(reader(typing.get_args(hint)[0]))
    if typing.get_origin(hint) is dict:
        return _shares
    if typing.get_origin(hint) is typing.Literal:
        return str
    readers = {bool: truth, int: whole_number, float: number, str: str}
    return readers[hint]


def whole_number(text: str) -> int:
    """Parse an integer, written with or without an exponent."""
    try:
        value = float(text)
        if value == int(value):
            return int(text) if text.lstrip("+-").isdigit() else int(value)
    except (ValueError, OverflowError):
        pass
    raise ValueError(f"{text!r} is not a whole number")


def number(text: str) -> float:
    """Parse a number; NaN and infinities pass, since the settings refuse them."""
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None


def truth(text: str) -> bool:
    """Parse true or false, yes or no, 1 or 0, in any case of letters."""
    try:
        return _TRUTHS[text.lower()]
    except KeyError:
        raise ValueError(f"{text!r} is neither true nor false") from None


def _comma_separated(read: Callable[[str], Any]) -> Callable[[str], tuple]:
    return lambda text: tuple(read(part.strip()) for part in text.split(",") if part.strip())


def _shares(text: str) -> dict[str, float]:
    """Parse ``relu1_1=2,relu2_1`` into factors by layer name."""
    parts = (part.partition("=") for part in text.split(",") if part.strip())
    return {name.strip(): number(share) if equals else 1.0 for name, equals, share in parts}
