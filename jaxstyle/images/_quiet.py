"""Keeping decoders from writing to standard error: what is wrong is said once, by an exception."""

import contextlib
import logging
import os
import re
import tempfile
import warnings
from collections.abc import Iterator

from PIL import Image

_STDERR = 2
_OF_LIBTIFF = re.compile(rb"(?m)^(?:\w*[A-Z]\w*|tempfile\.tif): .*\.\n")
"""A message of libtiff: the name of a function of it, or Pillow's of the file, and a sentence."""


@contextlib.contextmanager
def no_warnings() -> Iterator[None]:
    """Hide Python warnings, and messages that Pillow logs where the program has set up no logging.

    These settings are global to the process: only one thread may be in this context.
    """
    logger, handler = logging.getLogger("PIL"), logging.NullHandler()
    logger.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.removeHandler(handler)


def load(image: Image.Image) -> None:
    """Decode an image, keeping back the messages of libtiff.

    Only one thread may call this at a time.
    """
    if any(tile[0] == "libtiff" for tile in getattr(image, "tile", ())):
        with _without_libtiff():
            image.load()
    else:
        image.load()


@contextlib.contextmanager
def _without_libtiff() -> Iterator[None]:
    """Keep back what libtiff writes to the file descriptor of standard error.

    Meanwhile the descriptor leads to a temporary file. What other threads have written there is
    passed on at the end.
    """
    with contextlib.ExitStack() as stack:
        try:
            kept = os.dup(_STDERR)
            stack.callback(os.close, kept)
            held = stack.enter_context(tempfile.TemporaryFile(buffering=0))
        except OSError:  # it is closed, or there is no temporary folder
            yield
            return
        os.dup2(held.fileno(), _STDERR)
        try:
            yield
        finally:
            os.dup2(kept, _STDERR)
            held.seek(0)
            if others := _OF_LIBTIFF.sub(b"", held.read()):
                os.write(kept, others)
