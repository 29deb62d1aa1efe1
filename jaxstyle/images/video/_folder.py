"""Folders of pictures that are the frames of a clip."""

import glob
import os
import re
from collections.abc import Iterator
from fractions import Fraction
from functools import partial

from jaxstyle.errors import ImageError
from jaxstyle.images import EXTENSIONS, read, read_sides, to_levels
from jaxstyle.images.video._rate import USUAL
from jaxstyle.images.video._source import Frame, Shown, Source

_PLACE = re.compile(r"%0?(\d*)d")
"""What stands for the number in a pattern such as ``frames/%04d.png``."""

_NUMBERED = re.compile(r"(?P<before>.*?)(?P<number>\d+)(?P<after>\D*)", re.DOTALL)


def is_pattern(name: str) -> bool:
    """Return whether a name is a pattern, such as ``frames/%04d.png`` or ``frames/*.png``."""
    return bool(_PLACE.search(os.path.basename(name))) or glob.has_magic(name)


def open_pictures(name: str, rate: Fraction | None) -> Source:
    """Return the pictures of a folder, or that match a pattern, as a source.

    Args:
      name: The folder or pattern.
      rate: Frames per second; None for 24.

    Raises:
      ImageError: There are no pictures, one is missing, or they cannot be read together.
    """
    return _source(name, pictures_of(name), rate)


def pictures_of(name: str) -> list[str]:
    """Return the pictures of a folder, or that match a pattern; other files are ignored.

    They are in the order of their names, with numbers by value.
    """
    if os.path.isdir(name):
        return _pictures(os.path.join(glob.escape(name), "*"))
    folder, pattern = os.path.split(name)
    if not _PLACE.search(pattern):
        return _pictures(name)
    before, digits, after = _PLACE.split(pattern, maxsplit=1)
    number = rf"\d{{{digits or 1},}}"
    wanted = re.compile(re.escape(before) + number + re.escape(after))
    found = _pictures(os.path.join(glob.escape(folder), "*"))
    return [path for path in found if wanted.fullmatch(os.path.basename(path))]


class _Pictures(Source):
    """A source whose pictures are files."""

    paths: list[str]

    def shown(self, since: Fraction) -> Iterator[Shown]:
        for index in range(int(since * self.rate), len(self.paths)):
            yield Shown(index / self.rate, partial(self._picture, self.paths[index]))

    def _picture(self, path: str) -> Frame:
        picture = read(path)
        if picture.rgb.shape != (self.height, self.width, 3):
            raise ImageError(f"{path}: has another size than before: was it changed?")
        if picture.alpha is not None:
            self.note("the transparency of its pictures is dropped")
        self.notes += [note for note in picture.notes if note not in self.notes]
        return to_levels(picture.rgb)


def _source(name: str, paths: list[str], rate: Fraction | None) -> Source:
    if not paths:
        raise ImageError(f"{name}: there are no pictures: give a folder of frames, or a pattern")
    _check_numbers(paths)
    height, width = _sides(paths)
    rate = rate or USUAL
    count = len(paths)
    source = _Pictures(name, height, width, rate, (count - 1) / rate, count / rate)
    source.paths = paths
    return source


def _pictures(pattern: str) -> list[str]:
    """Return the pictures that match, in the order of their names, with numbers by value."""
    found = [
        path
        for path in glob.glob(pattern)
        if os.path.splitext(path)[1].lower() in EXTENSIONS and os.path.isfile(path)
    ]
    return sorted(found, key=_by_value)


def _by_value(path: str) -> tuple[list[tuple[str, int]], str]:
    parts = re.findall(r"(\D*)(\d*)", os.path.basename(path))
    return [(text, int(digits or -1)) for text, digits in parts], path


def _check_numbers(paths: list[str]) -> None:
    """Check that no number is missing or twice, if the names differ only in a number.

    Raises:
      ImageError: One is; the message names it.
    """
    parts = [_NUMBERED.fullmatch(os.path.splitext(os.path.basename(each))[0]) for each in paths]
    named = [part for part in parts if part]
    if len(named) < len(paths) or len({(part["before"], part["after"]) for part in named}) > 1:
        return
    numbers = [int(part["number"]) for part in named]
    for number, following, part, path in zip(numbers, numbers[1:], named, paths[1:], strict=False):
        if following == number:
            raise ImageError(f"{path}: there are two frames of number {number}: remove one")
        if following > number + 1:
            missing = str(number + 1).zfill(len(part["number"]))
            missing = f"{part['before']}{missing}{part['after']}{os.path.splitext(path)[1]}"
            raise ImageError(
                f"{os.path.join(os.path.dirname(path), missing)}: this frame is missing, as the "
                f"next one is {os.path.basename(path)}: add it, or rename the others"
            )


def _sides(paths: list[str]) -> tuple[int, int]:
    """Return height and width of the pictures, from their headers.

    Raises:
      ImageError: One of them cannot be read, or has another size than the first.
    """
    height, width = read_sides(paths[0])
    for path in paths[1:]:
        sides = read_sides(path)
        if sides != (height, width):
            raise ImageError(
                f"{path}: has {sides[1]}x{sides[0]} pixels, but {os.path.basename(paths[0])} "
                f"{width}x{height}: resize one of them"
            )
    return height, width
