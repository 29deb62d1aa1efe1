"""Flags from the fields of a settings dataclass.

``size: int = 512`` becomes ``--size N``; a flag that is not given is not in the namespace, so that
a preset can fill it in.
"""

import argparse
import dataclasses
import typing
from collections.abc import Callable, Container
from typing import Any, NoReturn

from jaxstyle.settings import Settings
from jaxstyle.settings.text import reader

WRONG_USAGE = 2


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line, with exit status 2; flags are spelled out."""

    def __init__(self, **options: Any):
        super().__init__(**{"allow_abbrev": False, **options})

    def error(self, message: str) -> NoReturn:
        self.exit(WRONG_USAGE, f"{self.prog}: {message} (--help lists everything)\n")


ABOUT_PHOTOS = (
    *("content_mask", "style_mask", "auto_masks", "guidance"),
    *("photorealism_weight", "smooth_radius", "smooth_edge", "refine"),
)
"""Settings that mean something only where a photo is given the style of another picture."""


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
            form = {"type": argument(reader(hints[field.name])), "metavar": metavar}
        if hints[field.name] == tuple[str, ...]:  # paths, which may have commas in them
            form = {"type": str, "action": "append", "metavar": "FILE"}
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


def argument(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """A reader of text, for argparse: of its errors, this kind alone says what was wrong."""

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
