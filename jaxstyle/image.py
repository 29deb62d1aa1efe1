"""Pixels: read, write, resize. An image is float32, (height, width, 3), sRGB values in [0, 1].

Files and their formats are in `image_read` and `image_write`, whose public names are here too.
"""

import numpy as np
from jaxtyping import Float32
from PIL import Image

from jaxstyle.image_read import ImageError, Picture, read, read_description
from jaxstyle.image_write import check_directory, check_writable, write, write_text

__all__ = [
    "ImageError",
    "Picture",
    "check_directory",
    "check_writable",
    "read",
    "read_description",
    "resize",
    "write",
    "write_text",
]


def resize(
    values: Float32[np.ndarray, "height width *channels"], height: int, width: int
) -> Float32[np.ndarray, "{height} {width} *channels"]:
    """Resample an image (or alpha, without a channel axis) in float32; clipped to [0, 1].

    Pillow's antialiased Lanczos filter when the picture shrinks, which keeps it crisp, and its
    bicubic when it grows, which rings less at hard edges. The same size gives the same values.
    """
    if min(height, width) < 1:
        raise ValueError(f"sizes must be at least 1: {height} x {width}")
    if values.shape[:2] == (height, width):
        return values.copy()
    shrinks = height * width < values.shape[0] * values.shape[1]
    resample = Image.Resampling.LANCZOS if shrinks else Image.Resampling.BICUBIC

    def plane(channel: np.ndarray) -> np.ndarray:
        image = Image.fromarray(np.ascontiguousarray(channel))  # float32 becomes mode F
        return np.asarray(image.resize((width, height), resample))

    planes = np.moveaxis(values.reshape(*values.shape[:2], -1), -1, 0)
    resized = np.stack([plane(channel) for channel in planes], axis=-1)
    return np.clip(resized, 0, 1).reshape(height, width, *values.shape[2:])
