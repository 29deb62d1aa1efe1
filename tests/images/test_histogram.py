"""Tests of histogram matching against scikit-image, and on known results."""

import numpy as np
from skimage import exposure

from jaxstyle.images.histogram import match_histograms
from tests.cases import for_each

RANDOM = np.random.default_rng(0)
PICTURE = RANDOM.random((15, 20, 3), np.float32)
REFERENCE = (RANDOM.random((11, 8, 3)) ** 2 * [1, 0.5, 0.2]).astype(np.float32)
EIGHT_BIT = (np.rint(RANDOM.random((15, 20, 3)) * 9) / 9).astype(np.float32)


@for_each("picture", [PICTURE, EIGHT_BIT])
@for_each("reference", [REFERENCE, EIGHT_BIT[:7]])
def test_histograms_are_matched_as_by_scikit_image(picture, reference):
    expected = exposure.match_histograms(picture, reference, channel_axis=-1)
    found = match_histograms(picture, reference)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)


RAMP = np.linspace(0.4, 0.6, 100, dtype=np.float32).reshape(10, 10, 1).repeat(3, axis=2)
WIDE = np.linspace(0, 1, 400, dtype=np.float32).reshape(20, 20, 1).repeat(3, axis=2)
FLAT = np.full((4, 4, 3), 0.3, np.float32)


@for_each(
    ("picture", "reference", "expected", "within"),
    [
        (EIGHT_BIT, EIGHT_BIT, EIGHT_BIT, 1e-7),
        (RAMP, WIDE, (RAMP - 0.4) * 5, 0.01),  # stretched
        (FLAT, REFERENCE, np.broadcast_to(REFERENCE.max(axis=(0, 1)), FLAT.shape), 0),
        (PICTURE, FLAT, np.full_like(PICTURE, 0.3), 0),
        (PICTURE, PICTURE[:1, :1], np.broadcast_to(PICTURE[:1, :1], PICTURE.shape), 0),
        (PICTURE[:1, :1], REFERENCE, REFERENCE.max(axis=(0, 1), keepdims=True), 0),
    ],
)
def test_known_results(picture, reference, expected, within):
    np.testing.assert_allclose(match_histograms(picture, reference), expected, atol=within)
