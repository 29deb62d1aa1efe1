"""The recipe of a run: written into the metadata of its picture, and read by --from."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jaxstyle import images
from jaxstyle.errors import ImageError
from jaxstyle.settings import Settings, resolve


@dataclass(frozen=True)
class Recipe:
    """Everything needed to repeat a run.

    Attributes:
      content: path of the content picture.
      styles: paths of the style pictures.
      settings: the settings.
      weights: path of the weights file, or None for the default weights.
      bits: bits per channel of the result.
      weights_sha256: hash of the weights.
      full_size: whether the result has all pixels of the content (``photo --full-size``).
    """

    content: str
    styles: tuple[str, ...]
    settings: Settings
    weights: str | None = None
    bits: int = 8
    weights_sha256: str = ""
    full_size: bool = False

    def to_json(self, directory: Path) -> str:
        """Return the recipe as one line of ASCII, for the metadata of a picture in ``directory``.

        Paths are relative to that directory, so that it can be moved as a whole.
        """

        def relative(path: str) -> str:
            return _relative(path, directory)

        record = {
            "content": relative(self.content),
            "styles": [relative(style) for style in self.styles],
            "settings": self.settings.map_paths(relative).to_dict(),
            "weights": self.weights and relative(self.weights),
            "bits": self.bits,
            "weights_sha256": self.weights_sha256,
            "full_size": self.full_size,
        }
        return json.dumps({"jaxstyle": record})

    def inputs(self) -> list[Path]:
        """Return every file that the run reads."""
        weights = [self.weights] if self.weights else []
        named = *self.settings.paths().values(), *weights
        return [Path(path) for path in (self.content, *self.styles, *named)]


def read(picture: Path, given: Mapping[str, Any]) -> Recipe:
    """Read the recipe in a picture, its settings overridden by those ``given``.

    Raises:
      ImageError: the picture was not made by ``jaxstyle run``.
      SettingError: a given setting is invalid.
    """
    try:
        record = json.loads(images.read_description(picture))
        if "texture" in record:
            raise ImageError(f"{picture}: was made by 'jaxstyle texture', which cannot be repeated")
        found = _parse(record["jaxstyle"], picture.parent, given)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ImageError(
            f"{picture}: not a picture of 'jaxstyle run' that can be repeated "
            f"({type(error).__name__}: {error}): give CONTENT, STYLE and settings instead"
        ) from None
    own = {} if "preset" in given else found.settings.to_dict()  # a preset replaces all settings
    if "size" in given and not found.settings.size_rule.startswith("longest"):
        own.pop("size_rule", None)
    return replace(found, settings=resolve(**{**own, **given}))


def _parse(record: Mapping[str, Any], directory: Path, given: Mapping[str, Any]) -> Recipe:
    # An Optax transformation, which a record cannot hold, may be replaced by a named one.
    optimizer = {"optimizer": given["optimizer"]} if "optimizer" in given else {}

    def absolute(path: str) -> str:
        return os.path.normpath(directory / path)

    return Recipe(
        content=absolute(record["content"]),
        styles=tuple(absolute(style) for style in record["styles"]),
        settings=resolve(**{**record["settings"], **optimizer}).map_paths(absolute),
        weights=record["weights"] and absolute(record["weights"]),
        bits={8: 8, 16: 16}[record["bits"]],
        weights_sha256=str(record["weights_sha256"]),
        full_size=bool(record.get("full_size")),
    )


def _relative(path: str, directory: Path) -> str:
    try:
        return os.path.relpath(path, directory)
    except ValueError:  # another drive, on Windows
        return os.path.abspath(path)
