"""Tests of clips that are written, as read by FFmpeg and Pillow."""

import os
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from jaxstyle import images
from jaxstyle.errors import ImageError
from jaxstyle.images.video import CODECS, ClipWriter, check_clip_target, open_clip
from tests.cases import for_each
from tests.images.conftest import no_space_beyond
from tests.images.video.clips import all_frames, chart, chart_error, gray, numbered, numbers

TARGETS = [
    *((".mp4", codec) for codec in ("h264", "hevc", "av1", "vp9")),
    *((".mov", codec) for codec in ("h264", "hevc", "prores", "png")),
    *((".mkv", codec) for codec in ("h264", "hevc", "av1", "vp9", "prores")),
    *((".webm", codec) for codec in ("av1", "vp9")),
    *((".avi", codec) for codec in ("h264", "png")),
]


def write(path, frames, fps: float | Fraction = 25, **about) -> None:
    """Write frames as a clip."""
    height, width, _ = frames[0].shape
    with ClipWriter(path, height, width, fps, **about) as writer:
        for frame in frames:
            writer.write(frame)


@for_each(("extension", "codec"), TARGETS)
def test_videos(tmp_path, capfd, extension, codec):
    path = tmp_path / f"a{extension}"
    rate = Fraction(30000, 1001)
    check_clip_target(path, codec, height=48, width=64)
    write(path, numbered(12), rate, codec=codec, description='{"seed": 1, "é": "x"}')
    clip = open_clip(path)
    assert (clip.height, clip.width, clip.fps, clip.count) == (48, 64, rate, 12)
    assert numbers(clip.frames()) == list(range(12))
    assert clip.notes == []
    first = path.read_bytes()
    write(path, numbered(12), rate, codec=codec, description='{"seed": 1, "é": "x"}')
    assert path.read_bytes() == first
    assert os.listdir(tmp_path) == [path.name]
    path.unlink()
    assert capfd.readouterr() == ("", "")


@for_each(("extension", "codec"), TARGETS)
def test_tags_and_description(tmp_path, extension, codec):
    path = tmp_path / f"a{extension}"
    write(path, numbered(2), codec=codec, description="how it was made")
    with av.open(path) as container:
        told = {key.lower(): value for key, value in container.metadata.items()}
        context = container.streams.video[0].codec_context
        frame = next(container.decode(video=0))
    assert told["comment"] == "how it was made"
    assert context.codec.canonical_name == codec
    colors = frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc
    assert colors[:2] == ((0, 2) if codec == "png" else (1, 1))
    assert codec == "png" or colors[2:] == (1, 1)


@for_each(
    ("codec", "extension", "within"),
    [
        # Measured on the mean of a flat patch: 1.46, 1.31, 1.10, 1.17, 0.96 and 0 levels of 255.
        ("h264", ".mp4", 2),
        ("hevc", ".mp4", 2),
        ("av1", ".webm", 2),
        ("vp9", ".webm", 2),
        ("prores", ".mov", 1),
        ("png", ".mov", 0),
    ],
)
def test_colors_come_back(tmp_path, codec, extension, within):
    path = tmp_path / f"a{extension}"
    write(path, [chart()] * 3, codec=codec)
    error = max(chart_error(frame) for frame in all_frames(open_clip(path)))
    assert error <= within


@for_each("codec", ["h264", "hevc", "av1", "vp9", "prores"])
def test_quality_is_one_scale(tmp_path, codec):
    path = tmp_path / ("a.mov" if codec == "prores" else "a.mkv")
    noise = np.random.default_rng(0).integers(0, 256, (4, 96, 128, 3)).astype(np.uint8)
    smooth = [np.asarray(Image.fromarray(each).resize((256, 192))) for each in noise]
    sizes, errors = [], []
    for quality in (0, 40, 70, 100):
        write(path, smooth, codec=codec, quality=quality)
        sizes.append(path.stat().st_size)
        shown = np.array(all_frames(open_clip(path))).astype(int)
        errors.append(np.abs(shown - np.array(smooth)).mean())
    assert sizes == sorted(sizes)
    assert errors == sorted(errors, reverse=True)
    assert sizes[0] * 3 < sizes[3]
    write(path, smooth, codec=codec)
    assert path.stat().st_size == sizes[2]  # 70 is the usual quality


@for_each(
    ("name", "codec", "sides"),
    [
        ("a.mp4", "h264", (34, 48)),
        ("a.mov", "prores", (33, 48)),
        ("a.mov", "png", (33, 47)),
        ("a.gif", None, (33, 47)),
        ("a.webm", "av1", (34, 48)),
    ],
)
def test_odd_sides_are_padded_where_they_must(tmp_path, name, codec, sides):
    frames = [np.tile(np.linspace(0, 255, 47).astype(np.uint8)[None, :, None], (33, 1, 3))] * 2
    frames[1] = frames[1][:, ::-1]
    write(tmp_path / name, frames, codec=codec)
    clip = open_clip(tmp_path / name)
    assert (clip.height, clip.width) == sides
    frame = all_frames(clip)[0].astype(int)
    assert np.abs(frame[:33, :47] - frames[0]).mean() < 4
    assert np.abs(frame[:, -1] - 255).max() < 12


