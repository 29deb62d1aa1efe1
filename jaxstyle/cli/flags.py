"""Flags from the fields of a settings dataclass.

``size: int = 512`` becomes ``--size N``; a flag that is not given is not in the namespace, so that
a preset can fill it in.
"""

import argparse
import dataclasses
import types
import typing
from collections.abc import Callable, Container
from typing import Any, NoReturn

from jaxstyle.settings import Settings

WRONG_USAGE = 2


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line, with exit status 2; flags are spelled out."""

    def __init__(self, **options: Any):
        super().__init__(**{"allow_abbrev": False, **options})

    def error(self, message: str) -> NoReturn:
        self.exit(WRONG_USAGE, f"{self.prog}: {message} (--help lists everything)\n")


def add_settings(
    parser: argparse.ArgumentParser, settings: type = Settings, *, without: Container[str] = ()
) -> None:
    """One flag for every field of a settings dataclass; ``--name`` and ``--no-name`` for truths."""
    group = parser.add_argument_group("settings")
    hints = typing.get_type_hints(settings)
    for field in dataclasses.fields(settings):
        if field.name in without:
            continue
        form: dict[str, Any] = {"action": argparse.BooleanOptionalAction}
        if hints[field.name] is not bool:
            metavar = _metavar(hints[field.name], field.metadata["choices"])
            form = {"type": _reader(hints[field.name]), "metavar": metavar}
        group.add_argument(
            flag(field.name),
            dest=field.name,
            default=argparse.SUPPRESS,
            help=f"{field.metadata['help']} (default: {_shown(_default(field))})",
            **form,
        )


def given_settings(namespace: argparse.Namespace, settings: type = Settings) -> dict[str, Any]:
    """The settings that the user named, and no others."""
    names = {field.name for field in dataclasses.fields(settings)}
    return {name: value for name, value in vars(namespace).items() if name in names}


def flag(name: str) -> str:
    """The flag of a field: ``style_weight`` is ``--style-weight``."""
    return "--" + name.replace("_", "-")


def _reader(hint: Any) -> Callable[[str], Any]:
    """Text to value. Whether the value makes sense is for the settings to say."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):  # X | None
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    if typing.get_origin(hint) is tuple:
        return _comma_separated(_reader(typing.get_args(hint)[0]))
    if typing.get_origin(hint) is dict:
        return _shares
    if typing.get_origin(hint) is typing.Literal:
        return str
    readers = {int: whole_number, float: number, str: str}
    return readers[hint]


def whole_number(text: str) -> int:
    """An integer, written with or without an exponent."""
    try:
        value = float(text)
        if value == int(value):
            return int(text) if text.lstrip("+-").isdigit() else int(value)
    except (ValueError, OverflowError):
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")


def number(text: str) -> float:
    """A number; NaN and infinities are left for the settings to refuse."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None


def _comma_separated(read: Callable[[str], Any]) -> Callable[[str], tuple]:
    return lambda text: tuple(read(part.strip()) for part in text.split(",") if part.strip())


def _shares(text: str) -> dict[str, float]:
    """``relu1_1=2,relu2_1`` to a share by name."""
    parts = (part.partition("=") for part in text.split(",") if part.strip())
    return {name.strip(): number(share) if equals else 1.0 for name, equals, share in parts}


def _metavar(hint: Any, choices: tuple[str, ...]) -> str:
    if choices:
        return "{" + ",".join(choices) + "}"
    if typing.get_origin(hint) is tuple:
        return "N[,N...]"
    if typing.get_origin(hint) is dict:
        return "LAYER[=SHARE][,...]"
    return "NAME" if hint is str else "N"


def _default(field: dataclasses.Field) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ",".join(
            name if share == 1 else f"{name}={share:g}" for name, share in value.items()
        )
    if isinstance(value, tuple):
        return ",".join(f"{part:g}" for part in value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value in (None, "") else f"{value}"
