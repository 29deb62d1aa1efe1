"""What a video file says of its pictures before they are read."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from jaxstyle.errors import ImageError
from jaxstyle.images.video._colors import check_not_hdr
from jaxstyle.images.video._container import decoded, has_no_times
from jaxstyle.images.video._pyav import pyav
from jaxstyle.images.video._source import Frame

_LONGEST = 32768
_LARGEST_ASPECT = 20


class Probe(NamedTuple):
    """What the first pictures of a file say of all.

    Attributes:
      height, width: Of a picture with square pixels, before it is turned upright.
      matrix: The display matrix, which turns it upright: a, b, c and d of x' = a x + c y and
        y' = b x + d y. None if it is upright.
      interlaced: Whether the pictures are.
      alpha: Whether they have transparency.
    """

    height: int
    width: int
    matrix: tuple[int, int, int, int] | None
    interlaced: bool
    alpha: bool

    @property
    def upright(self) -> tuple[int, int]:
        """The height and width after turning."""
        sideways = self.matrix is not None and _is_sideways(self.matrix)
        return (self.width, self.height) if sideways else (self.height, self.width)


def times_of(container: Any, stream: Any, name: str) -> tuple[list[Fraction], Fraction]:
    """Return the times at which pictures appear, ascending, and the duration of the last one.

    Raises:
      ImageError: There are no pictures.
    """
    found: dict[int, int] = {}
    av = pyav()
    try:
        for packet in container.demux(stream):
            time = packet.dts if packet.pts is None or has_no_times(container) else packet.pts
            if time is not None and packet.size and not packet.is_discard:
                found[time] = packet.duration or 0
    except av.error.FFmpegError:
        pass  # of a truncated file: what was found counts
    if not found:
        raise ImageError(f"{name}: has no pictures, or is damaged: nothing can be read")
    ticks = sorted(found)
    usual = 1 / stream.average_rate if stream.average_rate else Fraction(1, 24)
    duration = found[ticks[-1]] * stream.time_base or usual
    return [tick * stream.time_base for tick in ticks], duration


def probe_of(container: Any, stream: Any, name: str) -> Probe:
    """Return what the first pictures say of all.

    Raises:
      ImageError: There are none, or they are HDR or far too large.
    """
    frames = [frame for frame, _ in zip(decoded(container, stream), range(4), strict=False)]
    if not frames:
        raise ImageError(
            f"{name}: is damaged, or of a kind that is not supported: no picture can be read"
        )
    first = frames[0]
    check_not_hdr(first, name)
    height, width = _square(first.height, first.width, stream.sample_aspect_ratio)
    if max(height, width) > _LONGEST:
        raise ImageError(f"{name}: has {width}x{height} pixels: use at most {_LONGEST} a side")
    alpha = any(part.is_alpha for part in first.format.components)
    if alpha and stream.codec_context.name in ("gif", "apng"):  # whose format always has it
        alpha = bool((first.to_ndarray(format="rgba")[..., 3] < 255).any())
    return Probe(
        height=height,
        width=width,
        matrix=_matrix(first),
        interlaced=any(frame.interlaced_frame for frame in frames),
        alpha=alpha or stream.metadata.get("alpha_mode") == "1",
    )


def notes_of(stream: Any, probe: Probe, count: int) -> Iterator[str]:
    """Yield what the user should know about a video."""
    if probe.alpha:
        yield "its transparency is dropped"
    if probe.interlaced:
        yield "is interlaced: it is deinterlaced"
    if stream.frames > count:
        yield f"is truncated: {count} of its {stream.frames} pictures are there"


def _square(height: int, width: int, aspect: Fraction | None) -> tuple[int, int]:
    """Return the sides of a picture with square pixels; one side is enlarged."""
    if not aspect or not 1 / _LARGEST_ASPECT < aspect < _LARGEST_ASPECT:
        return height, width
    if aspect > 1:
        return height, round(width * aspect)
    return round(height / aspect), width


def _matrix(frame: Any) -> tuple[int, int, int, int] | None:
    side = frame.side_data.get("DISPLAYMATRIX")
    if side is None or len(bytes(side)) != 36:
        return None
    a, b, _, c, d, *_ = np.frombuffer(bytes(side), np.int32).tolist()
    return a, b, c, d


def _is_sideways(matrix: tuple[int, int, int, int]) -> bool:
    return abs(matrix[1]) > abs(matrix[0])


def turned(picture: Frame, matrix: tuple[int, int, int, int]) -> Frame:
    """Return a picture turned by multiples of 90 degrees, or flipped, as a display matrix says."""
    a, b, c, d = matrix
    if _is_sideways(matrix):
        picture, a, d = picture.swapaxes(0, 1), c, b
    return np.ascontiguousarray(picture[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])
