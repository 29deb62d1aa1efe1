"""Pictures from arrays."""

from typing import Any

import numpy as np
from jaxtyping import Float32

from jaxstyle.errors import ImageError
from jaxstyle.images._types import Picture


def read_array(source: Any) -> Picture:
    """The picture in anything that `np.asarray` makes an array of: see `jaxstyle.images.read`.

    Raises:
      ImageError: it is no picture.
    """
    try:
        array = np.asarray(source)
    except (ValueError, TypeError) as error:  # nested lists of unequal lengths
        raise ImageError(f"a {type(source).__name__} that makes no array: {error}") from error
    values = _unit_array(array)
    if array.ndim == 2:
        values = values[..., None]
    if values.ndim != 3 or values.shape[2] not in (1, 3, 4) or values.size == 0:
        raise ImageError(
            f"an array of shape {array.shape} is not an image: wanted (height, width) or "
            "(height, width, channels) with 1, 3 or 4 channels"
        )
    return Picture(*_channels(values))


def _channels(
    values: Float32[np.ndarray, "height width channels"],
) -> tuple[np.ndarray, np.ndarray | None]:
    """RGB and alpha of 1 (grey), 3 or 4 (RGBA) channels."""
    rgb = np.repeat(values, 3, axis=2) if values.shape[2] == 1 else values[..., :3]
    alpha = np.ascontiguousarray(values[..., 3]) if values.shape[2] == 4 else None
    return np.ascontiguousarray(rgb), alpha


def _unit_array(array: np.ndarray) -> np.ndarray:
    """Any admitted pixel type as a new float32 array in [0, 1]."""
    if array.dtype in (np.uint8, np.uint16):
        return np.divide(array, np.float32(np.iinfo(array.dtype).max), dtype=np.float32)
    if array.dtype.kind != "f" and array.dtype.name != "bfloat16":
        raise ImageError(
            f"an array of {array.dtype} is not an image: wanted uint8, uint16, or floats in [0, 1]"
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
