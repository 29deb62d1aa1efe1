"""Sound that is copied from one video file into another, without encoding it again."""

from collections.abc import Generator
from fractions import Fraction
from typing import Any

from jaxstyle.errors import ImageError
from jaxstyle.images.video._clip import Clip
from jaxstyle.images.video._container import opened

_EARLIEST = {"mp4": 0.1, "mov": 0.1}
"""Seconds before the start at which a packet may begin, for containers that can hide its start."""

_IN_AVI = ("mp3", "ac3", "pcm_s16le", "pcm_u8")
"""Codecs whose packets AVI can time."""

_MARGIN = 1
"""Seconds before the start from which packets are looked at."""


def check_audio(clip: Clip, container: Any, name: str) -> None:
    """Check that a container can hold the sound of a clip.

    Raises:
      ImageError: It cannot.
    """
    for each in clip.audio:
        refused = container.format.name == "avi" and each.codec not in _IN_AVI
        if refused or each.codec not in container.supported_codecs:
            extension = name[name.rfind(".") :]
            raise ImageError(f"{name}: the audio ({each.codec}) cannot be in {extension}: use .mkv")


class Sound:
    """The streams of sound of a clip, copied into an output container of PyAV.

    The sound stays in sync with the pictures, and begins and ends with them, up to a packet.
    """

    def __init__(self, clip: Clip, container: Any) -> None:
        """Add the streams of sound to a container to which nothing was written yet."""
        self._container, self._clip = container, clip
        self._start = clip.zero + Fraction(clip.start)
        self._streams: dict[int, Any] = {}
        self._packets = self._from_start()
        self._held: Any = next(self._packets, None)

    def write_until(self, seconds: Fraction) -> None:
        """Write what sounds before a time of the output."""
        while self._held is not None and self._time(self._held) < seconds:
            packet, target = self._held, self._streams[self._held.stream.index]
            shift = round(self._start / packet.time_base)
            packet.pts -= shift
            packet.dts = packet.pts if packet.dts is None else packet.dts - shift
            packet.stream = target
            self._container.mux(packet)
            self._held = next(self._packets, None)

    def close(self) -> None:
        """Close the file that the sound is read from."""
        self._packets.close()

    def _time(self, packet: Any) -> Fraction:
        """Return when a packet sounds, in seconds of the output."""
        return packet.pts * packet.time_base - self._start

    def _from_start(self) -> Generator[Any, None, None]:
        earliest = _EARLIEST.get(self._container.format.name, 0)
        with opened(self._clip.path) as source:
            streams = [source.streams[each.stream] for each in self._clip.audio]
            for each in streams:
                self._streams[each.index] = self._container.add_stream_from_template(each)
            if self._clip.start > _MARGIN and "mov" in source.format.name:
                source.seek(int((self._start - _MARGIN) * 10**6))
            for packet in source.demux(streams):
                if packet.pts is None or packet.is_discard:
                    continue
                time = self._time(packet)
                length = (packet.duration or 0) * packet.time_base
                if time >= -earliest - 1e-3 and time + length > 0:
                    yield packet
