"""The codecs and containers of clips that are written, and their quality."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from jaxstyle.errors import ImageError, did_you_mean

QUALITY = 70
"""Usual quality, at which losses are hard to see."""

CONTAINERS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm", ".avi": "avi"}
"""Names in FFmpeg of the containers of videos, by file extension."""

ANIMATIONS = (".gif", ".webp")
"""Extensions of animations, which Pillow writes."""

EXTENSIONS = (*CONTAINERS, *ANIMATIONS)
"""File extensions of the clips that can be written."""

_THREADS = "4"
"""As many on every machine: the bytes depend on it."""


class Codec(NamedTuple):
    """A codec of videos.

    Attributes:
      encoder: Its encoder in FFmpeg.
      pixels: The pixel format, in the words of FFmpeg.
      even: What the height and the width must be multiples of.
      extensions: Of the containers that hold it.
      options: Returns the options of the encoder for a quality from 0 to 100.
    """

    encoder: str
    pixels: str
    even: tuple[int, int]
    extensions: tuple[str, ...]
    options: Callable[[int], dict[str, str]]


def _crf(quality: int, worst: int) -> int:
    return max(1, round(worst * (100 - quality) / 100))  # 0 is a lossless mode few can play


def _h264(quality: int) -> dict[str, str]:
    return {"crf": str(_crf(quality, 51)), "preset": "medium", "threads": _THREADS}


def _hevc(quality: int) -> dict[str, str]:
    private = f"log-level=none:pools={_THREADS}:frame-threads=2"
    return {"crf": str(_crf(quality, 51)), "preset": "medium", "x265-params": private}


def _av1(quality: int) -> dict[str, str]:
    return {"crf": str(_crf(quality, 63)), "preset": "6", "svtav1-params": f"lp={_THREADS}"}


def _vp9(quality: int) -> dict[str, str]:
    speed = {"deadline": "good", "cpu-used": "2", "row-mt": "1", "threads": _THREADS}
    return {"crf": str(_crf(quality, 63)), "b": "0", **speed}


def _prores(quality: int) -> dict[str, str]:
    scale = 1 + round(31 * (100 - quality) / 100)
    return {
        "profile": "hq",
        "vendor": "apl0",
        "global_quality": str(scale * 118),
        "flags": "+qscale",
    }


def _png(quality: int) -> dict[str, str]:
    return {"pred": "mixed", "threads": _THREADS}


CODECS = {
    "h264": Codec("libx264", "yuv420p", (2, 2), (".mp4", ".mov", ".mkv", ".avi"), _h264),
    "hevc": Codec("libx265", "yuv420p", (2, 2), (".mp4", ".mov", ".mkv"), _hevc),
    "av1": Codec("libsvtav1", "yuv420p", (2, 2), (".mp4", ".mkv", ".webm"), _av1),
    "vp9": Codec("libvpx-vp9", "yuv420p", (2, 2), (".mp4", ".mkv", ".webm"), _vp9),
    "prores": Codec("prores_ks", "yuv422p10le", (1, 2), (".mov", ".mkv"), _prores),
    "png": Codec("png", "rgb24", (1, 1), (".mov", ".avi"), _png),
}
"""The codecs of videos by name.

The quality from 0 to 100 goes through the range of the encoder: for 70, the usual one, crf is 15
for H.264 and HEVC and 19 for AV1 and VP9, and the scale of quantization of ProRes is 10. PNG is
always lossless.
"""


@contextmanager
def quiet_encoder() -> Iterator[None]:
    """Keep the AV1 encoder, which may be opened in the block, from printing its settings."""
    if "SVT_LOG" in os.environ:
        yield
        return
    os.environ["SVT_LOG"] = "1"  # errors alone
    try:
        yield
    finally:
        os.environ.pop("SVT_LOG", None)


def codec_for(name: str, extension: str, codec: str | None) -> Codec | None:
    """Return the codec for a file; None if it is an animation.

    Args:
      name: The file.
      extension: Its extension in lower case, a key of `CONTAINERS` or one of `ANIMATIONS`.
      codec: A key of `CODECS`, or None for the usual one of the container.

    Raises:
      ImageError: There is no such codec, or the container cannot hold it.
    """
    if extension in ANIMATIONS:
        if codec:
            raise ImageError(f"{name}: {extension} has no codecs: leave out {codec}")
        return None
    codec = codec or ("av1" if extension == ".webm" else "h264")
    if codec not in CODECS:
        hint = did_you_mean(codec, CODECS) or f": use {', '.join(CODECS)}"
        raise ImageError(f"{name}: there is no codec {codec!r}{hint}")
    found = CODECS[codec]
    if extension not in found.extensions:
        raise ImageError(
            f"{name}: {extension} cannot hold {codec}: use {' or '.join(found.extensions)}"
        )
    return found


def extension_of(name: str) -> str:
    """Return the extension of a file in lower case."""
    return os.path.splitext(name)[1].lower()
