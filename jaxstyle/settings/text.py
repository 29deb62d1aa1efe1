"""Text to values, as flags and the cells of a manifest hold them.

Whatever cannot be read is a ValueError of one line. Whether a value makes sense is for the settings
to say.
"""

import types
import typing
from collections.abc import Callable
from typing import Any

_TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def reader(hint: Any) -> Callable[[str], Any]:
    """What makes a value of text, by the type hint of a settings dataclass.

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
    """An integer, written with or without an exponent."""
    try:
        value = float(text)
        if value == int(value):
            return int(text) if text.lstrip("+-").isdigit() else int(value)
    except (ValueError, OverflowError):
        pass
    raise ValueError(f"{text!r} is not a whole number")


def number(text: str) -> float:
    """A number; NaN and infinities are left for the settings to refuse."""
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None


def truth(text: str) -> bool:
    """True or false, as people and spreadsheets write them."""
    try:
        return _TRUTHS[text.lower()]
    except KeyError:
        raise ValueError(f"{text!r} is neither true nor false") from None


def _comma_separated(read: Callable[[str], Any]) -> Callable[[str], tuple]:
    return lambda text: tuple(read(part.strip()) for part in text.split(",") if part.strip())


def _shares(text: str) -> dict[str, float]:
    """``relu1_1=2,relu2_1`` to a share by name."""
    parts = (part.partition("=") for part in text.split(",") if part.strip())
    return {name.strip(): number(share) if equals else 1.0 for name, equals, share in parts}
