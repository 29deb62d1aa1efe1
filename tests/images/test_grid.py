"""Tests of labeled grids: positions and legibility of cells and labels."""

import math

import numpy as np
from PIL import ImageFont

from jaxstyle.images.grid import fitting, grid, layout, wrapped
from tests.cases import for_each

LAYERS = ["relu1_1", "relu1_1 … relu2_1", "relu1_1 … relu3_1"]
WEIGHTS = ["style weight 1e3", "style weight 1e4"]


def drawn(size, rows=LAYERS, columns=WEIGHTS):
    """Return pictures of noise, their sheet, and its layout."""
    shape = (len(rows) * len(columns), *size, 3)
    pictures = list(np.random.default_rng(0).random(shape, np.float32))
    return pictures, grid(pictures, size, rows, columns), layout(size, rows, columns)


def inked(pixels):
    """Return whether any pixel is not white."""
    return bool((pixels < 0.99).any())


@for_each("size", [(24, 32), (64, 160), (96, 128), (512, 340)])
def test_every_cell_is_unchanged_and_aligned(size):
    pictures, sheet, places = drawn(size)
    assert sheet.shape == (places.height, places.width, 3)
    assert sheet.dtype == np.float32
    rest = sheet.copy()
    for index, picture in enumerate(pictures):
        top, left = places.tops[index // 2], places.lefts[index % 2]
        cell = np.s_[top : top + size[0], left : left + size[1]]
        np.testing.assert_array_equal(sheet[cell], picture)
        rest[cell] = 1
    assert not inked(rest[places.tops[0] :, places.lefts[0] :])


@for_each("size", [(64, 160), (96, 128), (512, 340)])
def test_gaps_are_thin_and_all_the_same(size):
    places = layout(size, LAYERS, WEIGHTS)
    gaps = {*(np.diff(places.tops) - size[0]), *(np.diff(places.lefts) - size[1])}
    assert len(gaps) == 1
    assert 0 < gaps.pop() <= max(size) // 32


@for_each("size", [(24, 32), (96, 128), (512, 340)])
def test_labels_are_at_the_left_and_above_inside_the_sheet(size):
    _, sheet, places = drawn(size)
    for top in places.tops:
        assert inked(sheet[top : top + size[0], : places.lefts[0] - 2])
    for left in places.lefts:
        assert inked(sheet[: places.tops[0] - 2, left : left + size[1]])
    edge = int(places.font.size / 2)
    for side in (sheet[:edge], sheet[-edge:], sheet[:, :edge], sheet[:, -edge:]):
        assert not inked(side)
    assert places.font.size >= 13
    assert sheet[: places.tops[0], : places.lefts[0] - places.font.size * 4].min() == 1


def test_labels_are_in_the_middle_of_their_cells():
    _, sheet, places = drawn((128, 160))
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


def test_no_labels_take_no_room():
    _, sheet, places = drawn((40, 50), [""], [""])
    assert places.tops == places.lefts == (13,)
    assert sheet.shape == (40 + 26, 50 + 26, 3)


def test_labels_of_small_cells_have_the_room_they_need():
    places = layout((16, 16), LAYERS, ["content weight 1e3", "content weight 1e4"])
    words = places.font.getlength("content weight")
    assert words + 5 < np.diff(places.lefts)[0] < words + 20
    lines = max(map(len, places.rows))
    assert lines == 2
    assert np.diff(places.tops)[0] > lines * places.font.size


def test_a_cell_that_failed_is_gray_and_says_why():
    (picture, _), _, places = drawn((96, 128), [""], WEIGHTS)
    reason = "the loss is not finite in style/relu1_1 at step 3: " * 4
    sheet = grid([picture, reason], (96, 128), [""], WEIGHTS)
    row = sheet[places.tops[0] :][:96]
    cell = row[:, places.lefts[1] :][:, :128]
    np.testing.assert_allclose(cell[[0, 0, -1, -1], [0, -1, 0, -1]], 0xDD / 255, rtol=1e-6)
    assert cell.min() < 0.5
    np.testing.assert_array_equal(row[:, places.lefts[0] :][:, :128], picture)


FONT = ImageFont.load_default(13)
LABEL = "relu1_1 … relu3_1"


@for_each(
    ("text", "width", "lines"),
    [
        (LABEL, 1000, [LABEL]),
        (LABEL, math.ceil(FONT.getlength("relu1_1 …")), ["relu1_1 …", "relu3_1"]),
        ("", 100, []),
    ],
)
def test_long_labels_take_several_lines(text, width, lines):
    assert wrapped(text, FONT, width) == lines


def test_words_that_are_too_long_lose_their_end():
    (line,) = wrapped("a_painting_with_a_very_long_name", FONT, 80)
    assert line.startswith("a_paint")
    assert line.endswith("…")
    assert FONT.getlength(line) <= 80


def test_a_reason_has_as_many_lines_as_there_is_room():
    lines = fitting("word " * 50, FONT, (60, 100))
    assert len(lines) == 2
    assert lines[-1].endswith("…")
    assert all(FONT.getlength(line) <= 100 - 13 for line in lines)
    assert fitting("short", FONT, (60, 100)) == ["short"]


@for_each(
    ("width", "columns"),
    [
        (64, (["style weight", "1"], ["style weight", "1.25e5"])),
        (640, (["style weight 1"], ["style weight 1.25e5"])),
    ],
)
def test_columns_are_labeled_alike(width, columns):
    places = layout((64, width), [""], ["style weight 1", "style weight 1.25e5"])
    assert places.columns == columns
