"""Tests of labeled grids: positions and legibility of cells and labels."""

import math

import numpy as np
import pytest
from PIL import ImageFont

from jaxstyle.images.grid import fitting, grid, layout, wrapped

LAYERS = ["relu1_1", "relu1_1 … relu2_1", "relu1_1 … relu3_1"]
WEIGHTS = ["style weight 1e3", "style weight 1e4"]


@pytest.fixture
def images():
    """Return a function that makes a number of pictures of noise."""

    def make(count, height, width):
        return list(np.random.default_rng(0).random((count, height, width, 3), np.float32))

    return make


def inked(pixels):
    """Return whether any pixel is not white."""
    return bool((pixels < 0.99).any())


@pytest.mark.parametrize("size", [(24, 32), (96, 128), (512, 340)])
def test_every_cell_is_unchanged_and_aligned(images, size):
    pictures = images(6, *size)
    sheet, places = grid(pictures, size, LAYERS, WEIGHTS), layout(size, LAYERS, WEIGHTS)
    assert sheet.shape == (places.height, places.width, 3)
    assert sheet.dtype == np.float32
    covered = np.ones(sheet.shape[:2], bool)
    for index, picture in enumerate(pictures):
        top, left = places.tops[index // 2], places.lefts[index % 2]
        cell = np.s_[top : top + size[0], left : left + size[1]]
        np.testing.assert_array_equal(sheet[cell], picture)
        covered[cell] = False
    right_and_below = sheet[places.tops[0] :, places.lefts[0] :]
    assert not inked(right_and_below[covered[places.tops[0] :, places.lefts[0] :]])


@pytest.mark.parametrize("size", [(64, 160), (96, 128), (512, 340)])
def test_gaps_are_thin_and_all_the_same(size):
    places = layout(size, LAYERS, WEIGHTS)
    gaps = {*(np.diff(places.tops) - size[0]), *(np.diff(places.lefts) - size[1])}
    assert len(gaps) == 1
    assert 0 < gaps.pop() <= max(size) // 32


@pytest.mark.parametrize("size", [(24, 32), (96, 128), (512, 340)])
def test_labels_are_at_the_left_and_above_inside_the_sheet(images, size):
    sheet, places = grid(images(6, *size), size, LAYERS, WEIGHTS), layout(size, LAYERS, WEIGHTS)
    for top in places.tops:
        assert inked(sheet[top : top + size[0], : places.lefts[0] - 2])
    for left in places.lefts:
        assert inked(sheet[: places.tops[0] - 2, left : left + size[1]])
    edge = places.font.size / 2
    for side in (sheet[: int(edge)], sheet[-int(edge) :], sheet[:, : int(edge)]):
        assert not inked(side)
    assert not inked(sheet[:, -int(edge) :])
    assert places.font.size >= 13
    assert sheet[: places.tops[0], : places.lefts[0] - places.font.size * 4].min() == 1


def test_labels_are_in_the_middle_of_their_cells(images):
    size = 128, 160
    sheet, places = grid(images(6, *size), size, LAYERS, WEIGHTS), layout(size, LAYERS, WEIGHTS)
    for top in places.tops:
        rows = np.flatnonzero((sheet[top : top + 128, : places.lefts[0] - 2] < 0.9).any((1, 2)))
        # Letters below the line, of which these labels have none but underscores.
        assert abs((rows[0] + rows[-1]) / 2 - 63.5) <= 4
    for left in places.lefts:
        above = sheet[: places.tops[0] - 2, left : left + 160]
        columns = np.flatnonzero((above < 0.9).any((0, 2)))
        assert abs((columns[0] + columns[-1]) / 2 - 79.5) <= 2


def test_letters_grow_with_the_cells():
    small, large = (layout((side, side), LAYERS, WEIGHTS).font.size for side in (64, 1024))
    assert (small, large) == (13, 57)


def test_no_labels_take_no_room(images):
    size = 40, 50
    sheet, places = grid(images(1, *size), size, [""], [""]), layout(size, [""], [""])
    assert places.tops == places.lefts == (13,)
    assert sheet.shape == (40 + 26, 50 + 26, 3)


def test_labels_of_small_cells_have_the_room_they_need():
    places = layout((16, 16), LAYERS, ["content weight 1e3", "content weight 1e4"])
    words = places.font.getlength("content weight")
    assert words + 5 < np.diff(places.lefts)[0] < words + 20
    lines = max(map(len, places.rows))
    assert lines == 2
    assert np.diff(places.tops)[0] > lines * places.font.size


def test_a_cell_that_failed_is_gray_and_says_why(images):
    size, reason = (96, 128), "the loss is not finite in style/relu1_1 at step 3: " * 4
    pictures = images(2, *size)
    sheet = grid([pictures[0], reason], size, [""], WEIGHTS)
    places = layout(size, [""], WEIGHTS)
    top, left = places.tops[0], places.lefts[1]
    cell = sheet[top : top + 96, left : left + 128]
    np.testing.assert_allclose(cell[[0, 0, -1, -1], [0, -1, 0, -1]], 0xDD / 255, rtol=1e-6)
    assert cell.min() < 0.5
    np.testing.assert_array_equal(sheet[top : top + 96, places.lefts[0] :][:, :128], pictures[0])


@pytest.fixture
def font():
    return ImageFont.load_default(13)


def test_long_labels_take_several_lines(font):
    text = "relu1_1 … relu3_1"
    assert wrapped(text, font, 1000) == [text]
    assert wrapped(text, font, math.ceil(font.getlength("relu1_1 …"))) == ["relu1_1 …", "relu3_1"]
    assert wrapped("", font, 100) == []


def test_words_that_are_too_long_lose_their_end(font):
    (line,) = wrapped("a_painting_with_a_very_long_name", font, 80)
    assert line.startswith("a_paint")
    assert line.endswith("…")
    assert font.getlength(line) <= 80


def test_a_reason_has_as_many_lines_as_there_is_room(font):
    lines = fitting("word " * 50, font, (60, 100))
    assert len(lines) == 2
    assert lines[-1].endswith("…")
    assert all(font.getlength(line) <= 100 - 13 for line in lines)
    assert fitting("short", font, (60, 100)) == ["short"]


def test_columns_are_labeled_alike():
    places = layout((64, 64), [""], ["style weight 1", "style weight 1.25e5"])
    assert places.columns == (["style weight", "1"], ["style weight", "1.25e5"])
    places = layout((64, 640), [""], ["style weight 1", "style weight 1.25e5"])
    assert places.columns == (["style weight 1"], ["style weight 1.25e5"])
