"""Tests of histogram matching against scikit-image, and on known results."""

import numpy as np
import pytest
from skimage import exposure

from jaxstyle.images.histogram import match_histograms

RANDOM = np.random.default_rng(0)
PICTURE = RANDOM.random((15, 20, 3), np.float32)
REFERENCE = (RANDOM.random((11, 8, 3)) ** 2 * [1, 0.5, 0.2]).astype(np.float32)
EIGHT_BIT = (np.rint(RANDOM.random((15, 20, 3)) * 9) / 9).astype(np.float32)


@pytest.mark.parametrize("picture", [PICTURE, EIGHT_BIT])
@pytest.mark.parametrize("reference", [REFERENCE, EIGHT_BIT[:7]])
def test_matches_scikit_image(picture, reference):
    expected = exposure.match_histograms(picture, reference, channel_axis=-1)
    found = match_histograms(picture, reference)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_picture_of_the_same_size_gets_exactly_the_reference_values():
    reference = RANDOM.random((20, 15, 3), np.float32)
    found = match_histograms(PICTURE, reference)
    for c in range(3):
        np.testing.assert_allclose(
            np.sort(found[..., c], axis=None), np.sort(reference[..., c], axis=None), atol=1e-7
        )
        order = np.argsort(PICTURE[..., c], axis=None)
        assert (np.diff(found[..., c].ravel()[order]) >= 0).all()


def test_a_picture_matched_to_itself_is_unchanged():
    np.testing.assert_allclose(match_histograms(EIGHT_BIT, EIGHT_BIT), EIGHT_BIT, atol=1e-7)


def test_a_gray_scale_is_stretched_to_the_reference():
    ramp = np.linspace(0.4, 0.6, 100, dtype=np.float32).reshape(10, 10, 1).repeat(3, axis=2)
    wide = np.linspace(0, 1, 400, dtype=np.float32).reshape(20, 20, 1).repeat(3, axis=2)
    np.testing.assert_allclose(match_histograms(ramp, wide), (ramp - 0.4) * 5, atol=0.01)


def test_pictures_of_one_color():
    constant = np.full((4, 4, 3), 0.3, np.float32)
    highest = REFERENCE.max(axis=(0, 1))
    found = match_histograms(constant, REFERENCE)
    np.testing.assert_array_equal(found, np.broadcast_to(highest, found.shape))
    np.testing.assert_array_equal(match_histograms(PICTURE, constant)[..., 0], np.float32(0.3))


def test_pictures_of_one_pixel():
    pixel = PICTURE[:1, :1]
    assert match_histograms(pixel, REFERENCE).shape == (1, 1, 3)
    np.testing.assert_array_equal(
        match_histograms(PICTURE, pixel), np.broadcast_to(pixel, (15, 20, 3))
    )
