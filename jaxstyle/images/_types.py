"""The `Picture` type and the file formats that can be read."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float32

from jaxstyle.images.transparency import filled, joined, split

FORMATS_READ = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF")
"""Pillow's names of the accepted input formats; all others are refused."""


@dataclass(frozen=True)
class Picture:
    """A decoded image.

    Attributes:
      rgb: sRGB values in [0, 1].
      alpha: straight (not premultiplied) alpha in [0, 1], or None for an opaque image.
      notes: what a user should know of how the file was read, a sentence each.
      dpi: horizontal and vertical dots per inch, None if the file does not tell.
    """

    rgb: Float32[np.ndarray, "height width 3"]
    alpha: Float32[np.ndarray, "height width"] | None = None
    notes: tuple[str, ...] = ()
    dpi: tuple[float, float] | None = None

    @cached_property
    def pixels(self) -> Float32[np.ndarray, "height width channels"]:
        """What can be seen: RGB, or RGB and alpha if not every pixel is opaque.

        The colors of fully transparent pixels are those of the visible pixels around them.
        """
        if self.alpha is None or self.alpha.min() == 1:
            return self.rgb
        return joined(filled(self.rgb, self.alpha), self.alpha)

    def over_white(self) -> Float32[np.ndarray, "height width 3"]:
        """Return the picture laid over white."""
        if self.alpha is None:
            return self.rgb
        alpha = self.alpha[..., None]
        return self.rgb * alpha + (1 - alpha)

    @classmethod
    def of(cls, pixels: Float32[np.ndarray, "height width channels"]) -> "Picture":
        """Return the picture of these pixels: RGB, or RGB and alpha."""
        return cls(*split(pixels))

    def resized(self, pixels: Float32[np.ndarray, "height width channels"]) -> "Picture":
        """Return the picture with these pixels, made of its own ``pixels`` by resizing."""
        rgb, alpha = split(pixels)
        if alpha is None and self.alpha is not None:  # every pixel is opaque
            alpha = np.ones(rgb.shape[:2], np.float32)
        picture = replace(self, rgb=rgb, alpha=alpha)
        vars(picture)["pixels"] = pixels  # filled already
        return picture
