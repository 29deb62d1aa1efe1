"""Settings as text: read from flags and manifest cells by type hint, and written as flags.

Text that cannot be parsed raises a ValueError of one line. Ranges and choices are checked later, in
`jaxstyle.settings.checks`.
"""

import shlex
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jaxstyle.machine.command_line import flag
from jaxstyle.settings._settings import MASKS

_TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def reader(hint: Any) -> Callable[[str], Any]:
    """Return the function that parses text into a value of this type hint.

    >>> reader(tuple[int, ...])("300, 1e2")
    (300, 100)
    >>> reader(dict[str, float])("relu1_1=2,relu2_1")
    {'relu1_1': 2.0, 'relu2_1': 1.0}
    """
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        parts = typing.get_args(hint)
        read = reader(parts[0])
        return _unless_empty(read) if types.NoneType in parts else read
    if typing.get_origin(hint) is tuple:
        return _comma_separated(reader(typing.get_args(hint)[0]))
    if typing.get_origin(hint) is dict:
        return _shares
    if typing.get_origin(hint) is typing.Literal:
        return str
    readers = {bool: truth, int: whole_number, float: number, str: str}
    return readers[hint]


def written(value: Any) -> str:
    """Return the text of a value as flags take it, which `reader` turns back into the value.

    >>> written((40, 26)), written({"relu1_1": 20.0, "relu2_1": 1.0}), written(None)
    ('40,26', 'relu1_1=20,relu2_1', '')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ",".join(n if share == 1 else f"{n}={written(share)}" for n, share in value.items())
    if isinstance(value, tuple | list):
        return ",".join(map(written, value))
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return "" if value is None else str(value)


def flags_of(settings: Mapping[str, Any]) -> str:
    """Return settings as flags of the command line, quoted for a shell.

    >>> flags_of({"style_weight": 1e5, "style_layers": {"relu1_1": 0.2}, "clamp": False})
    '--style-weight 100000 --style-layers relu1_1=0.2 --no-clamp'
    """
    return shlex.join(word for name, value in settings.items() for word in _words_of(name, value))


def _words_of(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, bool):
        yield flag(name if value else f"no_{name}")
        return
    for text in value or [""] if name in MASKS else [written(value)]:
        # A path may begin with a dash, as flags do.
        yield from [f"{flag(name)}={text}"] if text.startswith("-") else [flag(name), text]


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


def _unless_empty(read: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda text: read(text) if text.strip() else None


def _comma_separated(read: Callable[[str], Any]) -> Callable[[str], tuple]:
    return lambda text: tuple(read(part.strip()) for part in text.split(",") if part.strip())


def _shares(text: str) -> dict[str, float]:
    """Parse ``relu1_1=2,relu2_1`` into factors by layer name."""
    parts = (part.partition("=") for part in text.split(",") if part.strip())
    return {name.strip(): number(share) if equals else 1.0 for name, equals, share in parts}
