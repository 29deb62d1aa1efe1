"""Pixels: read, write, resize. An image is float32, (height, width, 3), sRGB values in [0, 1].

Files and their formats are in `image_read` and `image_write`, the rules of resizing in `resample`;
the public names of these are here too.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from jaxstyle.image_read import ImageError, Picture, read, read_description, read_sides
from jaxstyle.image_write import (
    check_directory,
    check_format,
    check_target,
    check_writable,
    encoded,
    write,
    write_text,
)
from jaxstyle.resample import RESAMPLINGS, resample

__all__ = [
    "RESAMPLINGS",
    "ImageError",
    "Picture",
    "check_directory",
    "check_format",
    "check_target",
    "check_writable",
    "encoded",
    "listed",
    "read",
    "read_description",
    "read_sides",
    "resize",
    "write",
    "write_text",
]


EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".gif", ".bmp")


def listed(sources: Iterable[Any]) -> list[Any]:
    """The sources, every folder among them replaced by the pictures in it, by name.

    Raises:
      ImageError: there is no picture in a folder.
    """
    each = [
        _pictures_in(Path(source))
        if isinstance(source, str | os.PathLike) and os.path.isdir(source)
        else [source]
        for source in sources
    ]
    return [source for part in each for source in part]


def _pictures_in(folder: Path) -> list[str]:
    found = sorted(
        str(path)
        for path in folder.iterdir()
        if path.suffix.lower() in EXTENSIONS and not path.name.startswith(".")
    )
    if not found:
        raise ImageError(f"{folder}: there are no pictures in this folder")
    return found


def resize(
    values: Float32[np.ndarray, "height width *channels"],
    height: int,
    width: int,
    resampling: str = "lanczos",
) -> Float32[np.ndarray, "{height} {width} *channels"]:
    """Resample an image (or alpha, without a channel axis) in float32; clipped to [0, 1].

    The same size gives the same values, by any rule.

    Args:
      resampling: one of `RESAMPLINGS`, which `resample` explains.

    Raises:
      ValueError: if a size is less than 1, or if there is no such rule.
    """
    if min(height, width) < 1:
        raise ValueError(f"sizes must be at least 1: {height} x {width}")
    if resampling not in RESAMPLINGS:
        raise ValueError(f"no resampling {resampling!r}: choose from {', '.join(RESAMPLINGS)}")
    if values.shape[:2] == (height, width):
        return values.copy()
    channels = values.reshape(*values.shape[:2], -1)
    resized = np.empty((height, width, channels.shape[2]), np.float32)
    for channel in range(channels.shape[2]):  # one at a time: a large picture is large enough
        plane = channels[..., channel]
        np.clip(resample(plane, height, width, resampling), 0, 1, out=resized[..., channel])
    return resized.reshape(height, width, *values.shape[2:])
