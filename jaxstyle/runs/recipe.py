"""The recipe of a run: everything needed to repeat it, for the metadata of its picture."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from jaxstyle import images
from jaxstyle.network.weights import Loaded
from jaxstyle.settings import Settings


@dataclass(frozen=True)
class Recorded:
    """A recipe as it is in the metadata of a picture, with paths relative to the picture."""

    content: str
    styles: list[str]
    settings: dict[str, Any]
    weights: str | None
    bits: Literal[8, 16]
    weights_sha256: str
    full_size: bool = False


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
    bits: Literal[8, 16] = 8
    weights_sha256: str = ""
    full_size: bool = False

    def to_json(self, directory: Path) -> str:
        """Return the recipe as one line of ASCII, for the metadata of a picture in ``directory``.

        Paths are relative to that directory, so that it can be moved as a whole.
        """

        def relative(path: str) -> str:
            return _relative(path, directory)

        record = Recorded(
            content=relative(self.content),
            styles=[relative(style) for style in self.styles],
            settings=self.settings.map_paths(relative).to_dict(),
            weights=self.weights and relative(self.weights),
            bits=self.bits,
            weights_sha256=self.weights_sha256,
            full_size=self.full_size,
        )
        return json.dumps({"jaxstyle": asdict(record)})

    def inputs(self) -> list[Path]:
        """Return every file that the run reads."""
        weights = [self.weights] if self.weights else []
        named = *self.settings.paths().values(), *weights
        return [Path(path) for path in (self.content, *self.styles, *named)]


def made_by(command: str) -> str:
    """Return the description of a picture of a command that ``--from`` does not repeat."""
    return json.dumps({"command": command})


def interrupted(description: str, **reached: int) -> str:
    """Return the description of an unfinished picture: that of the whole, and how far it came."""
    return json.dumps({**json.loads(description), "interrupted": reached})


def recipe_of(
    content: Any, styles: Sequence[Any], settings: Settings, weights: Any, loaded: Loaded
) -> Recipe | None:
    """Return the recipe of a run of Python; None if a picture is not a file.

    Args:
      content: the content picture, as given.
      styles: the style pictures, as given; a folder stands for all pictures in it.
      settings: settings of the run.
      weights: path of the weights file, or its content, as given; None for the default weights.
      loaded: weights of the network.
    """
    pictures = [content, *images.expand_folders(styles)]
    if not all(isinstance(each, str | os.PathLike) for each in pictures):
        return None
    # Absolute: the current folder may be another one when the picture is saved.
    content, *styles = (os.path.abspath(each) for each in pictures)
    path = None if weights is None else os.path.abspath(loaded.path)
    own = settings.map_paths(os.path.abspath)
    return Recipe(content, tuple(styles), own, path, weights_sha256=loaded.sha256)


def _relative(path: str, directory: Path) -> str:
    try:
        return os.path.relpath(path, directory)
    except ValueError:  # another drive, on Windows
        return os.path.abspath(path)
