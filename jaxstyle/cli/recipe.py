"""``--from`` and ``--upscale``: the recipe in the metadata of a picture."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jaxstyle import images
from jaxstyle.errors import DamagedError, ImageError, SettingError
from jaxstyle.machine.plain_json import parsed
from jaxstyle.runs.recipe import Recipe, Recorded
from jaxstyle.settings import resolve

CUSTOM = "custom"
"""What a recipe says of an Optax transformation."""

INSTEAD = "give CONTENT, STYLE and settings instead"


@dataclass(frozen=True)
class Description:
    """What a picture says about how it was made.

    Attributes:
      jaxstyle: its recipe.
      settings: settings without the pictures: of arrays, of URLs or, from Python, of a texture.
      texture: settings and style pictures of ``jaxstyle texture``.
      command: another command that made it.
      interrupted: how far a run had come that ended early.
    """

    jaxstyle: Recorded | None = None
    settings: dict[str, Any] | None = None
    texture: dict[str, Any] | None = None
    command: str | None = None
    interrupted: dict[str, Any] | None = None


def read(picture: Path, given: Mapping[str, Any]) -> Recipe:
    """Read the recipe in a picture, its settings overridden by those ``given``.

    Raises:
      ImageError: the picture has no recipe that can be repeated, or what it was made from is gone.
      SettingError: a given setting is invalid.
    """
    found = _parse(picture, _recorded(picture), given)
    own = {} if "preset" in given else found.settings.to_dict()  # a preset replaces all settings
    if "size" in given and not found.settings.size_rule.startswith("longest"):
        own.pop("size_rule", None)
    recipe = replace(found, settings=resolve(**{**own, **given}))
    for path in (recipe.content, *recipe.styles, *recipe.settings.paths().values()):
        if not os.path.exists(path):
            raise ImageError(f"{picture}: was made from {path}, which is not there: {INSTEAD}")
    return recipe


def _recorded(picture: Path) -> Recorded:
    """Return the recipe in a picture as it is there."""
    try:
        text = images.read_description(picture)
        description = parsed(text, Description)
    except ImageError as error:
        raise ImageError(f"{error}: {INSTEAD}") from error
    except DamagedError as error:
        raise ImageError(
            f"{picture}: its recipe is damaged, or of another version ({error}): {INSTEAD}"
        ) from error
    if description.jaxstyle:
        return description.jaxstyle
    command = "texture" if description.texture else description.command
    if command:
        raise ImageError(f"{picture}: was made by 'jaxstyle {command}', which cannot be repeated")
    raise ImageError(
        f"{picture}: was made from arrays, URLs or for a texture, and does not say which: {INSTEAD}"
    )


def _parse(picture: Path, record: Recorded, given: Mapping[str, Any]) -> Recipe:
    # An Optax transformation, which a record cannot hold, may be replaced by a named one.
    optimizer = {"optimizer": given["optimizer"]} if "optimizer" in given else {}

    def absolute(path: str) -> str:
        return os.path.normpath(picture.parent / path)

    try:
        settings = resolve(**{**record.settings, **optimizer}).map_paths(absolute)
    except SettingError as error:
        if error.name in given or record.settings.get(error.name) == CUSTOM:
            raise
        raise ImageError(
            f"{picture}: its recipe is damaged, or of another version ({error}): {INSTEAD}"
        ) from error
    return Recipe(
        content=absolute(record.content),
        styles=tuple(map(absolute, record.styles)),
        settings=settings,
        weights=record.weights and absolute(record.weights),
        bits=record.bits,
        weights_sha256=record.weights_sha256,
        full_size=record.full_size,
    )
