"""Encoding of frames into a video file, by FFmpeg through PyAV."""

import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from jaxstyle.errors import ImageError
from jaxstyle.images.video._audio import Sound, check_audio
from jaxstyle.images.video._clip import Clip
from jaxstyle.images.video._codecs import CONTAINERS, Codec, extension_of, quiet_encoder
from jaxstyle.images.video._colors import BT709, FULL, LIMITED, RGB, SRGB, frame_of
from jaxstyle.images.video._pyav import pyav, reason
from jaxstyle.images.video._source import Frame

_X265_DELAY = 2
"""Frames by which x265 delays the first one; of clips as short as that its times are random."""


@dataclass(frozen=True)
class Video:
    """What a video is to be.

    Attributes:
      name: The file, whose extension says the container.
      codec: The codec.
      height, width: Of the frames, in pixels.
      fps: Frames per second.
      quality: From 0 to 100.
      audio: A clip whose sound is copied, or None.
      description: Text for the comment in the metadata.
    """

    name: str
    codec: Codec
    height: int
    width: int
    fps: Fraction
    quality: int
    audio: Clip | None = None
    description: str = ""


class Encoder:
    """Takes the frames of a video that `encoder` has opened."""

    def __init__(self, container: Any, stream: Any, sound: Sound | None, video: Video) -> None:
        """Encode into a stream of a container of PyAV that is open for writing."""
        self._container, self._stream, self._sound = container, stream, sound
        self._video, self._count, self._coded = video, 0, 0
        self._reformatter = pyav().video.reformatter.VideoReformatter()

    def write(self, frame: Frame) -> None:
        """Encode the next frame, and copy what sounds until its end."""
        codec = self._video.codec
        picture = frame_of(_padded(frame, codec), self._reformatter, codec.pixels)
        picture.pts, picture.time_base = self._count, 1 / self._video.fps
        self._mux(self._stream.encode(picture))
        self._count += 1
        if self._sound:
            self._sound.write_until(self._count / self._video.fps)

    def flush(self) -> None:
        """Write the frames that the encoder still holds."""
        self._mux(self._stream.encode(None))

    def _mux(self, packets: list[Any]) -> None:
        for packet in packets:
            if self._video.codec.encoder == "libx265":
                packet.dts = self._coded - _X265_DELAY
            self._coded += 1
            self._container.mux(packet)


@contextmanager
def encoder(file: str | io.BytesIO, video: Video) -> Iterator[Encoder]:
    """Open a file for a video; it is complete at the end of the block.

    Args:
      file: The path to write to, or a file in memory.
      video: What it is to be.

    Raises:
      ImageError: FFmpeg has no such encoder, or the container cannot hold the sound.
    """
    container = _container(file, video)
    sound = None
    try:
        stream = _add_stream(container, video)
        if video.audio and video.audio.audio:
            check_audio(video.audio, container, video.name)
            sound = Sound(video.audio, container)
        _start(container, video)
        each = Encoder(container, stream, sound, video)
        yield each
        each.flush()
        container.close()
    finally:
        if sound:
            sound.close()
        with suppress(Exception):  # after an error there is nothing to complete
            container.close()


def check_encoder(video: Video) -> None:
    """Check that a video can be written, by writing a frame of it into memory.

    Raises:
      ImageError: The encoder or the container refuses it.
    """
    try:
        with encoder(io.BytesIO(), video) as each:
            each.write(np.zeros((video.height, video.width, 3), np.uint8))
    except pyav().error.FFmpegError as error:
        raise ImageError(
            f"{video.name}: cannot be encoded with {video.width}x{video.height} pixels: "
            f"{reason(error)}: use another codec or size"
        ) from error


def _container(file: str | io.BytesIO, video: Video) -> Any:
    kind = CONTAINERS[extension_of(video.name)]
    options = {"fflags": "+bitexact"}  # else Matroska gets random numbers
    target: Any = file
    if isinstance(file, str):
        target = f"file:{file}"
        options |= {"movflags": "+faststart"} if kind in ("mp4", "mov") else {}
    container = pyav().open(target, "w", format=kind, container_options=options)
    if video.description:
        container.metadata["comment"] = video.description
    return container


def _add_stream(container: Any, video: Video) -> Any:
    """Return the stream of pictures of a container of PyAV that is open for writing."""
    codec = video.codec
    try:
        stream = container.add_stream(
            codec.encoder, rate=video.fps, options=codec.options(video.quality)
        )
    except pyav().codec.codec.UnknownCodecError as error:
        raise ImageError(
            f"{video.name}: this FFmpeg has no encoder {codec.encoder}: use another codec"
        ) from error
    down, across = codec.even
    stream.height = video.height + -video.height % down
    stream.width = video.width + -video.width % across
    stream.pix_fmt = codec.pixels
    _tag(stream.codec_context, codec)
    if container.format.name == "avi":
        stream.codec_context.max_b_frames = 0  # AVI has no times for them
    return stream


def _tag(context: Any, codec: Codec) -> None:
    """Say what the colors of a video are."""
    rgb = codec.pixels == "rgb24"
    context.color_range = FULL if rgb else LIMITED
    context.colorspace = RGB if rgb else BT709
    context.color_trc = SRGB if rgb else BT709
    context.color_primaries = BT709
    if codec.encoder == "libx265":
        context.codec_tag = "hvc1"  # players of Apple know no other


def _start(container: Any, video: Video) -> None:
    """Open the encoder, and write the header.

    Raises:
      ImageError: The container refuses the sound.
    """
    try:
        with quiet_encoder():
            container.start_encoding()
    except pyav().error.FFmpegError as error:
        if not video.audio or not video.audio.audio:
            raise
        codecs = ", ".join(each.codec for each in video.audio.audio)
        raise ImageError(
            f"{video.name}: cannot be written with the audio ({codecs}): use .mkv"
        ) from error


def _padded(frame: Frame, codec: Codec) -> Frame:
    """Return a frame with its last row and column repeated where the codec needs even sides."""
    (height, width, _), (down, across) = frame.shape, codec.even
    if height % down == 0 and width % across == 0:
        return frame
    return np.pad(frame, ((0, -height % down), (0, -width % across), (0, 0)), mode="edge")
