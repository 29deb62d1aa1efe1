"""Tests of the figure of regions."""

import numpy as np
import pytest

from jaxstyle.guidance import figure
from jaxstyle.guidance.figure import paint, tinted
from jaxstyle.guidance.masks import Regions


def gray(height, width, level=0.5):
    return np.full((height, width, 3), level, np.float32)


def regions(*names, sides=(4, 6), styles=1):
    masks = np.zeros((len(names), *sides), np.float32)
    for k in range(len(names)):
        masks[k, k % sides[0]] = 1
    return Regions(names, masks, (masks,) * styles)


def test_pictures_are_side_by_side_and_their_regions_beneath():
    content = gray(200, 300, 0.25)
    style = gray(100, 50, 0.75)
    sheet = figure.of_regions(regions("sky", "sea"), content, [style])
    assert sheet.dtype == np.float32
    assert sheet.min() >= 0 and sheet.max() <= 1
    for level, width in ((0.25, 600), (0.75, 200)):
        here = np.isclose(sheet, level, atol=1e-6).all(axis=-1)
        wide = here.sum(axis=1) >= width
        assert wide.sum() >= 400  # as many rows as all pictures are high


def test_a_region_has_its_color_where_its_mask_is():
    masks = np.zeros((2, 2, 2), np.float32)
    masks[0, 0, 0], masks[1, 0, 1], masks[1, 1, 0] = 1, 1, 0.5
    picture = tinted(gray(2, 2), masks)
    strength = figure.TINT
    for at, region, share in (((0, 0), 0, 1), ((0, 1), 1, 1), ((1, 0), 1, 0.5)):
        tint = share * strength
        expected = (1 - tint) * 0.5 + tint * np.array(paint(region))
        np.testing.assert_allclose(picture[at], expected, atol=1e-6)
    np.testing.assert_allclose(picture[1, 1], 0.5, atol=1e-6)
    overlapping = tinted(gray(3, 3, 1.0), np.ones((4, 3, 3), np.float32))
    assert overlapping.min() >= 0 and overlapping.max() <= 1


def test_colors_of_many_regions_differ():
    paints = np.array([paint(k) for k in range(24)])
    apart = np.abs(paints[:, None] - paints).max(axis=-1) + np.eye(24)
    assert apart.min() > 0.1
    assert paints.min() >= 0 and paints.max() <= 1


def test_the_legend_breaks_into_lines_that_fit_and_tells_shares():
    many = regions(*(f"region {k}" for k in range(1, 21)), sides=(20, 6))
    entries = figure._legend(many, 100, 400)
    assert [entry.text for entry in entries] == [f"region {k}: 5%" for k in range(1, 21)]
    assert max(entry.right for entry in entries) <= 400
    assert len({entry.top for entry in entries}) > 4
    assert len({(entry.left, entry.top) for entry in entries}) == 20
    sheet = figure.of_regions(many, gray(60, 20), [gray(60, 20)])
    one = figure.of_regions(regions("sky"), gray(60, 20), [gray(60, 20)])
    assert sheet.shape[0] > one.shape[0]


def test_small_shares_are_not_rounded_to_zero():
    speck = np.zeros((1, 100, 100), np.float32)
    speck[0, 5, 5] = 1
    (entry,) = figure._legend(Regions(("speck",), speck, ()), 0, 400)
    assert entry.text == "speck: under 1%"


@pytest.mark.parametrize("sides", [(1, 1), (1, 300), (300, 1)])
def test_pictures_of_any_shape(sides):
    sheet = figure.of_regions(regions("all", sides=(1, 1)), gray(*sides), [gray(20, 30)])
    assert max(sheet.shape) < 4000
