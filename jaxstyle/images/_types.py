"""What a picture is, and what is said of one that is none."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

FORMATS_READ = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")
"""Pillow's names of what is read; it is told no others."""


@dataclass(frozen=True)
class Picture:
    """Pixels: sRGB values in [0, 1], and the straight (not premultiplied) alpha if there is any."""

    rgb: Float32[np.ndarray, "height width 3"]
    alpha: Float32[np.ndarray, "height width"] | None = None
