"""Conversion of arrays to `Picture`, and of images to levels of 8 bits and back."""

from typing import Any

import numpy as np
from jaxtyping import Float, Float32, UInt8

from jaxstyle.errors import ImageError
from jaxstyle.images._types import Picture


def read_array(source: Any) -> Picture:
    """Convert anything that `np.asarray` accepts to a picture.

    `jaxstyle.images.read` lists the shapes and types allowed.

    Raises:
      ImageError: The array cannot be interpreted as an image.
    """
    try:
        array = np.asarray(source)
    except (ValueError, TypeError) as error:  # nested lists of unequal lengths
        raise ImageError(f"cannot convert {type(source).__name__} to an array: {error}") from error
    values = _unit_array(array)
    if array.ndim == 2:
        values = values[..., None]
    if values.ndim != 3 or values.shape[2] not in (1, 3, 4) or values.size == 0:
        raise ImageError(
            f"an array of shape {array.shape} is not an image: expected (height, width) or "
            "(height, width, channels) with 1, 3 or 4 channels"
        )
    return Picture(*_channels(values))


def to_levels(image: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """Return values as levels from 0 to 255; those outside of [0, 1] are clipped."""
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)


def from_levels(levels: UInt8[np.ndarray, "*shape"]) -> Float32[np.ndarray, "*shape"]:
    """Return levels from 0 to 255 as values in [0, 1]."""
    return levels.astype(np.float32) / 255


def _channels(
    values: Float32[np.ndarray, "height width channels"],
) -> tuple[np.ndarray, np.ndarray | None]:
    """Split 1 (gray), 3 (RGB) or 4 (RGBA) channels into RGB and alpha."""
    rgb = np.repeat(values, 3, axis=2) if values.shape[2] == 1 else values[..., :3]
    alpha = np.ascontiguousarray(values[..., 3]) if values.shape[2] == 4 else None
    return np.ascontiguousarray(rgb), alpha


def _unit_array(array: np.ndarray) -> np.ndarray:
    """Convert an array of any supported pixel type to a new float32 array in [0, 1]."""
    if array.dtype in (np.uint8, np.uint16):
        return np.divide(array, np.float32(np.iinfo(array.dtype).max), dtype=np.float32)
    if array.dtype.kind != "f" and array.dtype.name != "bfloat16":
        raise ImageError(
            f"an array of {array.dtype} is not an image: expected uint8, uint16 or floats in [0, 1]"
        )
    values = array.astype(np.float32)
    if not np.isfinite(values).all():
        raise ImageError(f"an array of shape {array.shape} holds NaN or infinite values")
    if values.size and (values.min() < 0 or values.max() > 1):
        raise ImageError(
            f"an array of shape {array.shape} has values from {values.min():g} to "
            f"{values.max():g}: scale floats to [0, 1]"
        )
    return values
