"""Command line flags made from the fields of the settings.

``size: int = 512`` becomes ``--size N``. A flag that is not given is absent from the namespace, so
that the preset's value applies.
"""

import argparse
import dataclasses
import typing
from collections.abc import Callable, Container
from typing import Any

from jaxstyle.machine.command_line import Parser, flag
from jaxstyle.settings import Settings, groups
from jaxstyle.settings.clip import ClipSettings
from jaxstyle.settings.text import reader, written

__all__ = [
    "Parser",
    "add_clip_settings",
    "add_settings",
    "argument",
    "flag",
    "flag_of",
    "given_settings",
]


def add_settings(parser: argparse.ArgumentParser, *, without: Container[str] = ()) -> None:
    """Add a flag for every setting, in their groups; booleans have ``--no-name`` too.

    Args:
      parser: the parser of a command.
      without: names of settings that the command has no flag for.
    """
    hints = typing.get_type_hints(Settings)
    for title, fields in groups().items():
        group = parser.add_argument_group(title.lower())
        for field in fields:
            if field.name not in without:
                _add_setting(group, field, hints[field.name])


def add_clip_settings(parser: argparse.ArgumentParser) -> None:
    """Add a flag for every setting that only a clip has."""
    hints, group = typing.get_type_hints(ClipSettings), parser.add_argument_group("clip")
    for field in dataclasses.fields(ClipSettings):
        _add_setting(group, field, hints[field.name])


def _add_setting(group: argparse._ArgumentGroup, field: dataclasses.Field, hint: Any) -> None:
    form: dict[str, Any] = {"action": argparse.BooleanOptionalAction}
    if hint is not bool:
        metavar = field.metadata["metavar"] or _metavar(hint, field.metadata["choices"])
        form = {"type": argument(reader(hint)), "metavar": metavar}
    if hint == tuple[str, ...]:  # a path may contain commas: repeat the flag
        form = {"type": str, "action": "append", "metavar": "FILE"}
    group.add_argument(
        field.metadata.get("flag") or flag(field.name),
        dest=field.name,
        default=argparse.SUPPRESS,
        help=f"{field.metadata['help']} (default: {written(_default(field)) or 'none'})",
        **form,
    )


def flag_of(name: str) -> str:
    """Return the flag of a setting, of a run or of a clip."""
    own = {field.name: field.metadata["flag"] for field in dataclasses.fields(ClipSettings)}
    return own.get(name) or flag(name)


def given_settings(namespace: argparse.Namespace, kind: type = Settings) -> dict[str, Any]:
    """Return only the settings that were given on the command line, of a run or of a clip.

    Args:
      namespace: the parsed arguments.
      kind: `Settings` or `ClipSettings`.
    """
    names = {field.name for field in dataclasses.fields(kind)}
    return {name: value for name, value in vars(namespace).items() if name in names}


def argument(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return ``read`` for use as an argparse type: argparse prints only its own kind of error."""

    def convert(text: str) -> Any:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert


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
