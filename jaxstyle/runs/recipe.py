"""The recipe of a run: everything needed to repeat it, in the metadata of its picture."""

import json
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from jaxstyle import images
from jaxstyle.errors import DamagedError, ImageError, SettingError
from jaxstyle.machine.plain_json import parsed
from jaxstyle.network.weights import Loaded
from jaxstyle.runs.canvas import needed_on_canvas
from jaxstyle.settings import CUSTOM, Settings, resolve
from jaxstyle.settings.effect import needed
from jaxstyle.settings.text import flags_of

Kind = Literal["run", "texture"]

INSTEAD: dict[Kind | None, str] = {
    None: "give pictures and settings instead",
    "run": "give CONTENT, STYLE and settings instead",
    "texture": "give STYLE and settings instead",
}
"""What to do where there is no recipe that can be repeated, by the command that should."""


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
    shape: tuple[int, ...] | None = None
    periodic: bool = False


@dataclass(frozen=True)
class Recipe:
    """Everything needed to repeat a run.

    Attributes:
      content: path of the content picture; empty for a texture.
      styles: paths of the style pictures.
      settings: the settings.
      weights: path of the weights file, or None for the default weights.
      bits: bits per channel of the result.
      weights_sha256: hash of the weights.
      full_size: whether the result has all pixels of the content (``photo --full-size``).
      shape: height and width asked for a texture, if any.
      periodic: whether a texture tiles without seams.
    """

    content: str
    styles: tuple[str, ...]
    settings: Settings
    weights: str | None = None
    bits: Literal[8, 16] = 8
    weights_sha256: str = ""
    full_size: bool = False
    shape: tuple[int, int] | None = None
    periodic: bool = False

    @property
    def kind(self) -> Kind:
        """The command that repeats it with ``--from``."""
        return "run" if self.content else "texture"

    def to_json(self, directory: Path) -> str:
        """Return the recipe as one line of ASCII, for the metadata of a picture in ``directory``.

        Paths are relative to that directory, so that it can be moved as a whole.
        """

        def relative(path: str) -> str:
            return _relative(path, directory)

        record = Recorded(
            content=self.content and relative(self.content),
            styles=[relative(style) for style in self.styles],
            settings=self.settings.map_paths(relative).to_dict(),
            weights=self.weights and relative(self.weights),
            bits=self.bits,
            weights_sha256=self.weights_sha256,
            full_size=self.full_size,
            shape=self.shape,
            periodic=self.periodic,
        )
        return json.dumps({"jaxstyle": asdict(record)})

    def command(self, output: str) -> str:
        """Return the shell command that makes the same picture.

        It has the flags of the settings that differ from the preset's. An Optax transformation has
        none: the command is refused with a line that says so.

        Args:
          output: path of the picture.
        """
        words = ["python", "-m", "jaxstyle", "photo" if self.full_size else self.kind]
        words += map(_no_flag, filter(None, (self.content, *self.styles)))
        words += ["-o", _no_flag(output)]
        words += ["--full-size"] if self.full_size else []
        words += ["--shape", "{1}x{0}".format(*self.shape)] if self.shape else []
        words += ["--periodic"] if self.periodic else []
        words += ["--bits", str(self.bits)] if self.bits != 8 else []
        words += ["--weights", _no_flag(self.weights)] if self.weights else []
        words += ["--preset", self.settings.preset]
        values, given = self.settings.to_dict(), self._needed()
        return f"{shlex.join(words)} {flags_of({name: values[name] for name in given})}".rstrip()

    def _needed(self) -> dict[str, Any]:
        if self.content:
            return needed(self.settings)
        return needed_on_canvas(self.settings, self.shape, self.periodic)

    def pictures(self) -> list[str]:
        """Return the path of every picture that the run reads."""
        named = self.settings.paths().values()
        return [path for path in (self.content, *self.styles, *named) if path]

    def inputs(self) -> list[Path]:
        """Return every file that the run reads."""
        return [Path(path) for path in (*self.pictures(), self.weights) if path]


@dataclass(frozen=True)
class Description:
    """What a picture says about how it was made.

    Attributes:
      jaxstyle: its recipe.
      settings: settings without the pictures: of arrays, or of URLs.
      command: another command that made it.
      interrupted: how far a run had come that ended early.
    """

    jaxstyle: Recorded | None = None
    settings: dict[str, Any] | None = None
    command: str | None = None
    interrupted: dict[str, Any] | None = None


def made_by(command: str) -> str:
    """Return the description of a picture of a command that ``--from`` does not repeat."""
    return json.dumps({"command": command})


def interrupted(description: str, **reached: int) -> str:
    """Return the description of an unfinished picture: that of the whole, and how far it came."""
    return json.dumps({**json.loads(description), "interrupted": reached})


