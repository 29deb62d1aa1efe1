"""The history: a folder of finished pictures, each of which can be made again.

    FOLDER/cat-mosaic.png          the result, with its recipe in the metadata
    FOLDER/extras/cat-mosaic.*     the same as a 16-bit TIFF, its making, a small copy
    FOLDER/inputs/cat-1f2e3d4c.jpg the photos, style pictures and masks, each once

The result is written last, so that whatever the history lists is complete.
"""

import hashlib
import json
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path

import numpy as np

from jaxstyle import images
from jaxstyle.errors import ImageError, JaxstyleError, UsageError
from jaxstyle.images import Picture, timelapse
from jaxstyle.images.sizes import fit
from jaxstyle.machine.files import remove_leftovers, unused, write_whole
from jaxstyle.machine.lock import taken_by
from jaxstyle.runs import recipe as recipes
from jaxstyle.runs.recipe import Recipe, interrupted

THUMBNAIL = 320
"""Longest side of the small copy of a picture, in pixels."""

LONGEST_STEM = 32

SHOWABLE = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".avif", ".bmp")
"""Extensions of pictures that browsers show."""

A_DAY = 24 * 3600

MOST_EXTRA_BYTES = 2**30
"""A 16-bit copy is written of pictures that need no more than this, uncompressed."""


