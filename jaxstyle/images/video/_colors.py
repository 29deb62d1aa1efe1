"""Conversion between the YUV of videos and full-range RGB, by FFmpeg's swscale.

The tags of a video say its matrix and its range. Its transfer function is taken for that of sRGB,
as players do. Primaries are not converted.
"""

from typing import Any

import numpy as np

from jaxstyle.errors import ImageError
from jaxstyle.images.video._pyav import pyav
from jaxstyle.images.video._source import Frame

BT709 = 1
"""The code of BT.709 for matrix, primaries and transfer function, of ITU-T H.273."""

RGB, SRGB = 0, 13
"""The codes of RGB as a matrix, and of the transfer function of sRGB."""

LIMITED, FULL = 1, 2
"""Codes of FFmpeg for the range of levels: 16 to 235, and 0 to 255."""

_MATRICES = {1: "ITU709", 4: "FCC", 5: "ITU601", 6: "ITU601", 7: "SMPTE240M", 9: "BT2020"}
"""Names in PyAV of the matrices of ITU-T H.273."""

_HDR = {16: "PQ", 18: "HLG"}
"""Transfer functions of HDR of ITU-T H.273."""


def check_not_hdr(frame: Any, name: str) -> None:
    """Check that a picture of FFmpeg is not HDR.

    Raises:
      ImageError: It is.
    """
    kind = _HDR.get(frame.color_trc)
    if kind:
        raise ImageError(
            f"{name}: is HDR video ({kind}), which is not supported: convert it to SDR first, as "
            "with the filter tonemap of FFmpeg"
        )


def rgb_of(frame: Any, reformatter: Any, height: int, width: int) -> Frame:
    """Return a picture of FFmpeg as RGB of this size, without its alpha."""
    rgb = reformatter.reformat(
        frame,
        width,
        height,
        "rgb24",
        src_colorspace=_matrix(frame),
        dst_colorspace=_matrix(frame),
        src_color_range=_range(frame),
        dst_color_range=FULL,
        interpolation=_accurate(),
        threads=1,
    )
    return rgb.to_ndarray()


def frame_of(rgb: Frame, reformatter: Any, kind: str) -> Any:
    """Return RGB as a picture of FFmpeg of this pixel format, of BT.709 in limited range."""
    frame = pyav().VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
    if kind == "rgb24":
        return frame
    picture = reformatter.reformat(
        frame,
        format=kind,
        src_colorspace="ITU709",
        dst_colorspace="ITU709",
        src_color_range=FULL,
        dst_color_range=LIMITED,
        interpolation=_accurate(),
        threads=1,
    )
    picture.color_primaries = picture.color_trc = BT709
    return picture


def _accurate() -> Any:
    """Return how swscale is to compute: by bicubic filters, and rounded correctly."""
    flags = pyav().video.reformatter.Interpolation
    return flags.BICUBIC | flags.ACCURATE_RND | flags.FULL_CHR_H_INT | flags.FULL_CHR_H_INP


def _matrix(frame: Any) -> str:
    untagged = "ITU709" if frame.width >= 1280 or frame.height > 576 else "ITU601"
    return _MATRICES.get(frame.colorspace, untagged)


def _range(frame: Any) -> int:
    if frame.color_range in (LIMITED, FULL):
        return frame.color_range
    return FULL if frame.format.is_rgb or frame.format.name.startswith("yuvj") else LIMITED
