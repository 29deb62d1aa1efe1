"""Video files, read by FFmpeg through PyAV."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from functools import partial
from itertools import chain
from typing import Any

from jaxstyle.images.video._colors import rgb_of
from jaxstyle.images.video._container import decoded, has_no_times, opened, video_of
from jaxstyle.images.video._probe import Probe, notes_of, probe_of, times_of, turned
from jaxstyle.images.video._pyav import pyav
from jaxstyle.images.video._rate import rate_of
from jaxstyle.images.video._source import Audio, Frame, Shown, Source

_SEEKABLE = ("mov", "matroska")
"""Formats that tell their key frames and the times of all pictures."""

_MARGINS = (Fraction(1, 4), Fraction(2), Fraction(10))
"""Seconds before a wanted picture from which a key frame is looked for.

Several are tried: a file may order its key frames by the times at which they are decoded, and a
picture that comes after one may be shown before it.
"""


def open_video(name: str) -> Source:
    """Return a video file as a source.

    Raises:
      ImageError: It cannot be read, has no video stream, or is HDR.
    """
    with opened(name) as container:
        times, duration = times_of(container, video_of(container, name), name)
    with opened(name) as container:
        stream = video_of(container, name)
        probe = probe_of(container, stream, name)
        zero, times = times[0], [time - times[0] for time in times]
        last, length = times[-1], times[-1] + duration
        rate = rate_of(times, length, (stream.average_rate, stream.guessed_rate))
        if rate.constant and len(times) > 1:
            last = round(last * rate.rate) / rate.rate
            length = last + 1 / rate.rate
        source = _Video(name, *probe.upright, rate.rate, last, length, zero=zero)
        source.tolerance = min(stream.time_base / 2, 1 / (8 * rate.rate))
        source.probe, source.constant = probe, rate.constant
        source.audio = [
            Audio(each.index, each.codec_context.codec.canonical_name)
            for each in container.streams.audio
            if each.codec_context
        ]
        for note in chain(notes_of(stream, probe, len(times)), rate.notes()):
            source.note(note)
    return source


class _Video(Source):
    """A source of the pictures of a video file.

    Attributes:
      probe: What its first pictures say of all.
      constant: Whether they come at a constant rate.
    """

    probe: Probe
    constant: bool

    def shown(self, since: Fraction) -> Iterator[Shown]:
        for margin in (*_MARGINS, None):  # None: from the start of the file
            if margin is not None and since <= margin:
                continue
            with opened(self.path) as container:
                if margin is not None and not self._sought(container, since - margin):
                    continue
                timed = self._timed(container)
                first = next(timed, None)
                # Deinterlacing needs a picture before.
                early = first is not None and first[0] < since - 2 / self.rate
                if margin is None or early:
                    reformatter = pyav().video.reformatter.VideoReformatter()
                    for time, frame in chain([first] if first else [], timed):
                        yield Shown(time, partial(self._picture, frame, reformatter))
                    return

    def _sought(self, container: Any, since: Fraction) -> bool:
        """Go to a key frame near a time; return False if that cannot be."""
        if not set(_SEEKABLE) & set(container.format.name.split(",")):
            return False
        stream = video_of(container, self.path)
        ticks = int((self.zero + since) / stream.time_base)
        try:
            container.seek(ticks, stream=stream, backward=True)
        except pyav().error.FFmpegError:  # a damaged file
            return False
        return True

    def _timed(self, container: Any) -> Iterator[tuple[Fraction, Any]]:
        """Yield pictures of FFmpeg with the times at which they appear."""
        stream = video_of(container, self.path)
        frames = decoded(container, stream, self)
        frames = _deinterlaced(frames, stream) if self.probe.interlaced else frames
        time = -1 / self.rate
        for frame in frames:
            time = time + 1 / self.rate
            if frame.pts is not None and not has_no_times(container):
                time = frame.pts * frame.time_base - self.zero
                time = round(time * self.rate) / self.rate if self.constant else time
            yield time, frame

    def _picture(self, frame: Any, reformatter: Any) -> Frame:
        picture = rgb_of(frame, reformatter, self.probe.height, self.probe.width)
        return turned(picture, self.probe.matrix) if self.probe.matrix else picture


def _deinterlaced(frames: Iterable[Any], stream: Any) -> Iterator[Any]:
    """Yield one whole picture for each interlaced one."""
    av = pyav()
    graph = av.filter.Graph()
    graph.link_nodes(
        graph.add_buffer(template=stream),
        graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced"),
        graph.add("buffersink"),
    ).configure()
    for frame in chain(frames, [None]):
        graph.vpush(frame)
        yield from _pulled(graph, av)


def _pulled(graph: Any, av: Any) -> Iterator[Any]:
    while True:
        try:
            yield graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
