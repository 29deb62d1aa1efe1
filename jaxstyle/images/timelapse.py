"""Animations of the optimization, as WebP, GIF or video."""

import os
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from jaxtyping import Float32

from jaxstyle.errors import ImageError
from jaxstyle.images import resize, to_levels
from jaxstyle.images._write import check_target, replace_file
from jaxstyle.images.sizes import fit
from jaxstyle.images.video import ClipWriter, check_clip_target
from jaxstyle.images.video._animation import Animation
from jaxstyle.images.video._codecs import ANIMATIONS, EXTENSIONS, extension_of
from jaxstyle.images.video._source import Frame

_LONGEST = 640  # longest side in pixels, which limits the size of the file
_HOLD = 2000  # extra milliseconds for the last frame


def check_timelapse(path: str | os.PathLike[str]) -> None:
    """Check before a run that `write_timelapse` will be able to write a path.

    Raises:
      ImageError: The path cannot be written, or it is a video, and PyAV is not installed.
    """
    check_clip_target(path, height=_LONGEST, width=_LONGEST)


def frame(
    image: Float32[np.ndarray, "height width 3"],
) -> Float32[np.ndarray, "small_height small_width 3"]:
    """Return an image reduced to at most 640 pixels a side, as `write_timelapse` needs it."""
    height, width, _ = image.shape
    return resize(image, *fit(height, width, min(_LONGEST, max(height, width))))


def write_timelapse(
    path: str | os.PathLike[str],
    frames: Sequence[Float32[np.ndarray, "_ _ 3"]],
    milliseconds: int = 80,
) -> None:
    """Write frames as a looping animation, or as a video, atomically.

    All frames are resized to the size of the last one, reduced to at most 640 pixels a side; sides
    of a video are made even. The last frame is shown two seconds longer.

    Args:
      path: A .webp, .gif, .mp4, .mov, .mkv, .webm or .avi file in an existing directory.
      frames: At least one image; sizes may differ, as those of coarser scales do.
      milliseconds: The duration of a frame, at least 1. Browsers slow down frames shorter than 20.

    Raises:
      ImageError: There are no frames, the duration is too short, or the file cannot be written. An
        existing file is left unchanged.
    """
    name = os.fspath(path)
    animated = check_target(name, EXTENSIONS) in ANIMATIONS
    if not frames:
        raise ImageError(f"{name}: a timelapse needs at least one frame")
    if milliseconds < 1:
        raise ImageError(
            f"{name}: {milliseconds} milliseconds per frame are too few: use at least 1"
        )
    height, width, _ = frame(frames[-1]).shape
    if not animated:
        height, width = height + height % 2, width + width % 2
    levels = [to_levels(resize(each, height, width)) for each in frames]
    write = _write_animation if animated else _write_video
    write(name, levels, milliseconds)


def _write_animation(name: str, frames: list[Frame], milliseconds: int) -> None:
    animation = Animation(extension_of(name))
    for each in frames:
        animation.write(each)
    durations = [milliseconds] * (len(frames) - 1) + [milliseconds + _HOLD]
    replace_file(name, animation.encoded(durations))


def _write_video(name: str, frames: list[Frame], milliseconds: int) -> None:
    height, width, _ = frames[-1].shape
    held = [frames[-1]] * round(_HOLD / milliseconds)
    with ClipWriter(name, height, width, Fraction(1000, milliseconds)) as writer:
        for each in (*frames, *held):
            writer.write(each)
