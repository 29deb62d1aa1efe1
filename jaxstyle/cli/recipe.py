"""What a run was asked for, written into the picture it made and read back by --from."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxstyle import __version__
from jaxstyle import image as images
from jaxstyle.image import ImageError
from jaxstyle.settings import Settings, resolve


@dataclass(frozen=True)
class Recipe:
    """Paths as they were given, and settings."""

    content: str
    styles: tuple[str, ...]
    settings: Settings
    weights_sha256: str = ""

    def to_json(self) -> str:
        """One line of ASCII, fit for a picture's metadata."""
        record = {
            "jaxstyle": __version__,
            "content": self.content,
            "styles": list(self.styles),
            "settings": self.settings.to_dict(),
            "weights_sha256": self.weights_sha256,
        }
        return json.dumps(record)


def read(path: Path, given: Mapping[str, Any]) -> Recipe:
    """The recipe in a picture, with the ``given`` settings put over its own.

    Raises:
      ImageError: the picture was not made by ``jaxstyle run``.
      SettingError: one of ``given`` is wrong.
    """
    try:
        record = json.loads(images.read_description(path))
        content, styles = str(record["content"]), _texts(record["styles"])
        settings, sha256 = dict(record["settings"]), str(record["weights_sha256"])
        resolve(**settings)
    except (ValueError, KeyError, TypeError) as error:  # JSON and settings errors are ValueErrors
        raise ImageError(
            f"{path}: its settings cannot be read ({error}): give the run's arguments instead"
        ) from None
    if "preset" in given:  # another preset starts afresh
        settings = {}
    return Recipe(content, styles, resolve(**{**settings, **given}), sha256)


def _texts(values: Sequence[Any]) -> tuple[str, ...]:
    if not isinstance(values, list) or not values:
        raise TypeError("no style pictures in it")
    return tuple(str(value) for value in values)
