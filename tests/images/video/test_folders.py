"""Tests of folders of pictures that are read as clips."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxstyle.errors import ImageError
from jaxstyle.images.video import open_clip
from tests.cases import for_each
from tests.images.video.clips import all_frames, gray, numbers


def save(folder: Path, names: list[str]) -> None:
    """Save numbered frames under these names."""
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        Image.fromarray(gray(20 + 8 * number)).save(folder / name, quality=95)


@for_each(
    ("names", "pattern"),
    [
        (["1.png", "2.png", "3.png", "4.png"], ""),
        (["frame-0099.jpg", "frame-0100.jpg", "frame-0101.jpg"], ""),
        (["a.png", "b.png", "c.png"], ""),
        (["a9.png", "a10.png", "b1.png"], ""),
        (["0007.png", "0008.png", "0009.png", "0010.png"], "%04d.png"),
        (["x8.png", "x9.png", "x10.png"], "x%d.png"),
        (["x8.png", "x9.png", "x10.png"], "x*.png"),
        (["v2-8.png", "v2-9.png", "v2-10.png"], ""),
    ],
)
def test_frames_are_in_the_order_of_their_numbers(tmp_path, names, pattern):
    folder = tmp_path / f"frames {names[0]} {pattern}".replace("*", "star")
    save(folder, names)
    clip = open_clip(folder / pattern)
    assert (clip.height, clip.width, clip.fps, clip.count) == (48, 64, 24, len(names))
    assert numbers(clip.frames()) == list(range(len(names)))
    assert numbers(clip.frames(2)) == list(range(2, len(names)))
    assert clip.end == pytest.approx(len(names) / 24)
    assert clip.audio == clip.notes == []


def test_other_files_are_ignored(tmp_path):
    save(tmp_path, ["1.png", "2.png", "3.png"])
    (tmp_path / "notes.txt").write_text("7")
    (tmp_path / ".4.png").write_text("hidden")
    (tmp_path / "5.png").mkdir()
    assert numbers(open_clip(tmp_path).frames()) == [0, 1, 2]
    Image.fromarray(gray(0)).save(tmp_path / "1.jpg")
    assert numbers(open_clip(tmp_path / "%d.png").frames()) == [0, 1, 2]


def test_rate_and_part(tmp_path):
    save(tmp_path, [f"{number}.png" for number in range(10)])
    clip = open_clip(tmp_path, start=0.4, end=0.8, fps=10)
    assert (clip.fps, clip.count) == (10, 4)
    assert numbers(clip.frames()) == [4, 5, 6, 7]


@for_each(
    ("names", "message"),
    [
        (["1.png", "2.png", "4.png"], "3.png: this frame is missing, as the next one is 4.png"),
        (["a08.png", "a09.png", "a12.png"], "a10.png: this frame is missing"),
        (["1.png", "01.png"], "there are two frames of number 1: remove one"),
        (["1.png", "1.jpg"], "there are two frames of number 1: remove one"),
        ([], "there are no pictures"),
    ],
)
def test_gaps_and_duplicates_are_refused(tmp_path, names, message):
    folder = tmp_path / f"frames{len(names)}{'-'.join(names)}"
    save(folder, names)
    with pytest.raises(ImageError, match=message) as caught:
        open_clip(folder)
    assert str(folder) in str(caught.value)


def test_mixed_sizes_are_refused(tmp_path):
    save(tmp_path, ["1.png", "2.png"])
    Image.fromarray(gray(0, 20, 30)).save(tmp_path / "3.png")
    with pytest.raises(ImageError, match=r"3.png: has 30x20 pixels, but 1.png 64x48"):
        open_clip(tmp_path)
    for pattern in ("none/%04d.png", "x*.png", "%04d.png"):
        with pytest.raises(ImageError, match="there are no pictures"):
            open_clip(tmp_path / pattern)


def test_pictures_are_read_as_images_are(tmp_path):
    color = np.array([200, 100, 50], np.uint8)
    rgba = np.dstack([np.broadcast_to(color, (8, 12, 3)), np.full((8, 12), 128, np.uint8)])
    for name in ("1.png", "2.png"):
        Image.fromarray(rgba).save(tmp_path / name)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    Image.fromarray(rgba.swapaxes(0, 1)).save(tmp_path / "3.png", exif=exif)
    clip = open_clip(tmp_path)
    frames = all_frames(clip)
    assert [frame.shape for frame in frames] == [(8, 12, 3)] * 3
    assert (np.array(frames) == color).all()
    assert clip.notes == [f"{tmp_path}: the transparency of its pictures is dropped"]


def test_a_damaged_frame_is_named(tmp_path):
    save(tmp_path, ["1.png", "2.png", "3.png"])
    data = (tmp_path / "2.png").read_bytes()
    (tmp_path / "2.png").write_bytes(data[:-40])
    frames = open_clip(tmp_path).frames()
    next(frames)
    with pytest.raises(ImageError, match="2.png"):
        next(frames)
