"""Tests of `jaxstyle.images.resize`."""

import tracemalloc

import numpy as np
import pytest

from jaxstyle import images
from jaxstyle.images import _strips as strips


def test_resize_is_lanczos_unless_told_otherwise():
    values = np.random.default_rng(0).random((9, 14, 3), dtype=np.float32)
    for size in ((5, 6), (9, 14), (40, 31)):
        expected = images.resize(values, *size, resampling="lanczos")
        np.testing.assert_array_equal(images.resize(values, *size), expected)


def test_resize_averages_what_it_drops():
    # Stripes finer than the new pixels: without antialiasing they would alias into black or white.
    stripes = np.tile(np.array([0, 1], np.float32), (64, 32))
    np.testing.assert_allclose(images.resize(stripes, 8, 8)[:, 1:-1], 0.5, atol=0.02)


def test_resize_keeps_detail_where_it_shrinks():
    # Waves of 3 new pixels: Lanczos keeps 95 % of their contrast, bicubic and a box 84 %.
    waves = 0.5 + 0.4 * np.sin(2 * np.pi * (np.arange(480, dtype=np.float32) + 0.5) / 12)
    small = images.resize(np.tile(waves, (8, 1)), 2, 120)[0, 9:-9]
    assert small.std() > 0.9 * waves.std()


def test_resize_works_in_float_and_not_in_8_bits():
    ramp = np.linspace(0.5, 0.51, 100, dtype=np.float32)[None].repeat(4, axis=0)
    assert len(np.unique(images.resize(ramp, 4, 50))) > 40  # 8 bits would leave 3 levels


def test_resize_refuses_empty_sizes():
    with pytest.raises(ValueError, match="at least 1"):
        images.resize(np.zeros((4, 4, 3), np.float32), 0, 4)


@pytest.mark.parametrize("resampling", images.RESAMPLINGS)
def test_strips_change_no_bit(resampling, monkeypatch):
    values = np.random.default_rng(3).random((31, 29, 3), dtype=np.float32)
    sizes = [(20, 17), (60, 50)]
    whole = [images.resize(values, *size, resampling) for size in sizes]
    monkeypatch.setattr(strips, "STRIP_PIXELS", 100)
    for size, expected in zip(sizes, whole, strict=True):
        np.testing.assert_array_equal(images.resize(values, *size, resampling), expected)


def test_resize_takes_little_more_than_the_result(monkeypatch):
    monkeypatch.setattr(strips, "STRIP_PIXELS", 2**13)
    values = np.zeros((300, 300, 3), np.float32)
    images.resize(values, 9, 9)  # what is imported stays
    tracemalloc.start()  # which does not see what Pillow has: one channel more
    try:
        resized = images.resize(values, 900, 800)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.6 * resized.nbytes
