"""Writing of clips, frame by frame."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import numpy as np

from jaxstyle.errors import ImageError
from jaxstyle.images._write import check_target
from jaxstyle.images.video._animation import Animation, check_animation
from jaxstyle.images.video._clip import Clip
from jaxstyle.images.video._codecs import EXTENSIONS, QUALITY, codec_for
from jaxstyle.images.video._encoder import Encoder, Video, check_encoder, encoder
from jaxstyle.images.video._pyav import pyav, reason
from jaxstyle.images.video._source import Frame
from jaxstyle.machine import files

Path = str | os.PathLike[str]


def check_clip_target(
    path: Path, codec: str | None = None, audio: Clip | None = None, *, height: int, width: int
) -> None:
    """Check before a long run that `ClipWriter` will be able to write a clip.

    For a video, a frame is encoded into memory.

    Args:
      path, codec, audio, height, width: As for `ClipWriter`.

    Raises:
      ImageError: The clip cannot be written.
    """
    name = os.fspath(path)
    extension = check_target(name, EXTENSIONS)
    chosen = codec_for(name, extension, codec)
    if chosen is None:
        check_animation(name, height, width)
        return
    pyav()
    check_encoder(Video(name, chosen, height, width, Fraction(25), QUALITY, audio))


class ClipWriter:
    """Writes a clip, as a whole: a context in which `write` is called for each frame.

    At the end of the context the file is there. After an exception in it, a file that was there
    before is unchanged. The same frames give the same bytes.

    Videos have the colors of BT.709 in limited range, and are tagged so. A height or width that the
    codec needs to be even is padded by a repeated row or column at the end. The frames of a GIF or
    WebP are kept in memory until the end.
    """

    def __init__(
        self,
        path: Path,
        height: int,
        width: int,
        fps: float | Fraction,
        codec: str | None = None,
        quality: int | None = None,
        audio: Clip | None = None,
        description: str = "",
    ) -> None:
        """Say what to write; the file is opened by `with`.

        Args:
          path: A .mp4, .mov, .mkv, .webm, .avi, .gif or .webp file in an existing folder.
          height, width: Of the frames, in pixels.
          fps: Frames per second.
          codec: A key of `CODECS`; by default AV1 for .webm, and H.264 for other videos.
          quality: From 0 to 100, the best, see `CODECS`; by default 70. Animations have none.
          audio: A clip whose sound is copied without encoding it again, in sync with the part that
            is read of it, until the last frame. Animations have no sound.
          description: Text for the comment in the metadata.

        Raises:
          ImageError: The quality is out of range.
        """
        self._name = os.fspath(path)
        self._shape = (height, width, 3)
        self._fps = Fraction(fps).limit_denominator(1001)
        self._codec, self._audio, self._description = codec, audio, description
        self._quality = QUALITY if quality is None else quality
        self._count = 0
        if not 0 <= self._quality <= 100:
            raise ImageError(f"{self._name}: quality {quality}: use 0 to 100")

    def __enter__(self) -> "ClipWriter":
        """Open the file.

        Raises:
          ImageError: It cannot be written.
        """
        with _told(self._name):
            self._block = self._writing()
            self._encoder = self._block.__enter__()
        return self

    def write(self, frame: Frame) -> None:
        """Write the next frame.

        Raises:
          ImageError: It has another size, or the file cannot be written.
        """
        if frame.shape != self._shape or frame.dtype != np.uint8:
            raise ImageError(
                f"{self._name}: a frame of shape {frame.shape} of {frame.dtype} is not one of "
                f"{self._shape} of uint8"
            )
        with _told(self._name):
            self._encoder.write(frame)
        self._count += 1

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        """Complete the file, or remove it after an exception.

        Raises:
          ImageError: It cannot be written, or there was no frame.
        """
        if kind:
            self._block.__exit__(kind, error, trace)
            return
        with _told(self._name):
            self._block.__exit__(None, None, None)

    @contextmanager
    def _writing(self) -> Iterator["Encoder | Animation"]:
        """Open the file; it is complete at the end of the block."""
        extension = check_target(self._name, EXTENSIONS)
        codec = codec_for(self._name, extension, self._codec)
        with files.whole_file(self._name) as file:
            if codec is None:
                animation = Animation(extension)
                yield animation
                self._check_frames()
                file.write(animation.encoded(animation.durations(self._fps), self._description))
                return
            height, width, _ = self._shape
            options = self._fps, self._quality, self._audio, self._description
            with encoder(file.name, Video(self._name, codec, height, width, *options)) as each:
                yield each
                self._check_frames()

    def _check_frames(self) -> None:
        if not self._count:
            raise ImageError(f"{self._name}: a clip needs at least one frame")


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Raise the errors of the system, of FFmpeg and of Pillow as ImageError."""
    try:
        yield
    except OSError as error:
        raise ImageError(f"{name}: cannot be written: {error.strerror or error}") from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] == "av":
            raise ImageError(f"{name}: cannot be encoded: {reason(error)}") from error
        raise
