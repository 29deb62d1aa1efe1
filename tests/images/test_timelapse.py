"""Tests of animations, as read by other programs."""

import os
import sys

import numpy as np
import pytest
from PIL import Image

from jaxstyle import images
from jaxstyle.errors import ImageError
from jaxstyle.images import timelapse
from jaxstyle.images.video import open_clip
from tests.cases import for_each


def frames(count: int, height: int = 40, width: int = 60) -> list[np.ndarray]:
    """Return frames of a ramp that turns from red to blue."""
    ramp = np.linspace(0, 1, width, dtype=np.float32)[None].repeat(height, axis=0)
    zero = np.zeros_like(ramp)
    red, blue = np.stack([ramp, zero, zero], -1), np.stack([zero, zero, ramp], -1)
    return [((1 - t) * red + t * blue).astype(np.float32) for t in np.linspace(0, 1, count)]


def opened(path) -> tuple[list[np.ndarray], list[int], int]:
    """Return frames, durations and the number of loops (0: endless)."""
    pixels, durations = [], []
    with Image.open(path) as pil:
        for number in range(pil.n_frames):
            pil.seek(number)
            pixels.append(np.asarray(pil.convert("RGB")) / 255)
            durations.append(pil.info["duration"])
        return pixels, durations, pil.info["loop"]


@for_each(("name", "within"), [("a.webp", 0.02), ("a.gif", 0.03), ("a.GIF", 0.03)])
def test_frames_durations_and_loop(tmp_path, name, within):
    sequence = frames(6)
    timelapse.write_timelapse(tmp_path / name, sequence, milliseconds=120)
    pixels, durations, loop = opened(tmp_path / name)
    assert durations == [120] * 5 + [2120]
    assert loop == 0
    for shown, meant in zip(pixels, sequence, strict=True):
        assert np.abs(shown - meant).mean() < within
    before = (tmp_path / name).read_bytes()
    timelapse.write_timelapse(tmp_path / name, sequence, milliseconds=120)
    assert (tmp_path / name).read_bytes() == before


@for_each("name", ["a.webp", "a.gif"])
def test_coarse_frames_are_enlarged_to_the_last(tmp_path, name):
    sequence = [*frames(2, 10, 15), *frames(2, 20, 30), *frames(3, 40, 61)]
    timelapse.write_timelapse(tmp_path / name, sequence)
    pixels, _, _ = opened(tmp_path / name)
    assert {each.shape for each in pixels} == {(40, 61, 3)}
    expected = images.resize(sequence[0], 40, 61)
    assert np.abs(pixels[0] - expected).mean() < 0.03


def test_large_frames_are_reduced_to_640_pixels(tmp_path):
    timelapse.write_timelapse(tmp_path / "a.webp", frames(2, 400, 1000))
    pixels, _, _ = opened(tmp_path / "a.webp")
    assert pixels[0].shape == (256, 640, 3)
    assert timelapse.frame(frames(1, 1000, 500)[0]).shape == (640, 320, 3)
    small = frames(1)[0]
    np.testing.assert_array_equal(timelapse.frame(small), small)


@for_each("name", ["a.webp", "a.gif"])
@for_each("count", [1, 3])
def test_one_frame_and_equal_frames(tmp_path, name, count):
    (each,) = frames(1)
    timelapse.write_timelapse(tmp_path / name, [each] * count)
    assert np.abs(images.read(tmp_path / name).rgb - each).mean() < 0.03


@for_each(
    ("name", "message"),
    [
        ("a.png", "unknown extension '.png': use .mp4, .mov, .mkv, .webm, .avi, .gif or .webp"),
        ("none/a.mp4", "there is no directory"),
        ("none/a.gif", "there is no directory"),
        ("directory.gif", "is a directory"),
    ],
)
def test_a_path_that_cannot_be_written_is_refused(tmp_path, name, message):
    (tmp_path / "directory.gif").mkdir(exist_ok=True)
    with pytest.raises(ImageError, match=message):
        timelapse.check_timelapse(tmp_path / name)
    with pytest.raises(ImageError, match=message):
        timelapse.write_timelapse(tmp_path / name, frames(2))


@for_each("name", ["a.webp", "a.gif", "a.mp4", "a.mov", "a.mkv", "a.webm"])
def test_check_leaves_nothing_behind(tmp_path, name):
    timelapse.check_timelapse(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@for_each("name", ["a.mp4", "a.mov", "a.mkv", "a.webm"])
def test_videos(tmp_path, name):
    sequence = [*frames(2, 10, 15), *frames(6, 41, 61)]
    timelapse.write_timelapse(tmp_path / name, sequence, milliseconds=125)
    clip = open_clip(tmp_path / name)
    assert (clip.height, clip.width, clip.fps) == (42, 62, 8)
    assert clip.count == 8 + 16  # the last frame is shown two seconds longer
    shown = [each / 255 for _, each in clip.frames()]
    for index in range(24):
        meant = images.resize(sequence[min(index, 7)], 42, 62)
        assert np.abs(shown[index] - meant).mean() < 0.03


def test_a_video_without_pyav_is_refused_before(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImageError, match="clips need PyAV: pip install"):
        timelapse.check_timelapse(tmp_path / "a.mp4")
    timelapse.check_timelapse(tmp_path / "a.webp")


def test_no_frames_or_no_duration_is_refused(tmp_path):
    with pytest.raises(ImageError, match="at least one frame"):
        timelapse.write_timelapse(tmp_path / "a.gif", [])
    with pytest.raises(ImageError, match="too few"):
        timelapse.write_timelapse(tmp_path / "a.gif", frames(2), milliseconds=0)


@for_each("name", ["a.webp", "a.gif"])
def test_an_old_file_survives_a_full_disk(tmp_path, name, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    (tmp_path / name).write_bytes(b"the old file")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ImageError, match="No space left on device"):
        timelapse.write_timelapse(tmp_path / name, frames(2))
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"the old file"]
    (tmp_path / name).unlink()
