"""Tests of color transfer by regions."""

import numpy as np
import pytest

from jaxstyle.guidance.masks import Regions
from jaxstyle.guidance.recolor import recolored
from jaxstyle.images import color
from tests.numerics import left_and_right


def photo(seed, height=40, width=60, low=0.2, high=0.8):
    rng = np.random.default_rng(seed)
    return rng.uniform(low, high, (height, width, 3)).astype(np.float32)


@pytest.mark.parametrize("method", color.COLOR_MATCHES)
def test_without_regions_one_map_recolors_the_photo(method):
    one, other = photo(0), photo(1, low=0.3, high=0.6)
    found = recolored(one, [other], None, method, ridge=1e-5)
    np.testing.assert_allclose(found, color.match_colors(one, other, method), atol=1e-5)


def test_each_region_gets_the_colors_of_its_own():
    one, other = photo(0), photo(1)
    other[:, :30] *= (1, 0.2, 0.2)
    other[:, 30:] *= (0.2, 0.2, 1)
    regions = Regions(("a", "b"), left_and_right(40, 60), (left_and_right(40, 60)[::-1].copy(),))
    found = recolored(one, [other], regions)
    for place, its in ((np.s_[:, :28], np.s_[:, 30:]), (np.s_[:, 32:], np.s_[:, :30])):
        np.testing.assert_allclose(found[place].mean((0, 1)), other[its].mean((0, 1)), atol=0.03)


def test_pixels_outside_all_regions_are_unchanged():
    one, other = photo(0), photo(1) * np.float32(0.3)
    regions = Regions(("a",), left_and_right(40, 60)[:1], (np.ones((1, 40, 60), np.float32),))
    found = recolored(one, [other], regions)
    np.testing.assert_allclose(found[:, 36:], one[:, 36:], atol=0.01)
    assert found[:, :25].mean() < 0.25


def test_gaps_between_regions_are_filled_from_their_neighbors():
    one, other = photo(0, 200, 300), photo(1, 200, 300) * np.float32(0.3)
    masks = left_and_right(200, 300)
    masks[:, :, 149:151] = 0
    regions = Regions(("a", "b"), masks, (left_and_right(200, 300),))
    found = recolored(one, [other], regions)
    assert found[:, 149:151].mean() < 0.2


def test_noise_of_a_clear_sky_is_not_amplified():
    """A tiny variance is not amplified to that of the style."""
    sky, style = photo(0, low=0.699, high=0.701), photo(1)
    assert recolored(sky, [style]).std() < 0.02
    flat = np.full((20, 20, 3), 0.5, np.float32)
    assert np.isfinite(recolored(flat, [flat * 0.5])).all()


def test_several_style_pictures_count_equally_whatever_their_sizes():
    one = photo(0)
    dark, light = photo(1) * np.float32(0.2), photo(2, 20, 30) * np.float32(0.2) + np.float32(0.8)
    found = recolored(one, [dark, light])
    np.testing.assert_allclose(found.mean(), (dark.mean() + light.mean()) / 2, atol=0.05)
