"""The `Picture` type and the file formats that can be read."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

FORMATS_READ = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")
"""Pillow's names of the accepted input formats; all others are refused."""


@dataclass(frozen=True)
class Picture:
    """A decoded image.

    Attributes:
      rgb: sRGB values in [0, 1].
      alpha: straight (not premultiplied) alpha in [0, 1], or None for an opaque image.
      notes: what a user should know of how the file was read, a sentence each.
    """

    rgb: Float32[np.ndarray, "height width 3"]
    alpha: Float32[np.ndarray, "height width"] | None = None
    notes: tuple[str, ...] = ()