@dataclass(frozen=True)
class Entry:
    """A finished picture.

    Attributes:
      path: its file.
    """

    path: Path

    @property
    def name(self) -> str:
        """The file's name without its extension, by which pages refer to the picture."""
        return self.path.stem

    @cached_property
    def recipe(self) -> Recipe:
        """The pictures and settings it was made from.

        Raises:
          ImageError: its metadata does not say, or a picture it was made from is gone.
        """
        return recipes.read(self.path, {})

    @property
    def made(self) -> datetime:
        """When it was made."""
        return datetime.fromtimestamp(self.path.stat().st_mtime)

    def sides(self) -> tuple[int, int]:
        """Return its height and width in pixels."""
        return images.read_sides(self.path)

    def files(self) -> dict[str, Path]:
        """Return the files that can be shown or downloaded, by what they are."""
        found = {"picture": self.path, "thumbnail": self.extra(".jpg")}
        found |= {"tiff": self.extra(".tif"), "timelapse": self.extra(".webp")}
        with suppress(JaxstyleError):
            photo = Path(self.recipe.content)
            if photo.suffix.lower() in SHOWABLE:
                found["photo"] = photo
        return {kind: path for kind, path in found.items() if path.is_file()}

    def stopped(self) -> str:
        """Return how far an unfinished picture had come, in words; empty for a finished one."""
        try:
            reached = json.loads(images.read_description(self.path))["interrupted"]
            return f"stopped at step {reached['step']} of {reached['steps']}"
        except (JaxstyleError, ValueError, KeyError, TypeError):
            return ""

    def command(self) -> str:
        """Return the shell command that makes the same picture."""
        return self.recipe.command(f"{self.name}.png")

    def extra(self, suffix: str) -> Path:
        """Return the path of a file that belongs to the picture, by its extension."""
        return self.path.parent / "extras" / f"{self.name}{suffix}"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other studios out of a folder during the block; it is made if there is none.

    Raises:
      ImageError: it cannot be made.
      UsageError: another studio is using it.
    """
    _make(folder)
    with open(folder / ".lock", "a+") as file:
        if (who := taken_by(file.fileno())) is not None:
            raise UsageError(f"another studio{who} is using {folder}: give another --folder")
        yield


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise ImageError(f"{folder}: cannot be made the studio's folder: {reason}") from error


class History:
    """The folder of results.

    Args:
      folder: it is made if there is none.

    Raises:
      ImageError: nothing can be written there.
    """

    def __init__(self, folder: Path):
        self.folder = folder.absolute()
        self._adding = threading.Lock()
        for each in (self.folder, self._extras, self._inputs):
            _make(each)
        images.check_directory(self.folder / "picture.png")
        self._remove_leftovers()

    @property
    def uploads(self) -> Path:
        """A folder for what browsers send, emptied when a server starts."""
        return self.folder / "uploads"

    @property
    def _extras(self) -> Path:
        return self.folder / "extras"

    @property
    def _inputs(self) -> Path:
        return self.folder / "inputs"

    def keep(self, file: Path, name: str = "") -> Path:
        """Keep a copy of a picture that results are made from; return its path.

        Args:
          file: the picture. One that was kept already is not copied again.
          name: its name for people; by default that of the file.
        """
        if file.parent == self._inputs:
            os.utime(file)  # used just now
            return file
        data = file.read_bytes()
        stem = f"{stem_of(name or file.name)}-{hashlib.sha256(data).hexdigest()[:12]}"
        path = self._inputs / f"{stem}{suffix_of(file)}"
        if path.exists():
            os.utime(path)  # used just now
        else:
            write_whole(path, data)
        return path

    def add(
        self,
        picture: Picture,
        recipe: Recipe,
        frames: Sequence[np.ndarray] = (),
        **reached: int,
    ) -> Entry:
        """Write a finished picture and all that belongs to it.

        Args:
          picture: the picture.
          recipe: what it was made from; its files are kept already.
          frames: frames of its making, see ``jaxstyle.images.timelapse``.
          **reached: how far an unfinished picture had come.

        Raises:
          ImageError: the picture cannot be written, as on a full disk.
        """
        with self._adding:
            entry = Entry(unused(self.folder / f"{_title(recipe)}.png"))
            try:
                self._write_extras(entry, picture, recipe, frames, reached)
            except (JaxstyleError, OSError):  # the picture itself may be small enough
                self._remove_extras(entry.name)
            text = _described(recipe, self.folder, reached)
            images.write_unused(entry.path, picture, bits=recipe.bits, description=text)
        return entry

    def _write_extras(
        self,
        entry: Entry,
        picture: Picture,
        recipe: Recipe,
        frames: Sequence[np.ndarray],
        reached: Mapping[str, int],
    ) -> None:
        height, width = picture.rgb.shape[:2]
        small = fit(height, width, min(THUMBNAIL, max(height, width)))
        over = Picture(images.resize(picture.over_white(), *small))
        images.write(entry.extra(".jpg"), over)
        if frames:
            timelapse.write_timelapse(entry.extra(".webp"), frames)
        if 8 * height * width <= MOST_EXTRA_BYTES:
            text = _described(replace(recipe, bits=16), self._extras, reached)
            images.write(entry.extra(".tif"), picture, bits=16, description=text)

    def entries(self) -> list[Entry]:
        """Return all pictures, the newest first."""
        found = []
        for path in self.folder.glob("*.png"):
            with suppress(OSError):  # deleted just now
                found.append((path.stat().st_mtime_ns, path.name, path))
        return [Entry(path) for _, _, path in sorted(found, reverse=True)]

    def entry(self, name: str) -> Entry:
        """Return a picture by its name.

        Raises:
          UsageError: there is none; names of other folders are none.
        """
        path = self.folder / f"{name}.png"
        if name and path.name == f"{name}.png" and path.parent == self.folder and path.is_file():
            return Entry(path)
        raise UsageError(f"there is no picture {name!r} in the history")

    def delete(self, name: str) -> None:
        """Delete a picture and all that belongs to it.

        Raises:
          UsageError: there is none.
        """
        self.entry(name).path.unlink(missing_ok=True)
        self._remove_extras(name)
        self._remove_unused_inputs()

    def _remove_extras(self, name: str) -> None:
        for path in self._extras.iterdir():
            if path.stem == name:
                path.unlink(missing_ok=True)

    def _remove_unused_inputs(self) -> None:
        """Delete inputs that no picture was made from, a day after they were last used."""
        used = [_inputs_of(entry) for entry in self.entries()]
        if None in used:
            return
        kept, now = set().union(*filter(None, used)), time.time()
        for path in self._inputs.iterdir():
            if path not in kept and now - path.stat().st_mtime > A_DAY:
                path.unlink(missing_ok=True)

    def _remove_leftovers(self) -> None:
        """Delete what a server that was killed left of unfinished pictures."""
        shutil.rmtree(self.uploads, ignore_errors=True)
        for folder in (self.folder, self._extras, self._inputs):
            remove_leftovers(folder)
        names = {entry.name for entry in self.entries()}
        for path in self._extras.iterdir():
            if path.stem not in names:
                path.unlink(missing_ok=True)
        self._remove_unused_inputs()


def stem_of(name: str) -> str:
    """Return a name of letters, digits and dashes for a file that was uploaded.

    >>> stem_of("../My Cat (2).JPG"), stem_of("猫.png")
    ('my-cat-2', 'picture')
    """
    stem = re.sub(r"[^a-z0-9]+", "-", Path(name).stem.lower()).strip("-")
    return stem[:LONGEST_STEM].strip("-") or "picture"


def suffix_of(file: Path) -> str:
    """Return the extension of an uploaded picture if it is a known one, else ".png"."""
    suffix = file.suffix.lower()
    return suffix if suffix in images.EXTENSIONS else ".png"


def _described(recipe: Recipe, folder: Path, reached: Mapping[str, int]) -> str:
    """Return the metadata of a picture in a folder, and how far it came if it is unfinished."""
    text = recipe.to_json(folder)
    return interrupted(text, **reached) if reached else text


def _title(recipe: Recipe) -> str:
    """Return a name for a result: the stems of its photo and of its first style picture."""
    pictures = [*filter(None, [recipe.content]), *recipe.styles[:1]]
    stems = [re.sub(r"-[0-9a-f]{12}$", "", Path(each).stem) for each in pictures]
    return "-".join(map(stem_of, stems))


def _inputs_of(entry: Entry) -> set[Path] | None:
    """Return the files that a picture was made from; None if its metadata cannot be understood."""
    try:
        images.read_description(entry.path)
    except ImageError:  # not a picture of jaxstyle's
        return set()
    try:
        return {path.absolute() for path in entry.recipe.inputs()}
    except JaxstyleError:
        return None
