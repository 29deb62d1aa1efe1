"""Tests of sound that is copied: where it sounds, and into which containers."""

from fractions import Fraction

import av
import numpy as np
import pytest

from jaxstyle.errors import ImageError
from jaxstyle.images.video import ClipWriter, check_clip_target, open_clip
from tests.cases import for_each
from tests.images.video.clips import gray

RATE = 48000
CLICKS = (0.4, 1.4, 2.4, 3.4)
"""Seconds at which there is a white frame and a click."""


def write_film(path, sounds: list[str], delay: int = 0, video: str = "libx264") -> None:
    """Write four seconds of video with these streams of sound, which start later or earlier.

    Args:
      path: The file.
      sounds: Encoders of FFmpeg.
      delay: Seconds of all times in the file before the first frame.
      video: The encoder of the frames.
    """
    with av.open(path, "w") as container:
        stream = container.add_stream(video, rate=25, options={"g": "12"})
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        tracks = [container.add_stream(codec, rate=RATE, layout="mono") for codec in sounds]
        for index in range(100):
            frame = av.VideoFrame.from_ndarray(gray(255 if index / 25 in CLICKS else 0))
            frame.pts, frame.time_base = index + 25 * delay, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        for track in tracks:
            _write_clicks(container, track, delay)


def _write_clicks(container, track, delay: int) -> None:
    sound = np.zeros((1, 4 * RATE), np.float32)
    for time in CLICKS:
        sound[:, round(time * RATE) :][:, :480] = 0.9 * np.sin(0.3 * np.arange(480))
    frame = av.AudioFrame.from_ndarray(sound, format="fltp", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = RATE, delay * RATE, Fraction(1, RATE)
    context = track.codec_context
    size = context.frame_size or 1024
    resampler = av.AudioResampler(context.format, "mono", RATE, frame_size=size)
    for part in resampler.resample(frame) + resampler.resample(None):
        container.mux(track.encode(part))
    container.mux(track.encode(None))


def copy(source, target, start: float | None = None, end: float | None = None) -> None:
    """Copy a part of a clip with its sound."""
    clip = open_clip(source, start, end)
    check_clip_target(target, audio=clip, height=clip.height, width=clip.width)
    with ClipWriter(target, clip.height, clip.width, clip.fps, audio=clip) as writer:
        for _, frame in clip.frames():
            writer.write(frame)


def clicks(path, track: int = 0) -> list[float]:
    """Return when it clicks, in seconds from the first frame."""
    with av.open(path) as container:
        packets = container.demux(video=0)
        zero = min(each.pts * each.time_base for each in packets if each.pts is not None)
    found = [-1.0]
    with av.open(path) as container:
        for frame in container.decode(audio=track):
            sound = frame.to_ndarray().reshape(-1)
            loud = np.abs(sound / (32768 if sound.dtype == np.int16 else 1)) > 0.4
            for place in np.flatnonzero(loud):
                time = float(frame.pts * frame.time_base - zero) + place / RATE
                if time > found[-1] + 0.2:
                    found.append(time)
    return found[1:]


def flashes(path) -> list[float]:
    """Return when frames are white, in seconds from the first one."""
    clip = open_clip(path)
    return [float(index / clip.fps) for index, frame in clip.frames() if frame.mean() > 128]


@for_each(
    ("name", "sounds", "delay", "targets"),
    [
        ("a.mp4", ["aac"], 0, ["b.mp4", "b.mov", "b.mkv"]),
        ("a.mkv", ["aac", "libmp3lame"], 1, ["b.mp4", "b.mkv"]),
        ("a.webm", ["libopus"], 0, ["b.webm", "b.mkv", "b.mp4"]),
        ("a.mov", ["pcm_s16le"], 0, ["b.mov", "b.mkv"]),
        ("a.ts", ["aac"], 0, ["b.mp4"]),
    ],
)
@for_each(
    ("part", "times"),
    [((None, None), list(CLICKS)), ((1.0, 3.0), [0.4, 1.4]), ((0.8, 3.12), [0.6, 1.6])],
)
def test_sound_stays_in_sync(tmp_path, name, sounds, delay, targets, part, times):
    if not (tmp_path / name).exists():
        video = "libvpx-vp9" if name.endswith(".webm") else "libx264"
        write_film(tmp_path / name, sounds, delay, video)
    for target in targets:
        copy(tmp_path / name, tmp_path / target, *part)
        assert flashes(tmp_path / target) == pytest.approx(times)
        heard = clicks(tmp_path / target)
        assert heard == pytest.approx(times, abs=0.002)


def test_all_streams_are_copied_without_encoding(tmp_path):
    write_film(tmp_path / "a.mkv", ["aac", "libmp3lame", "pcm_s16le"])
    copy(tmp_path / "a.mkv", tmp_path / "b.mkv")

    def packets(path, track):
        with av.open(path) as container:
            return [bytes(packet) for packet in container.demux(audio=track) if packet.size]

    assert [each.codec for each in open_clip(tmp_path / "b.mkv").audio] == [
        *("aac", "mp3", "pcm_s16le")
    ]
    for track in range(3):
        copied, original = (packets(tmp_path / name, track) for name in ("b.mkv", "a.mkv"))
        assert len(copied) >= len(original) - 2
        assert set(copied) <= set(original)
        assert len(clicks(tmp_path / "b.mkv", track)) == 4


@for_each("name", ["b.mp4", "b.mkv"])
def test_sound_ends_with_the_last_frame(tmp_path, name):
    write_film(tmp_path / "a.mp4", ["aac"])
    clip = open_clip(tmp_path / "a.mp4")
    with ClipWriter(tmp_path / name, 48, 64, clip.fps, audio=clip) as writer:
        for index, frame in clip.frames():
            if index < 50:
                writer.write(frame)
    with av.open(tmp_path / name) as container:
        ends = [
            float(packet.pts * packet.time_base)
            for packet in container.demux(audio=0)
            if packet.pts is not None
        ]
    assert 1.95 < ends[-1] < 2


def test_a_clip_without_sound(tmp_path):
    write_film(tmp_path / "a.mp4", [])
    copy(tmp_path / "a.mp4", tmp_path / "b.mp4")
    with av.open(tmp_path / "b.mp4") as container:
        assert [stream.type for stream in container.streams] == ["video"]


@for_each(
    ("sound", "target", "message"),
    [
        ("pcm_s16le", "b.webm", r"the audio \(pcm_s16le\) cannot be in .webm: use .mkv"),
        ("libopus", "b.avi", r"the audio \(opus\) cannot be in .avi: use .mkv"),
        ("libopus", "b.mov", r"with the audio \(opus\): use .mkv"),
    ],
)
def test_sound_that_a_container_cannot_hold_is_refused_before(tmp_path, sound, target, message):
    write_film(tmp_path / "a.mkv", [sound])
    clip = open_clip(tmp_path / "a.mkv")
    with pytest.raises(ImageError, match=message):
        check_clip_target(tmp_path / target, audio=clip, height=48, width=64)
    with (
        pytest.raises(ImageError, match=message),
        ClipWriter(tmp_path / target, 48, 64, 25, audio=clip),
    ):
        pytest.fail("it was opened")
    assert not (tmp_path / target).exists()
