"""Clips for tests: frames that say their number, and video files with the tags of choice."""

from collections.abc import Iterable
from fractions import Fraction

import av
import numpy as np

from jaxstyle.images.video import Clip

PATCH = 40
"""Pixels a side of a patch of the chart."""

COLORS = np.array(
    [
        [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)],
        [(0, 255, 255), (255, 0, 255), (255, 255, 255), (0, 0, 0)],
        [(128, 128, 128), (200, 120, 40), (60, 20, 90), (10, 200, 120)],
    ],
    np.uint8,
)


def chart() -> np.ndarray:
    """Return a frame of 120 x 160 pixels of flat patches."""
    return COLORS.repeat(PATCH, 0).repeat(PATCH, 1)


def chart_error(frame: np.ndarray) -> float:
    """Return by how many levels the mean of a patch of the chart is off, at most."""
    rows, columns = COLORS.shape[:2]
    patches = frame.reshape(rows, PATCH, columns, PATCH, 3)[:, 6:-6, :, 6:-6]
    return float(np.abs(patches.mean((1, 3)) - COLORS).max())


def gray(level: float, height: int = 48, width: int = 64) -> np.ndarray:
    """Return a frame of one level of gray."""
    return np.full((height, width, 3), level, np.uint8)


def numbered(count: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    """Return frames whose level of gray tells their number."""
    return [gray(20 + 8 * number, height, width) for number in range(count)]


def numbers(frames: Iterable[tuple[int, np.ndarray]]) -> list[int]:
    """Return the numbers that the frames of a clip show, after checking how they are counted."""
    shown = list(frames)
    if shown:
        first = shown[0][0]
        assert [index for index, _ in shown] == list(range(first, first + len(shown)))
    return [round((float(frame.mean()) - 20) / 8) for _, frame in shown]


def all_frames(clip: Clip) -> list[np.ndarray]:
    """Return the frames of a clip."""
    return [frame for _, frame in clip.frames()]


def write_video(
    path,
    frames: Iterable[np.ndarray],
    *,
    times: Iterable[int] | None = None,
    rate: int | Fraction = 25,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    matrix: int = 1,
    full: bool = False,
    tags: dict[str, int] | None = None,
    options: dict[str, str] | None = None,
    aspect: Fraction | None = None,
) -> None:
    """Write a video as other programs do.

    Args:
      path: Its extension says the container.
      frames: RGB, or RGBA for pixel formats with alpha.
      times: Of the frames, in milliseconds; by default they come at the rate.
      rate: Frames per second.
      codec, pixels, options: The encoder in FFmpeg, its pixel format and its options.
      matrix: The colorspace of swscale to encode with.
      full: Whether levels have the full range.
      tags: Attributes of the encoder that say what the colors are.
      aspect: Width of a pixel by its height.
    """
    frames = list(frames)
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixels
        context = stream.codec_context
        for name, value in (tags or {}).items():
            setattr(context, name, value)
        if aspect:
            context.sample_aspect_ratio = aspect
        base = Fraction(1, 1000) if times is not None else 1 / Fraction(rate)
        context.time_base = base
        for time, frame in zip(times or range(len(frames)), frames, strict=True):
            picture = av.VideoFrame.from_ndarray(
                np.ascontiguousarray(frame), format="rgba" if frame.shape[2] == 4 else "rgb24"
            )
            picture = picture.reformat(
                format=pixels, dst_colorspace=matrix, dst_color_range=2 if full else 1
            )
            picture.pts, picture.time_base = time, base
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
