"""Video files, read by FFmpeg through PyAV."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from jaxstyle.errors import ImageError
from jaxstyle.images import EXTENSIONS
from jaxstyle.images.video._colors import check_not_hdr, rgb_of
from jaxstyle.images.video._pyav import pyav, reason
from jaxstyle.images.video._rate import rate_of
from jaxstyle.images.video._source import Audio, Frame, Shown, Source

_FORMATS = "mov,matroska,avi,gif,apng,mpegts,mpeg,flv,asf,ogg,mxf"
"""Formats of FFmpeg that hold a clip themselves; others name further files, or addresses."""

_SEEKABLE = ("mov", "matroska")
"""Formats that tell their key frames and the times of all pictures."""

_MARGINS = (Fraction(1, 4), Fraction(2), Fraction(10))
"""Seconds before a wanted picture to look for a key frame; one or more may be too late."""

_LONGEST = 32768
_LARGEST_ASPECT = 20


def open_video(name: str) -> Source:
    """Return a video file as a source.

    Raises:
      ImageError: It cannot be read, has no video stream, or is HDR.
    """
    with opened(name) as container:
        stream = video_of(container, name)
        times, duration = _times(container, stream, name)
    with opened(name) as container:
        stream = video_of(container, name)
        probe = _probe(container, stream, name)
        zero, times = times[0], [time - times[0] for time in times]
        length = times[-1] + duration
        rate = rate_of(times, length, (stream.average_rate, stream.guessed_rate))
        if rate.constant and len(times) > 1:
            times[-1] = round(times[-1] * rate.rate) / rate.rate
            length = times[-1] + 1 / rate.rate
        height, width = probe.upright
        source = _Video(name, height, width, rate.rate, times[-1], length, zero=zero)
        source.tolerance = Fraction(0) if rate.constant else stream.time_base / 2
        source.probe, source.constant = probe, rate.constant
        source.audio = [
            Audio(each.index, each.codec_context.codec.canonical_name)
            for each in container.streams.audio
            if each.codec_context
        ]
        for note in _notes(stream, probe, len(times)):
            source.note(note)
        if not rate.constant or rate.gaps:
            source.note(f"its variable rate is made constant: {float(rate.rate):.4g} per second")
    return source


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


# --- what a file says -----------------------------------------------------------------------------


class _Probe(NamedTuple):
    """What the first pictures of a file say of all.

    Attributes:
      height, width: Of a picture with square pixels, before it is turned upright.
      matrix: The display matrix, which turns it upright: a, b, c and d of x' = a x + c y and
        y' = b x + d y. None if it is upright.
      interlaced: Whether the pictures are.
      alpha: Whether they have transparency.
    """

    height: int
    width: int
    matrix: tuple[int, int, int, int] | None
    interlaced: bool
    alpha: bool

    @property
    def upright(self) -> tuple[int, int]:
        """The height and width after turning."""
        sideways = self.matrix is not None and _is_sideways(self.matrix)
        return (self.width, self.height) if sideways else (self.height, self.width)


def _times(container: Any, stream: Any, name: str) -> tuple[list[Fraction], Fraction]:
    """Return the times at which pictures appear, ascending, and the duration of the last one.

    Raises:
      ImageError: There are no pictures.
    """
    found: dict[int, int] = {}
    av = pyav()
    try:
        for packet in container.demux(stream):
            time = packet.dts if packet.pts is None or _has_no_times(container) else packet.pts
            if time is not None and packet.size and not packet.is_discard:
                found[time] = packet.duration or 0
    except av.error.FFmpegError:
        pass  # of a truncated file: what was found counts
    if not found:
        raise ImageError(f"{name}: has no pictures, or is damaged: nothing can be read")
    ticks = sorted(found)
    usual = 1 / stream.average_rate if stream.average_rate else Fraction(1, 24)
    duration = found[ticks[-1]] * stream.time_base or usual
    return [tick * stream.time_base for tick in ticks], duration


def _probe(container: Any, stream: Any, name: str) -> _Probe:
    """Return what the first pictures say of all.

    Raises:
      ImageError: There are none, or they are HDR or far too large.
    """
    frames = [frame for frame, _ in zip(_decoded(container, stream), range(4), strict=False)]
    if not frames:
        raise ImageError(
            f"{name}: is damaged, or of a kind that is not supported: no picture can be read"
        )
    first = frames[0]
    check_not_hdr(first, name)
    height, width = _square(first.height, first.width, stream.sample_aspect_ratio)
    if max(height, width) > _LONGEST:
        raise ImageError(f"{name}: has {width}x{height} pixels: use at most {_LONGEST} a side")
    alpha = any(part.is_alpha for part in first.format.components)
    if alpha and stream.codec_context.name in ("gif", "apng"):  # whose format always has it
        alpha = bool((first.to_ndarray(format="rgba")[..., 3] < 255).any())
    return _Probe(
        height=height,
        width=width,
        matrix=_matrix(first),
        interlaced=any(frame.interlaced_frame for frame in frames),
        alpha=alpha or stream.metadata.get("alpha_mode") == "1",
    )


def _notes(stream: Any, probe: _Probe, count: int) -> Iterator[str]:
    """Yield what the user should know about a video."""
    if probe.alpha:
        yield "its transparency is dropped"
    if probe.interlaced:
        yield "is interlaced: it is deinterlaced"
    if stream.frames > count:
        yield f"is truncated: {count} of its {stream.frames} pictures are there"


def _has_no_times(container: Any) -> bool:
    """Return whether a file tells the order of its pictures only: FFmpeg supposes wrong times."""
    return container.format.name == "avi"


def _square(height: int, width: int, aspect: Fraction | None) -> tuple[int, int]:
    """Return the sides of a picture with square pixels; one side is enlarged."""
    if not aspect or not 1 / _LARGEST_ASPECT < aspect < _LARGEST_ASPECT:
        return height, width
    if aspect > 1:
        return height, round(width * aspect)
    return round(height / aspect), width


def _matrix(frame: Any) -> tuple[int, int, int, int] | None:
    side = frame.side_data.get("DISPLAYMATRIX")
    if side is None or len(bytes(side)) != 36:
        return None
    a, b, _, c, d, *_ = np.frombuffer(bytes(side), np.int32).tolist()
    return a, b, c, d


def _is_sideways(matrix: tuple[int, int, int, int]) -> bool:
    return abs(matrix[1]) > abs(matrix[0])


def _upright(picture: Frame, matrix: tuple[int, int, int, int]) -> Frame:
    """Return a picture turned by multiples of 90 degrees, or flipped, as a display matrix says."""
    a, b, c, d = matrix
    if _is_sideways(matrix):
        picture, a, d = picture.swapaxes(0, 1), c, b
    return np.ascontiguousarray(picture[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])


# --- decoding -------------------------------------------------------------------------------------


class _Video(Source):
    """A source of the pictures of a video file.

    Attributes:
      probe: What its first pictures say of all.
      constant: Whether they come at a constant rate.
    """

    probe: _Probe
    constant: bool

    def shown(self, since: Fraction) -> Iterator[Shown]:
        with opened(self.path) as container:
            stream = video_of(container, self.path)
            reformatter = pyav().video.reformatter.VideoReformatter()
            for time, frame in self._from(container, stream, since):
                yield Shown(time, partial(self._picture, frame, reformatter))

    def _from(self, container: Any, stream: Any, since: Fraction) -> Iterator[tuple[Fraction, Any]]:
        """Yield pictures with their times, from one before `since`, or the first, on.

        Several key frames are tried, since a file may order them by the times at which they are
        decoded, and pictures that come after one may be shown before it.
        """
        by_name = container.format.name.split(",")
        if since > 0 and any(each in by_name for each in _SEEKABLE):
            for margin in _MARGINS:
                if since <= margin:
                    break
                ticks = int((self.zero + since - margin) / stream.time_base)
                container.seek(ticks, stream=stream, backward=True)
                timed = self._timed(container, stream)
                first = next(timed, None)
                # Deinterlacing needs a picture before.
                if first is not None and first[0] < since - 2 / self.rate:
                    yield first
                    yield from timed
                    return
            container.seek(0, backward=True, any_frame=False)
        yield from self._timed(container, stream)

    def _timed(self, container: Any, stream: Any) -> Iterator[tuple[Fraction, Any]]:
        frames = _decoded(container, stream, self)
        frames = _deinterlaced(frames, stream) if self.probe.interlaced else frames
        time = -1 / self.rate
        for frame in frames:
            time = time + 1 / self.rate
            if frame.pts is not None and not _has_no_times(container):
                time = frame.pts * frame.time_base - self.zero
                time = round(time * self.rate) / self.rate if self.constant else time
            yield time, frame

    def _picture(self, frame: Any, reformatter: Any) -> Frame:
        picture = rgb_of(frame, reformatter, self.probe.height, self.probe.width)
        return _upright(picture, self.probe.matrix) if self.probe.matrix else picture


def _decoded(container: Any, stream: Any, source: Source | None = None) -> Iterator[Any]:
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


def _deinterlaced(frames: Iterable[Any], stream: Any) -> Iterator[Any]:
    """Yield one whole picture for each interlaced one."""
    av = pyav()
    graph = av.filter.Graph()
    graph.link_nodes(
        graph.add_buffer(template=stream),
        graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced"),
        graph.add("buffersink"),
    ).configure()
    for frame in frames:
        graph.vpush(frame)
        yield from _pulled(graph, av)
    graph.vpush(None)
    yield from _pulled(graph, av)


def _pulled(graph: Any, av: Any) -> Iterator[Any]:
    while True:
        try:
            yield graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
