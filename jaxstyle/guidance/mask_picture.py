"""One picture of masks: its values as they are stored, and which of the two kinds it is.

A *graded* one has one mask, soft or hard: gray levels, white being inside, or, where one color is
more or less opaque, its alpha. A *segmentation* has many masks, one a color.
"""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from PIL import Image

from jaxstyle.errors import ImageError, MaskError
from jaxstyle.guidance.colors import FEW, NEAR, STRAY, distinct
from jaxstyle.images._read import Picture, read, read_stored


@dataclass(frozen=True)
class MaskPicture:
    """A picture of masks, upright.

    name: for messages. graded: its gray levels or alpha, 1 being inside. colors: its colors in 8
    bits, as they are stored. visible: where it is not transparent. colored: whether it can only be
    a segmentation.
    """

    name: str
    graded: Float32[np.ndarray, "h w"]
    colors: UInt8[np.ndarray, "h w 3"]
    visible: Bool[np.ndarray, "h w"]
    colored: bool

    @property
    def sides(self) -> tuple[int, int]:
        """Height and width."""
        return self.graded.shape[0], self.graded.shape[1]


def read_mask(source: Any, name: str) -> MaskPicture:
    """A picture of masks from a path, a PIL image or an array (which may be of truth values).

    EXIF orientation is obeyed, an ICC profile is not: colors are classes here, and keep their
    values.

    Args:
      name: what messages call it if it has no path.

    Raises:
      MaskError: it cannot be read.
    """
    name = os.fspath(source) if isinstance(source, str | os.PathLike) else name
    try:
        picture, indexed = _stored(source)
    except ImageError as error:
        known = str(error).startswith((name, repr(name)))
        raise MaskError(str(error) if known else f"{name}: {error}") from error
    colors, gray, alpha = _eight_bit(picture.rgb), picture.rgb[..., 1], picture.alpha
    if alpha is None or alpha.min() == 1:
        everywhere = np.ones(gray.shape, bool)
        return MaskPicture(name, gray, colors, everywhere, _colored(colors, indexed))
    painted = colors[alpha > 0]
    if not painted.size or np.ptp(painted, axis=0).max() < NEAR:
        return MaskPicture(name, alpha, colors, alpha >= 0.5, colored=False)
    return MaskPicture(name, gray * alpha, colors, alpha >= 0.5, _colored(painted, indexed))


def _stored(source: Any) -> tuple[Picture, bool]:
    """The picture without color management, and whether its pixels are indices of a palette."""
    if isinstance(source, str | os.PathLike | Image.Image):
        return read_stored(source)
    if getattr(source, "dtype", None) == np.bool_:
        source = np.asarray(source, np.float32)
    return read(source), False


def _eight_bit(rgb: Float32[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    return np.rint(rgb * 255).astype(np.uint8)


def _colored(pixels: UInt8[np.ndarray, "*pixels 3"], indexed: bool) -> bool:
    """Whether any of the colors is not gray, or the grays are the few of a palette: classes too.

    Where colors are many, some stray pixels do not count; neither does a tinge, as JPEG's.
    """
    colors, counts = distinct(pixels)
    few = len(colors) <= FEW
    not_gray = counts[np.ptp(colors, axis=-1) > NEAR].sum()
    if not_gray > (0 if few else STRAY * counts.sum()):
        return True
    return indexed and few and len(colors) > 2