@for_each("name", ["a.gif", "a.webp"])
def test_animations(tmp_path, name):
    check_clip_target(tmp_path / name, height=48, width=64)
    write(tmp_path / name, numbered(12), 24, description="how it was made")
    with Image.open(tmp_path / name) as pil:
        durations = []
        for index in range(pil.n_frames):
            pil.seek(index)
            pil.load()
            durations.append(pil.info["duration"])
        assert pil.info["loop"] == 0
        pil.seek(0)
        assert name == "a.webp" or pil.info["comment"] == b"how it was made"
    assert len(durations) == 12
    assert sum(durations) == 500  # no time is lost in rounding
    if name == "a.webp":
        assert images.read_description(tmp_path / name) == "how it was made"
    assert numbers(open_clip(tmp_path / name, fps=24).frames()) == list(range(12))


# --- errors ---------------------------------------------------------------------------------------


@for_each(
    ("name", "codec", "message"),
    [
        ("a.ogv", None, "unknown extension '.ogv': use .mp4, .mov, .mkv, .webm, .avi, .gif or"),
        ("a", None, "has no extension"),
        ("none/a.mp4", None, "there is no directory"),
        ("folder.mp4", None, "is a directory"),
        ("a.mp4", "h265", "there is no codec 'h265'"),
        ("a.webm", "h264", ".webm cannot hold h264: use .mp4 or .mov or .mkv or .avi"),
        ("a.mp4", "prores", ".mp4 cannot hold prores: use .mov or .mkv"),
        ("a.gif", "h264", ".gif has no codecs: leave out h264"),
    ],
)
def test_targets_that_cannot_be_written_are_refused_before(tmp_path, name, codec, message):
    (tmp_path / "folder.mp4").mkdir(exist_ok=True)
    with pytest.raises(ImageError, match=message):
        check_clip_target(tmp_path / name, codec, height=48, width=64)
    with (
        pytest.raises(ImageError, match=message),
        ClipWriter(tmp_path / name, 48, 64, 25, codec=codec),
    ):
        pytest.fail("it was opened")
    assert os.listdir(tmp_path) == ["folder.mp4"]


@for_each(
    ("name", "sides", "message"),
    [
        ("a.webp", (100, 16384), "may have 16383 pixels a side, not 16384: use .mkv"),
        ("a.mp4", (20000, 32), "cannot be encoded with 32x20000 pixels"),
    ],
)
def test_sizes_that_cannot_be_encoded_are_refused_before(tmp_path, name, sides, message):
    with pytest.raises(ImageError, match=message):
        check_clip_target(tmp_path / name, height=sides[0], width=sides[1])


def test_a_codec_that_this_ffmpeg_lacks_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(CODECS, "h264", CODECS["h264"]._replace(encoder="nosuchencoder"))
    with pytest.raises(ImageError, match="a.mp4: this FFmpeg has no encoder nosuchencoder"):
        check_clip_target(tmp_path / "a.mp4", height=48, width=64)


@for_each("name", ["a.mp4", "a.gif"])
def test_an_exception_leaves_the_old_file(tmp_path, name):
    (tmp_path / name).write_bytes(b"the old file")
    with (
        pytest.raises(OSError, match="of the caller"),
        ClipWriter(tmp_path / name, 48, 64, 25) as writer,
    ):
        writer.write(gray(0))
        raise OSError("of the caller")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"the old file"]
    with (
        pytest.raises(ImageError, match=f"{name}: a clip needs at least one frame"),
        ClipWriter(tmp_path / name, 48, 64, 25),
    ):
        pass
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"the old file"]
    (tmp_path / name).unlink()


@for_each("name", ["a.mp4", "a.mkv", "a.gif"])
def test_a_full_disk_leaves_the_old_file(tmp_path, name):
    (tmp_path / name).write_bytes(b"the old file")
    noise = np.random.default_rng(0).integers(0, 256, (20, 48, 64, 3)).astype(np.uint8)
    with no_space_beyond(20_000), pytest.raises(ImageError, match=f"{name}: cannot be written"):
        write(tmp_path / name, noise)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"the old file"]
    (tmp_path / name).unlink()


def test_wrong_frames_and_qualities_are_refused(tmp_path):
    for wrong in (gray(0, 48, 66), gray(0).astype(np.float32), gray(0)[..., :1]):
        with (
            pytest.raises(ImageError, match="a frame of shape"),
            ClipWriter(tmp_path / "a.mp4", 48, 64, 25) as writer,
        ):
            writer.write(wrong)
    for quality in (-1, 101):
        with pytest.raises(ImageError, match=f"quality {quality}: use 0 to 100"):
            ClipWriter(tmp_path / "a.mp4", 48, 64, 25, quality=quality)
    assert os.listdir(tmp_path) == []


def test_checking_leaves_nothing_behind(tmp_path):
    for extension, codec in TARGETS:
        check_clip_target(tmp_path / f"a{extension}", codec, height=33, width=47)
    assert os.listdir(tmp_path) == []


def test_without_pyav_there_are_words(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    (tmp_path / "b.mp4").write_bytes(b"anything")
    for call in (
        lambda: check_clip_target(tmp_path / "a.mp4", height=48, width=64),
        lambda: write(tmp_path / "a.mp4", numbered(2)),
        lambda: open_clip(tmp_path / "b.mp4"),
    ):
        with pytest.raises(ImageError, match=r"^clips need PyAV: pip install 'jaxstyle\[video\]'"):
            call()
    write(tmp_path / "a.webp", numbered(2))
    assert numbers(open_clip(tmp_path / "a.webp").frames()) == [0, 1]
