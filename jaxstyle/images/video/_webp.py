"""Animated WebP, read by Pillow."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import accumulate
from typing import Any

import numpy as np
from PIL import Image

from jaxstyle.errors import ImageError
from jaxstyle.images import open_file
from jaxstyle.images._read import quiet_pillow
from jaxstyle.images.video._rate import rate_of
from jaxstyle.images.video._source import Shown, Source

_UNTOLD = 100
"""Milliseconds that browsers show a frame for which the file says 10 or less."""


def open_webp(name: str) -> Source:
    """Return an animated WebP as a source.

    Raises:
      ImageError: It cannot be read, or is not animated.
    """
    durations = _durations(name)
    if not durations:
        raise ImageError(f"{name}: is a picture, not a clip: give it as an image")
    *starts, length = (Fraction(each, 1000) for each in accumulate(durations, initial=0))
    with _opened(name) as image, quiet_pillow(name):
        width, height = image.size
        opacity = image.getchannel("A") if image.mode == "RGBA" else None
        transparent = opacity is not None and opacity.getextrema() != (255, 255)
    rate = rate_of(starts, length, [])
    source = _WebP(name, height, width, rate.rate, starts[-1], length, Fraction(1, 2000))
    source.starts = starts
    if transparent:
        source.note("its transparency is dropped")
    for note in rate.notes():
        source.note(note)
    return source


class _WebP(Source):
    """A source of the frames of an animated WebP, which can be decoded only from its start."""

    starts: list[Fraction]

    def shown(self, since: Fraction) -> Iterator[Shown]:
        with _opened(self.path) as image:
            for index, start in enumerate(self.starts):
                try:
                    with quiet_pillow(self.path):
                        image.seek(index)
                        rgb = np.asarray(image.convert("RGB"))
                except ImageError:
                    return  # the clip says that it is damaged
                yield Shown(start, lambda rgb=rgb: rgb)


@contextmanager
def _opened(name: str) -> Iterator[Any]:
    """Open a WebP file with Pillow.

    Raises:
      ImageError: It is damaged, or too large.
    """
    with open_file(name) as file:
        with quiet_pillow(name):
            image = Image.open(file, formats=["WEBP"])
        with image:
            yield image


def _durations(name: str) -> list[int]:
    """Return the duration of each frame of a WebP file, in milliseconds, from its chunks."""
    found = []
    with open_file(name) as file:
        file.seek(12)
        while len(head := file.read(8)) == 8:
            kind, size = struct.unpack("<4sI", head)
            rest = size + size % 2
            if kind == b"ANMF" and size >= 16:
                frame = file.read(16)
                if len(frame) < 16:
                    break
                told = int.from_bytes(frame[12:15], "little")
                found.append(told if told > 10 else _UNTOLD)
                rest -= 16
            file.seek(rest, 1)
    return found
