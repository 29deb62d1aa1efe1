"""Tests of pictures with alpha: what is hidden never shows, whatever is done with them."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from jaxstyle import images
from jaxstyle.errors import ImageError
from jaxstyle.guidance import recolor
from jaxstyle.guidance.masks import Regions, everywhere
from jaxstyle.images import Picture, color
from jaxstyle.images.histogram import match_histograms
from jaxstyle.images.transparency import filled
from jaxstyle.runs.preprocessing import recolored
from jaxstyle.settings import resolve
from tests.cases import for_each

RED = np.array((230, 60, 50), np.float32) / 255
Y, X = np.mgrid[:96, :128]
DISC = (np.hypot(Y - 47.5, X - 63.5) < 30).astype(np.float32)
SOFT = np.clip(30.5 - np.hypot(Y - 47.5, X - 63.5), 0, 1).astype(np.float32)


def hidden_as(color, alpha, shown=RED):
    """Return a picture of one color, with another where it is transparent."""
    rgb = np.where(alpha[..., None] > 0, np.float32(shown), np.float32(color))
    return Picture(rgb.astype(np.float32), alpha)


@for_each("alpha", [DISC, SOFT, np.eye(96, 128, dtype=np.float32)])
@for_each("color", [0.0, 1.0, (0.1, 0.9, 0.4)])
def test_hidden_pixels_take_the_color_of_visible_ones(alpha, color):
    pixels = hidden_as(color, alpha).pixels
    np.testing.assert_allclose(pixels[..., :3], np.broadcast_to(RED, (96, 128, 3)), atol=1e-6)
    np.testing.assert_array_equal(pixels[..., 3], alpha)


def test_hidden_colors_follow_from_the_visible_ones_alone():
    rng = np.random.default_rng(0)
    alpha = np.where(rng.random((37, 53)) < 0.1, rng.random((37, 53)), 0).astype(np.float32)
    rgb, other = rng.random((2, 37, 53, 3), np.float32)
    other[alpha > 0] = rgb[alpha > 0]
    found = filled(rgb, alpha)
    np.testing.assert_array_equal(found, filled(other, alpha))
    np.testing.assert_array_equal(found[alpha > 0], rgb[alpha > 0])
    assert rgb[alpha > 0].min() - 1e-6 <= found.min() <= found.max() <= rgb[alpha > 0].max() + 1e-6


def test_an_opaque_picture_is_what_it_was():
    rgb = np.random.default_rng(0).random((5, 7, 3), np.float32)
    for alpha in (None, np.ones((5, 7), np.float32)):
        assert Picture(rgb, alpha).pixels is rgb


@for_each("resampling", images.RESAMPLINGS)
@for_each("sides", [(24, 32), (31, 50), (200, 250)])
@for_each("alpha", [DISC, SOFT])
def test_a_disc_has_no_dark_rim_at_any_size(resampling, sides, alpha):
    small = images.resize(hidden_as(0.0, alpha).pixels, *sides, resampling)
    np.testing.assert_allclose(small[..., :3], np.broadcast_to(RED, (*sides, 3)), atol=1e-4)
    np.testing.assert_allclose(small[..., 3], images.resize(alpha, *sides, resampling), atol=1e-7)
    assert small.min() >= 0
    assert small.max() <= 1


def test_colors_are_weighted_by_alpha():
    row = np.array([[(1, 0, 0, 1), (0, 0, 1, 0.1)] * 4], np.float32).repeat(2, axis=0)
    small = images.resize(row, 1, 4, "area")
    expected = np.array([1 / 1.1, 0, 0.1 / 1.1])
    np.testing.assert_allclose(small[0, :, :3], expected[None].repeat(4, 0), atol=0.005)
    np.testing.assert_allclose(small[..., 3], 0.55, atol=1e-6)


def test_three_channels_and_planes_are_resized_as_ever():
    rgb = np.random.default_rng(0).random((40, 30, 3), np.float32)
    small = images.resize(rgb, 13, 11)
    opaque = images.resize(np.dstack([rgb, np.ones((40, 30), np.float32)]), 13, 11)
    np.testing.assert_allclose(opaque[..., :3], small, atol=1e-6)
    np.testing.assert_array_equal(images.resize(rgb[..., 1], 13, 11), small[..., 1])


@for_each("alpha", [0, 1e-9])
def test_a_picture_of_which_nothing_is_visible_is_refused(tmp_path, alpha):
    rgba = np.full((8, 8, 4), np.float32(alpha))
    with pytest.raises(ImageError, match=r"^the array: every pixel is fully transparent"):
        images.read(rgba)
    images.write(tmp_path / "a.png", Picture(rgba[..., :3], rgba[..., 3]))
    with pytest.raises(ImageError, match=r"a\.png: every pixel is fully transparent"):
        images.read(tmp_path / "a.png")


# --- statistics of colors -------------------------------------------------------------------------


def half_hidden(seed):
    """Return a picture, and a larger one of which only that is visible."""
    shown, hidden = np.random.default_rng(seed).random((2, 12, 15, 3), np.float32) ** (1 + seed)
    alpha = np.repeat([1, 0], 15)[None].repeat(12, 0).astype(np.float32)
    return shown, np.dstack([np.concatenate([shown, hidden], axis=1), alpha])


@for_each("method", color.COLOR_MATCHES)
def test_colors_are_matched_by_what_is_visible(method):
    (style, more_style), (content, more_content) = map(half_hidden, (0, 1))
    expected = color.match_colors(style, content, method)
    found = color.match_colors(more_style, more_content, method)
    np.testing.assert_allclose(found[:, :15, :3], expected, atol=1e-5)
    np.testing.assert_array_equal(found[..., 3], more_style[..., 3])


def test_luminance_is_matched_by_what_is_visible():
    (style, more_style), (content, more_content) = map(half_hidden, (0, 1))
    settings = resolve(color_match="luminance")
    _, [expected] = recolored(content, [style], settings)
    photo, [found] = recolored(more_content, [more_style], settings)
    np.testing.assert_allclose(found[:, :15, :3], expected, atol=1e-6)
    assert photo.shape == more_content.shape


def test_histograms_are_matched_by_what_is_visible():
    (style, more_style), (content, more_content) = map(half_hidden, (0, 1))
    expected = match_histograms(content, style)
    found = match_histograms(more_content, more_style)
    np.testing.assert_allclose(found[:, :15], expected, atol=1e-6)


def test_regions_are_recolored_by_what_is_visible():
    (style, more_style), (content, more_content) = map(half_hidden, (0, 1))
    expected = recolor.recolored(content, [style])
    for regions in (None, everywhere(1)):
        found = recolor.recolored(more_content, [more_style], regions)
        np.testing.assert_allclose(found[:, :15], expected, atol=1e-5)
    hidden = 1 - more_style[None, ..., 3]  # of the region, no style shows anything
    regions = Regions(("a",), np.ones_like(hidden), (hidden,))
    assert np.isfinite(recolor.recolored(more_content, [more_style], regions)).all()


def test_a_picture_is_laid_over_white():
    rgb, alpha = np.full((1, 3, 3), 0.2, np.float32), np.array([[0, 0.5, 1]], np.float32)
    np.testing.assert_allclose(Picture(rgb, alpha).over_white()[0, :, 0], [1, 0.6, 0.2])
    assert Picture(rgb).over_white() is rgb


# --- files ----------------------------------------------------------------------------------------


def with_hidden(kind, hidden, path):
    """Save a picture whose left half is transparent and has the color of this level."""
    shown = np.array((200, 100, 50), np.uint8)
    rgb = np.full((8, 10, 3), hidden, np.uint8)
    rgb[:, 5:] = shown
    alpha = np.zeros((8, 10), np.uint8)
    alpha[:, 5:] = 255
    if kind in ("palette.png", "palette.gif"):
        image = Image.fromarray(np.uint8(alpha > 0), mode="P")
        image.putpalette([hidden] * 3 + shown.tolist())
        image.save(path, transparency=0)
    elif kind == "gray.png":
        Image.fromarray(np.dstack([rgb[..., 0], alpha])).save(path)
    elif kind == "key.png":
        Image.fromarray(rgb).save(path, transparency=(hidden,) * 3)
    elif kind.endswith(".tif"):
        levels = np.dstack([rgb, alpha]).astype(np.uint16) * 257
        levels = levels if kind.startswith("deep") else np.uint8(levels >> 8)
        sort = "assocalpha" if "premultiplied" in kind else "unassalpha"
        tifffile.imwrite(path, levels, photometric="rgb", extrasamples=[sort])
    else:
        options = {"lossless": True, "exact": True} if kind.endswith(".webp") else {}
        Image.fromarray(np.dstack([rgb, alpha])).save(path, **options)


KINDS = (
    *("palette.png", "palette.gif", "gray.png", "key.png", "plain.png", "plain.webp"),
    *("plain.tif", "deep.tif", "premultiplied.tif", "deep premultiplied.tif"),
)


@for_each("kind", KINDS)
def test_hidden_colors_of_any_file_are_those_around_them(tmp_path, kind):
    found = []
    for hidden in (0, 255, 17):
        with_hidden(kind, hidden, tmp_path / kind)
        found.append(images.read(tmp_path / kind).pixels)
        np.testing.assert_array_equal(found[-1], found[0])
    seen = [200] * 3 if kind == "gray.png" else (200, 100, 50)
    expected = np.broadcast_to(np.array(seen) / 255, (8, 10, 3))
    np.testing.assert_allclose(found[0][..., :3], expected, atol=1e-5)
    np.testing.assert_array_equal(found[0][:, :5, 3], 0)
    np.testing.assert_array_equal(found[0][:, 5:, 3], 1)
