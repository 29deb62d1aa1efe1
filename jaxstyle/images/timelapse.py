"""An animation of the optimization, as WebP or GIF."""

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
_LONGEST = 640  # pixels: an animation is for looking at, and its size on disk counts
_HOLD = 2000  # milliseconds more for the last frame


def check_timelapse(path: str | os.PathLike[str]) -> None:
    """Find out before a run whether `write_timelapse` can write this path afterwards.

    Raises:
      ImageError: it cannot, with the reason and what to do.
    """
    check_target(path, _EXTENSIONS)


def frame(
    image: Float32[np.ndarray, "height width 3"],
) -> Float32[np.ndarray, "small_height small_width 3"]:
    """An image at the size an animation has, for keeping until `write_timelapse`."""
    height, width, _ = image.shape
    return resize(image, *fit(height, width, min(_LONGEST, max(height, width))))


def write_timelapse(
    path: str | os.PathLike[str],
    frames: Sequence[Float32[np.ndarray, "_ _ 3"]],
    milliseconds: int = 80,
) -> None:
    """Write frames as an endless animation, .webp or .gif, atomically.

    Frames of coarser scales are enlarged to the size of the last one, of which at most 640 pixels
    a side are kept. The last frame stays two seconds longer. Browsers show frames of under 20
    milliseconds slower than asked.

    Raises:
      ImageError: no frames, or the file cannot be written; an old file there is unchanged.
    """
    name = os.fspath(path)
    extension = check_target(name, _EXTENSIONS)
    if not frames:
        raise ImageError(f"{name}: a timelapse needs at least one frame")
    if milliseconds < 1:
        raise ImageError(f"{name}: {milliseconds} milliseconds a frame are too few")
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
    # A palette of its own for each frame, as the colors change from photograph to painting, and
    # then dithering: median cut alone leaves bands in skies.
    paletted = [image.quantize(palette=image.quantize()) for image in images]
    return _animation("GIF", paletted, durations)


def _animation(kind: str, images: list[Image.Image], durations: list[int], **options: int) -> bytes:
    buffer = io.BytesIO()
    first, *rest = images
    first.save(
        buffer, kind, save_all=True, append_images=rest, duration=durations, loop=0, **options
    )
    return buffer.getvalue()
