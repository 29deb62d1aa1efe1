"""Tests of optical flow, and of its files."""

import os
import struct

import numpy as np
import pytest

from jaxstyle.errors import ImageError
from jaxstyle.images.video import flow
from tests.cases import for_each


def texture(height: int, width: int) -> np.ndarray:
    """Return a smooth random picture, in color."""
    import cv2

    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 1.5)
    return np.clip(128 + 5 * (smooth - 128), 0, 255).astype(np.uint8)


def moved(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return two frames; the pixels of the first are 2 right and 1 down in the second."""
    large = texture(height + 8, width + 8)
    return large[4:-4, 4:-4], large[3:-5, 2:-6]


@for_each("sides", [(96, 128), (32, 32), (24, 40), (16, 16), (9, 200), (12, 13)])
def test_flow_says_where_pixels_go(sides):
    found = flow.optical_flow(*moved(*sides))
    assert found.shape == (*sides, 2)
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.median(found, (0, 1)), [2, 1], atol=0.3)
    back = flow.optical_flow(*moved(*sides)[::-1])
    np.testing.assert_allclose(np.median(back, (0, 1)), [-2, -1], atol=0.3)


@for_each("sides", [(1, 1), (2, 3), (8, 8), (5, 200)])
def test_tiny_frames_have_finite_flow(sides):
    one = texture(*sides)
    found = flow.optical_flow(one, one)
    assert found.shape == (*sides, 2)
    assert np.abs(found).max() < 0.1


def test_flow_does_not_depend_on_the_threads():
    import cv2

    pair = moved(480, 640)
    before = cv2.getNumThreads()
    found = []
    try:
        for threads in (1, 2, 5):
            cv2.setNumThreads(threads)
            found.append(flow.optical_flow(*pair))
    finally:
        cv2.setNumThreads(before)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_frames_of_different_sizes_are_refused():
    with pytest.raises(ImageError, match="frames of one size, not of 40x32 and 40x33 pixels"):
        flow.optical_flow(texture(32, 40), texture(33, 40))


def test_a_file_is_as_the_format_says(tmp_path):
    values = np.arange(2 * 3 * 2, dtype=np.float32).reshape(2, 3, 2) / 4
    flow.write_flo(tmp_path / "a.flo", values)
    expected = b"PIEH" + struct.pack("<2i12f", 3, 2, *values.ravel())
    assert (tmp_path / "a.flo").read_bytes() == expected
    read = flow.read_flo(tmp_path / "a.flo")
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, values)
    read += 1  # it can be changed


HEAD = b"PIEH" + struct.pack("<2i", 3, 2)


@for_each(
    ("data", "message"),
    [
        (b"", "is no optical flow"),
        (b"PIEH", "is no optical flow"),
        (b"HEIP" + bytes(100), "is no optical flow"),
        (HEAD + bytes(47), "is truncated"),
        (HEAD + bytes(49), "has more data than its header says"),
        (
            b"PIEH" + struct.pack("<2i", 10**6, 10**6),
            "is damaged, or too large: 1000000x1000000 pixels",
        ),
        (b"PIEH" + struct.pack("<2i", -3, 2), "is damaged, or too large: -3x2"),
        (b"PIEH" + struct.pack("<2i", 30000, 30000), "is truncated"),
    ],
)
def test_damaged_files_are_refused(tmp_path, data, message):
    path = tmp_path / "a.flo"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=f"a.flo: {message}"):
        flow.read_flo(path)


def test_files_that_cannot_be_opened_or_written(tmp_path):
    with pytest.raises(ImageError, match="cannot be opened: No such file"):
        flow.read_flo(tmp_path / "a.flo")
    values = np.zeros((2, 2, 2), np.float32)
    with pytest.raises(ImageError, match="there is no directory"):
        flow.write_flo(tmp_path / "none" / "a.flo", values)
    with pytest.raises(ImageError, match="unknown extension '.txt'"):
        flow.write_flo(tmp_path / "a.txt", values)
    assert os.listdir(tmp_path) == []


def test_without_opencv_there_are_words(monkeypatch):
    one = texture(32, 32)
    monkeypatch.setitem(__import__("sys").modules, "cv2", None)
    for call in (flow.check_flow, lambda: flow.optical_flow(one, one)):
        with pytest.raises(ImageError, match=r"^optical flow needs OpenCV: pip install"):
            call()
