"""Tests of the classes of color segmentations."""

import io

import numpy as np
import pytest
from PIL import Image

from jaxstyle.guidance.colors import DEEP_PHOTO, FEW, classified, distinct, palette_of

OWN = [(200, 30, 30), (60, 120, 180), (90, 200, 40), (30, 30, 60)]


def row(*colors):
    """Return a picture of one row."""
    return np.array([colors], np.uint8)


def palette(*pictures):
    return palette_of(pictures, [np.ones(picture.shape[:2], bool) for picture in pictures])


def disks(colors, side=160, radius=50):
    """Return a picture of disks with soft edges, on a background of the first color."""
    y, x = np.mgrid[: 4 * side, : 4 * side] / 4
    picture = np.full((4 * side, 4 * side, 3), colors[0], np.uint8)
    for i, color in enumerate(colors[1:]):
        middle = (0.3, 0.7)[i % 2] * side, (0.3, 0.7)[i // 2] * side
        picture[(y - middle[0]) ** 2 + (x - middle[1]) ** 2 < (radius - 12 * i) ** 2] = color
    return np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BOX))


def as_jpeg(picture, quality, subsampling=0):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality, subsampling=subsampling)
    return np.asarray(Image.open(file))


@pytest.mark.parametrize(
    ("color", "name"),
    [
        ((0, 0, 255), "blue"),
        ((0, 255, 0), "green"),
        ((0, 0, 0), "black"),
        ((255, 255, 255), "white"),
        ((255, 0, 0), "red"),
        ((255, 255, 0), "yellow"),
        ((128, 128, 128), "grey"),
        ((0, 255, 255), "lightblue"),
        ((255, 0, 255), "purple"),
        ((25, 230, 25), "green"),  # 25 / 255 < 0.1, 230 / 255 > 0.9: thresholds are strict
        ((26, 255, 0), None),
        ((0, 229, 0), None),
        ((103, 152, 103), "grey"),
        ((102, 128, 128), None),  # 102 / 255 is 0.4, which is not above 0.4
        ((128, 153, 128), None),
        ((64, 64, 64), None),
    ],
)
def test_deep_photos_nine_colors_have_names(color, name):
    names = [*DEEP_PHOTO, None]
    assert names[int(classified(row(color), DEEP_PHOTO)[0, 0])] == name


def test_the_nearest_of_two_colors_wins():
    two = {"a": (100.0, 0.0, 0.0), "b": (120.0, 0.0, 0.0)}
    found = classified(row((108, 0, 0), (112, 0, 0), (100, 0, 0), (150, 0, 0)), two)
    assert found.tolist() == [[0, 1, 0, -1]]


def test_distinct_colors_come_by_frequency():
    colors, counts = distinct(row((9, 0, 0), (1, 2, 3), (1, 2, 3)))
    assert colors.tolist() == [[1, 2, 3], [9, 0, 0]]
    assert counts.tolist() == [2, 1]


def test_few_colors_are_all_classes_even_of_one_pixel():
    picture = np.full((20, 30, 3), OWN[0], np.uint8)
    picture[3, 4] = (201, 30, 30)
    found, exact = palette(picture)
    assert exact
    assert list(found) == ["#c81e1e", "#c91e1e"]
    assert (classified(picture, found) == 1).sum() == 1


def test_classes_are_those_of_all_pictures_where_they_are_visible():
    pictures = [row((50, 2, 3), (70, 2, 3)), row((90, 2, 3), (110, 2, 3))]
    found, _ = palette_of(pictures, [np.array([[True, False]])] * 2)
    assert set(found) == {"#320203", "#5a0203"}


def test_the_blends_of_soft_edges_are_no_classes():
    picture = disks([(0, 0, 0), (255, 255, 255), (0, 255, 0)])
    picture = np.asarray(Image.fromarray(picture).resize((150, 150)))  # many colors
    assert len(distinct(picture)[0]) > FEW
    found, exact = palette(picture)
    assert not exact
    assert list(found) == ["green", "black", "white"]
    assert 0 < (classified(picture, found) == -1).mean() < 0.1


@pytest.mark.parametrize("quality", [50, 75, 95])
@pytest.mark.parametrize("subsampling", [0, 2])
def test_jpeg_keeps_the_classes(quality, subsampling):
    clean = disks(OWN)
    picture = as_jpeg(clean, quality, subsampling)
    found, exact = palette(picture)
    assert not exact
    assert len(found) == len(OWN)
    truth = {f"#{r:02x}{g:02x}{b:02x}": (float(r), float(g), float(b)) for r, g, b in OWN}
    before, after = classified(clean, truth), classified(picture, found)
    for k, color in enumerate(OWN):
        near = [abs(np.array(c) - color).max() < 10 for c in found.values()]
        assert sum(near) == 1
        assert (after == near.index(True)).mean() == pytest.approx((before == k).mean(), rel=0.1)


def test_a_small_area_of_another_color_is_not_lost_to_the_nine():
    picture = disks([(0, 0, 0), (128, 0, 0)], radius=20)  # as Pascal VOC paints: mostly black
    found, _ = palette(picture, as_jpeg(picture, 90))
    assert len(found) == 2
    assert "black" not in found


def test_noise_has_no_classes():
    found, exact = palette(np.random.default_rng(0).integers(0, 255, (30, 30, 3), np.uint8))
    assert (found, exact) == ({}, False)