def recipe_of(
    content: Any,
    styles: Sequence[Any],
    settings: Settings,
    weights: Any,
    loaded: Loaded,
    shape: tuple[int, int] | None = None,
    periodic: bool = False,
) -> Recipe | None:
    """Return the recipe of a run of Python; None if a picture is not a file.

    Args:
      content: the content picture, as given; None for a texture.
      styles: the style pictures, as given; a folder stands for all pictures in it.
      settings: settings of the run.
      weights: path of the weights file, or its content, as given; None for the default weights.
      loaded: weights of the network.
      shape: height and width asked for a texture, if any.
      periodic: whether a texture tiles without seams.
    """
    pictures = [*([] if content is None else [content]), *images.expand_folders(styles)]
    if not all(isinstance(each, str | os.PathLike) for each in pictures):
        return None
    # Absolute: the current folder may be another one when the picture is saved.
    paths = [os.path.abspath(each) for each in pictures]
    return Recipe(
        content="" if content is None else paths.pop(0),
        styles=tuple(paths),
        settings=settings.map_paths(os.path.abspath),
        weights=None if weights is None else os.path.abspath(loaded.path),
        weights_sha256=loaded.sha256,
        shape=shape and (shape[0], shape[1]),
        periodic=periodic,
    )


def read(picture: Path, given: Mapping[str, Any], kind: Kind | None = None) -> Recipe:
    """Read the recipe in a picture, its settings overridden by those ``given``.

    Args:
      picture: the picture.
      given: settings by name.
      kind: the command that is to repeat it; None for any.

    Raises:
      ImageError: the picture has no recipe that can be repeated by this command, or what it was
        made from is gone.
      SettingError: a given setting is invalid.
    """
    found = _parse(picture, _recorded(picture, kind), given, kind)
    if kind and found.kind != kind:
        made = "was made" if found.kind == "texture" else "was not made"
        repeats = f"'jaxstyle {found.kind} --from' repeats it"
        raise ImageError(f"{picture}: {made} by 'jaxstyle texture': {repeats}")
    own = {} if "preset" in given else found.settings.to_dict()  # a preset replaces all settings
    if "size" in given and not found.settings.size_rule.startswith("longest"):
        own.pop("size_rule", None)
    recipe = replace(found, settings=resolve(**{**own, **given}))
    for path in recipe.pictures():
        if not os.path.exists(path):
            gone = f"was made from {path}, which is not there"
            raise ImageError(f"{picture}: {gone}: {INSTEAD[found.kind]}")
    return recipe


def _recorded(picture: Path, kind: Kind | None) -> Recorded:
    """Return the recipe in a picture as it is there."""
    try:
        text = images.read_description(picture)
        description = parsed(text, Description)
    except ImageError as error:
        raise ImageError(f"{error}: {INSTEAD[kind]}") from error
    except DamagedError as error:
        raise _damaged(picture, error, kind) from error
    if description.jaxstyle:
        return description.jaxstyle
    if command := description.command:
        raise ImageError(f"{picture}: was made by 'jaxstyle {command}', which cannot be repeated")
    unknown = "was made from arrays or URLs, and does not say which"
    raise ImageError(f"{picture}: {unknown}: {INSTEAD[kind]}")


def _parse(picture: Path, record: Recorded, given: Mapping[str, Any], kind: Kind | None) -> Recipe:
    # An Optax transformation, which a record cannot hold, may be replaced by a named one.
    optimizer = {"optimizer": given["optimizer"]} if "optimizer" in given else {}

    def absolute(path: str) -> str:
        return os.path.normpath(picture.parent / path)

    try:
        settings = resolve(**{**record.settings, **optimizer}).map_paths(absolute)
        shape = None if record.shape is None else _two(record.shape)
    except SettingError as error:
        if error.name in given or record.settings.get(error.name) == CUSTOM:
            raise
        raise _damaged(picture, error, kind) from error
    return Recipe(
        content=record.content and absolute(record.content),
        styles=tuple(map(absolute, record.styles)),
        settings=settings,
        weights=record.weights and absolute(record.weights),
        bits=record.bits,
        weights_sha256=record.weights_sha256,
        full_size=record.full_size,
        shape=shape,
        periodic=record.periodic,
    )


def _two(shape: Sequence[int]) -> tuple[int, int]:
    if len(shape) != 2:
        raise SettingError("shape", f"must be two sides, not {len(shape)}")
    return shape[0], shape[1]


def _damaged(picture: Path, error: Exception, kind: Kind | None) -> ImageError:
    damage = f"its recipe is damaged, or of another version ({error})"
    return ImageError(f"{picture}: {damage}: {INSTEAD[kind]}")


def _no_flag(path: str) -> str:
    """Return a path that does not begin with a dash, as flags do."""
    return f"./{path}" if path.startswith("-") else path


def _relative(path: str, directory: Path) -> str:
    try:
        return os.path.relpath(path, directory)
    except ValueError:  # another drive, on Windows
        return os.path.abspath(path)
