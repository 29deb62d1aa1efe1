"""Which paths are clips, and which are pictures."""

import glob
import os
from pathlib import Path

from PIL import Image

from jaxstyle.errors import ImageError
from jaxstyle.images import EXTENSIONS
from jaxstyle.images._read import quiet_pillow

_EITHER = (".gif", ".webp", ".png", ".avif")
"""Extensions of files that hold one picture or several."""

_FORMATS = ("GIF", "WEBP", "PNG", "AVIF")
"""What Pillow calls them."""


def is_clip(path: str | os.PathLike[str]) -> bool:
    """Return whether a path is that of a clip: several pictures in time.

    These are folders, patterns of file names, animations, and all files that are not named as
    pictures are.
    """
    name = os.fspath(path)
    if os.path.isdir(name):
        return True
    if not os.path.exists(name):
        pattern = glob.has_magic(name) or "%" in name
        return pattern or Path(name).suffix.lower() not in EXTENSIONS
    if not os.path.isfile(name):  # a pipe, which could be read once only
        return False
    suffix = Path(name).suffix.lower()
    if suffix not in _EITHER:
        return suffix not in EXTENSIONS
    try:
        with quiet_pillow(name), Image.open(name, formats=_FORMATS) as picture:
            return getattr(picture, "n_frames", 1) > 1
    except ImageError:
        return False
