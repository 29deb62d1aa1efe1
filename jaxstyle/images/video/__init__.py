"""Clips: videos, animations and folders of frames, read and written frame by frame.

A frame is a uint8 array of shape (height, width, 3) of sRGB. `open_clip` reads a clip at a constant
rate, `ClipWriter` writes one, and `flow` holds how the pixels move from one frame to the next.

Videos need PyAV, which brings FFmpeg along; folders of pictures, GIF and WebP are written without.
"""

from jaxstyle.images.video._clip import Clip, open_clip
from jaxstyle.images.video._codecs import ANIMATIONS, CODECS
from jaxstyle.images.video._folder import pictures_of
from jaxstyle.images.video._which import is_clip
from jaxstyle.images.video._writer import ClipWriter, check_clip_target

__all__ = [
    "ANIMATIONS",
    "CODECS",
    "Clip",
    "ClipWriter",
    "check_clip_target",
    "is_clip",
    "open_clip",
    "pictures_of",
]
