"""Clips that are read: a part of a source, at a constant rate."""

import os
from collections.abc import Iterator
from fractions import Fraction
from math import ceil, isfinite

from jaxstyle.errors import ImageError
from jaxstyle.images import open_file
from jaxstyle.images.video import _file, _folder, _webp
from jaxstyle.images.video._source import Audio, Frame, Source

Seconds = float | Fraction
_TINY = Fraction(1, 10**6)
"""Seconds by which floating-point times may be off."""


class Clip:
    """The frames of a video, an animation or a folder of pictures, at a constant rate.

    Attributes:
      path: As the user named it.
      height, width: Of the frames in pixels: upright and with square pixels, as players show them.
      fps: Frames per second.
      count: Number of frames. A damaged file may have fewer.
      start, end: The part of the source that is read, in seconds from its first picture.
      length: Seconds of the whole source.
      audio: Streams of sound of the source; `ClipWriter` copies them.
      zero: Time of the first picture in the file, in seconds, which the sound is in sync with.
      notes: What the user should know; `frames` may add some.
    """

    def __init__(self, source: Source, start: Fraction, end: Fraction, fps: Fraction) -> None:
        """Make a clip of a part of a source, which is checked already."""
        self._source, self._start = source, start
        self.path, self.height, self.width = source.path, source.height, source.width
        self.fps, self.zero, self.length = fps, source.zero, float(source.length)
        self.start, self.end = float(start), float(end)
        self.count = max(1, ceil((end - start - source.tolerance - _TINY) * fps))

    @property
    def audio(self) -> list[Audio]:
        """Return the streams of sound of the source."""
        return self._source.audio

    @property
    def notes(self) -> list[str]:
        """Return the notes for the user so far."""
        return self._source.notes

    def frames(self, first: int = 0) -> Iterator[tuple[int, Frame]]:
        """Yield the frames with their numbers; only a few are in memory at any time.

        Frame k is the last picture that appears at `start + k / fps` seconds or before. Where
        several frames show the same picture, it is the same array: do not change it.

        Args:
          first: The number of the first frame to yield; those before are skipped quickly.

        Raises:
          ImageError: The file, or a picture of a folder, can no longer be read.
        """
        if first >= self.count:
            return
        source, late = self._source, self._source.tolerance + _TINY
        shown = source.shown(self._time(first))
        current, following = next(shown, None), next(shown, None)
        if current is None:
            return self._damaged(0)
        kept: tuple[Fraction, Frame] | None = None
        for index in range(first, self.count):
            time = self._time(index)
            while following is not None and following.time <= time + late:
                current, following = following, next(shown, None)
            missing = following is None and current.time + late < source.last
            if missing and time + late >= current.time + source.length - source.last:
                return self._damaged(current.time)
            if kept is None or kept[0] != current.time:
                kept = current.time, current.picture()
            yield index, kept[1]

    def _time(self, index: int) -> Fraction:
        return self._start + index / self.fps

    def _damaged(self, time: Fraction | float) -> None:
        self._source.note(f"is damaged: nothing can be read after {float(time):.2f} seconds")


def open_clip(
    path: str | os.PathLike[str],
    start: Seconds | None = None,
    end: Seconds | None = None,
    fps: Seconds | None = None,
) -> Clip:
    """Open a clip for reading.

    Colors are converted to full-range RGB by the matrix (BT.601, BT.709 or BT.2020) and the range
    that the file tells. If it tells none they are those that players suppose: limited range, and
    BT.709 from 1280 columns or 577 rows on, else BT.601. Interlaced pictures are deinterlaced, and
    alpha is dropped.

    A video file is scanned once, without decoding, for the times of its pictures.

    Args:
      path: A video file that FFmpeg can read, a GIF, an animated WebP, a folder of pictures, or a
        pattern such as ``frames/%04d.png`` or ``frames/*.png``. Pictures are in the order of their
        names, with numbers by value, and their numbers may have no gap.
      start, end: The part to read, in seconds from the first picture.
      fps: Frames per second. By default every picture is shown once, if they come at a constant
        rate; else it is the average. Folders have 24.

    Raises:
      ImageError: There is no such clip, it cannot be read, is HDR, or ends before `start`.
    """
    name = os.fspath(path)
    for seconds in (start, end):
        if seconds is not None and not isfinite(seconds):
            raise ImageError(f"{name}: cannot start or end at {seconds} seconds: give a number")
    rate = _checked_rate(name, fps)
    source = _source(name, rate)
    first = Fraction(start or 0)
    last = source.length if end is None else min(Fraction(end), source.length)
    if first < 0:
        raise ImageError(f"{name}: cannot start at {float(first):g} seconds: use 0 or more")
    if first > source.length - _TINY:
        raise ImageError(
            f"{name}: is {float(source.length):.3g} seconds long: start before that, not at "
            f"{float(first):g}"
        )
    if last < first + 2 * _TINY:
        raise ImageError(
            f"{name}: has no frames from {float(first):g} to {float(last):g} seconds: end later"
        )
    return Clip(source, first, last, rate or source.rate)


def _checked_rate(name: str, fps: Seconds | None) -> Fraction | None:
    if fps is None:
        return None
    if not 0.01 <= fps <= 1000:
        raise ImageError(f"{name}: {float(fps):g} frames per second: use 0.01 to 1000")
    return Fraction(fps).limit_denominator(1001)


def _source(name: str, rate: Fraction | None) -> Source:
    if os.path.isdir(name) or (not os.path.lexists(name) and _folder.is_pattern(name)):
        return _folder.open_pictures(name, rate)
    with open_file(name, again=True) as file:
        head = file.read(64)
    if not head:
        raise ImageError(f"{name}: the file is empty")
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return _webp.open_webp(name)
    return _file.open_video(name)
