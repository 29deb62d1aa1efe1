"""Reading of mask pictures, of which there are two kinds.

A *graded* mask picture holds a single mask, soft or hard: its gray levels, where white is inside,
or, for a picture of one color, its alpha. A *segmentation* holds one mask per color.
"""

import os
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from PIL import Image

from jaxstyle.errors import ImageError, MaskError
from jaxstyle.guidance.colors import FEW, NEAR, STRAY, distinct
from jaxstyle.images._read import Picture, read, read_stored


@dataclass(frozen=True)
class MaskPicture:
    """A decoded mask picture, upright.

    Attributes:
      name: The name used in messages.
      graded: Gray levels or alpha in [0, 1], where 1 is inside.
      colors: Colors in 8 bits as stored in the file, without color conversion.
      visible: Pixels whose alpha is at least one half.
      colored: True if it can only be a segmentation.
      notes: What a user should know of how its file was read.
    """

    name: str
    graded: Float32[np.ndarray, "h w"]
    colors: UInt8[np.ndarray, "h w 3"]
    visible: Bool[np.ndarray, "h w"]
    colored: bool
    notes: tuple[str, ...] = ()

    @property
    def sides(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.graded.shape[0], self.graded.shape[1]


def read_mask(source: Any, name: str) -> MaskPicture:
    """Read a mask picture.

    EXIF orientation is applied. ICC profiles are ignored: colors are class labels here and must
    keep their values.

    Args:
      source: A path, a PIL image, or an array, which may be boolean.
      name: The name used in messages if the source is not a path.

    Raises:
      MaskError: The picture cannot be read.
    """
    name = os.fspath(source) if isinstance(source, str | os.PathLike) else name
    try:
        picture, indexed = _stored(source)
    except ImageError as error:
        known = str(error).startswith((name, repr(name)))
        raise MaskError(str(error) if known else f"{name}: {error}") from error
    return replace(_mask(picture, name, indexed), notes=picture.notes)


def _mask(picture: Picture, name: str, indexed: bool) -> MaskPicture:
    """Return the mask that a picture holds; `indexed` tells whether it uses a palette."""
    colors, gray, alpha = _eight_bit(picture.rgb), picture.rgb[..., 1], picture.alpha
    if alpha is None or alpha.min() == 1:
        everywhere = np.ones(gray.shape, bool)
        return MaskPicture(name, gray, colors, everywhere, _colored(colors, indexed))
    painted = colors[alpha > 0]
    if not painted.size or np.ptp(painted, axis=0).max() < NEAR:
        return MaskPicture(name, alpha, colors, alpha >= 0.5, colored=False)
    return MaskPicture(name, gray * alpha, colors, alpha >= 0.5, _colored(painted, indexed))


def _stored(source: Any) -> tuple[Picture, bool]:
    """Read a picture without color conversion; also return whether it uses a palette."""
    if isinstance(source, str | os.PathLike | Image.Image):
        return read_stored(source)
    if getattr(source, "dtype", None) == np.bool_:
        source = np.asarray(source, np.float32)
    return read(source), False


def _eight_bit(rgb: Float32[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    return np.rint(rgb * 255).astype(np.uint8)


def _colored(pixels: UInt8[np.ndarray, "*pixels 3"], indexed: bool) -> bool:
    """Return whether pixels are those of a segmentation.

    They are if any color is not gray, or if the picture uses a palette of 3 to `FEW` grays. Slight
    tints, as from JPEG, count as gray. If there are more than `FEW` colors, a fraction of `STRAY`
    of the pixels is ignored.
    """
    colors, counts = distinct(pixels)
    few = len(colors) <= FEW
    not_gray = counts[np.ptp(colors, axis=-1) > NEAR].sum()
    if not_gray > (0 if few else STRAY * counts.sum()):
        return True
    return indexed and few and len(colors) > 2
