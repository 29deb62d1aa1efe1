"""GIF and animated WebP, written by Pillow."""

import io
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from PIL import ExifTags, Image

from jaxstyle.errors import ImageError
from jaxstyle.images._read import SOFTWARE
from jaxstyle.images.video._codecs import extension_of
from jaxstyle.images.video._source import Frame

_STEP = {".gif": 10, ".webp": 1}
"""Milliseconds that durations are multiples of."""

_LONGEST = {".gif": 65535, ".webp": 16383}
"""Maximum side in pixels."""


def check_animation(name: str, height: int, width: int) -> None:
    """Check that an animation may have so many pixels.

    Raises:
      ImageError: There are too many.
    """
    longest = _LONGEST[extension_of(name)]
    if max(height, width) > longest:
        raise ImageError(
            f"{name}: may have {longest} pixels a side, not {max(height, width)}: use .mkv"
        )


class Animation:
    """The frames of an animation, which are in memory until it is encoded.

    Args:
      extension: .gif or .webp.
    """

    def __init__(self, extension: str) -> None:
        """Start an animation without frames."""
        self._extension = extension
        self._images: list[Image.Image] = []

    def write(self, frame: Frame) -> None:
        """Add a frame; all must have the same size."""
        image = Image.fromarray(frame)
        if self._extension == ".gif":
            # Each frame has its own palette, since colors change from photograph to painting. The
            # second quantization adds dithering: median cut alone leaves bands in skies.
            image = image.quantize(palette=image.quantize())
        self._images.append(image)

    def encoded(self, durations: Iterable[int], description: str = "") -> bytes:
        """Return the animation as a file that loops for ever.

        Args:
          durations: Milliseconds of each frame.
          description: Text for the metadata.
        """
        buffer = io.BytesIO()
        first, *rest = self._images
        options: dict[str, Any] = {"save_all": True, "append_images": rest, "loop": 0}
        options |= {"duration": list(durations)}
        if self._extension == ".gif":
            options |= {"comment": description.encode()} if description else {}
            first.save(buffer, "GIF", **options)
        else:
            first.save(buffer, "WEBP", quality=85, exif=_exif(description), **options)
        return buffer.getvalue()

    def durations(self, fps: Fraction) -> list[int]:
        """Return the milliseconds of each frame at a constant rate, rounded so that none are lost.

        Args:
          fps: Frames per second.
        """
        step = _STEP[self._extension]
        ends = [round(1000 * index / fps / step) * step for index in range(len(self._images) + 1)]
        return [max(step, end - start) for start, end in zip(ends, ends[1:], strict=False)]


def _exif(description: str) -> bytes:
    if not description:
        return b""
    exif = Image.Exif()
    exif[ExifTags.Base.Software] = SOFTWARE
    exif[ExifTags.Base.ImageDescription] = description
    return exif.tobytes()
