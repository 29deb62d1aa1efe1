"""Video files that are open for reading, in PyAV."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jaxstyle.errors import ImageError
from jaxstyle.images import EXTENSIONS
from jaxstyle.images.video._pyav import pyav, reason
from jaxstyle.images.video._source import Source

_FORMATS = "mov,matroska,avi,gif,apng,mpegts,mpeg,flv,asf,ogg,mxf"
"""Formats of FFmpeg that hold a clip themselves; others name further files, or addresses."""


@contextmanager
def opened(name: str) -> Iterator[Any]:
    """Open a video file with PyAV, for reading.

    Raises:
      ImageError: It is no video, or damaged.
    """
    av = pyav()
    # Of hostile files: no other files and no addresses are opened.
    options = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
    try:
        container = av.open(f"file:{name}", options=options, metadata_errors="replace")
    except av.error.FFmpegError as error:
        if os.path.splitext(name)[1].lower() in EXTENSIONS and not name.lower().endswith(".gif"):
            raise ImageError(f"{name}: is a picture, not a clip") from error
        raise ImageError(
            f"{name}: is not a video that can be read, or is damaged: {reason(error)}"
        ) from error
    with container:
        yield container


def video_of(container: Any, name: str) -> Any:
    """Return the stream of pictures of a file, set to decode them in several threads.

    Raises:
      ImageError: There is none, or no decoder for it.
    """
    cover = pyav().stream.Disposition.attached_pic
    streams = [each for each in container.streams.video if not each.disposition & cover]
    if not streams:
        raise ImageError(f"{name}: has no video stream: there are no pictures in it")
    if streams[0].codec_context is None:
        raise ImageError(f"{name}: its video codec is unknown: convert it to another one first")
    streams[0].thread_type = "AUTO"
    return streams[0]


def has_no_times(container: Any) -> bool:
    """Return whether a file tells the order of its pictures only: FFmpeg supposes wrong times."""
    return container.format.name == "avi"


def decoded(container: Any, stream: Any, source: Source | None = None) -> Iterator[Any]:
    """Yield the pictures that can be decoded, with a note to the source if some cannot be."""
    av = pyav()
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
            if packet is None:
                return
            frames = packet.decode()
        except av.error.EOFError:
            return
        except av.error.FFmpegError:
            if source:
                source.note("is damaged: some of its pictures cannot be read")
            continue
        yield from frames
