"""Animations of the optimization, as WebP or GIF."""

import io
import os
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32
from PIL import Image

from jaxstyle.errors import ImageError
from jaxstyle.images import resize
from jaxstyle.images._write import check_target, replace_file
from jaxstyle.images.sizes import fit

_EXTENSIONS = (".webp", ".gif")
_LONGEST = 640  # longest side in pixels, which limits the size of the file
_HOLD = 2000  # extra milliseconds for the last frame


def check_timelapse(path: str | os.PathLike[str]) -> None:
    """Check before a run that `write_timelapse` will be able to write a path.

    Raises:
      ImageError: The path cannot be written.
    """
    check_target(path, _EXTENSIONS)


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
    """Write frames as a looping animation, atomically.

    All frames are resized to the size of the last one, reduced to at most 640 pixels a side. The
    last frame is shown two seconds longer.

    Args:
      path: A .webp or .gif file in an existing directory.
      frames: At least one image; sizes may differ, as those of coarser scales do.
      milliseconds: The duration of a frame, at least 1. Browsers slow down frames shorter than 20.

    Raises:
      ImageError: There are no frames, the duration is too short, or the file cannot be written. An
        existing file is left unchanged.
    """
    name = os.fspath(path)
    extension = check_target(name, _EXTENSIONS)
    if not frames:
        raise ImageError(f"{name}: a timelapse needs at least one frame")
    if milliseconds < 1:
        raise ImageError(
            f"{name}: {milliseconds} milliseconds per frame are too few: use at least 1"
        )
    height, width, _ = frame(frames[-1]).shape
    images = [_image(resize(each, height, width)) for each in frames]
    durations = [milliseconds] * (len(images) - 1) + [milliseconds + _HOLD]
    encode = _gif if extension == ".gif" else _webp
    replace_file(name, encode(images, durations))


def _image(values: np.ndarray) -> Image.Image:
    return Image.fromarray(np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8))


def _webp(images: list[Image.Image], durations: list[int]) -> bytes:
    return _animation("WEBP", images, durations, quality=85)


def _gif(images: list[Image.Image], durations: list[int]) -> bytes:
    # Each frame has its own palette, since colors change from photograph to painting. The second
    # quantization adds dithering: median cut alone leaves bands in skies.
    paletted = [image.quantize(palette=image.quantize()) for image in images]
    return _animation("GIF", paletted, durations)


def _animation(kind: str, images: list[Image.Image], durations: list[int], **options: int) -> bytes:
    buffer = io.BytesIO()
    first, *rest = images
    first.save(
        buffer, kind, save_all=True, append_images=rest, duration=durations, loop=0, **options
    )
    return buffer.getvalue()
