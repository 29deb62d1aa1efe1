"""Tests of reading masks of all kinds and of the regions they define."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from jaxstyle.errors import MaskError
from jaxstyle.guidance.masks import read_regions

SIDES = (8, 12)
BLUE, RED, BLACK, WHITE = (0, 0, 255), (255, 0, 0), (0, 0, 0), (255, 255, 255)


def left(columns=6, sides=SIDES):
    """Return a mask of the leftmost columns."""
    mask = np.zeros(sides, np.float32)
    mask[:, :columns] = 1
    return mask


def painted(*colors, sides=SIDES):
    """Return a segmentation in stripes of equal width."""
    columns = np.arange(sides[1]) * len(colors) // sides[1]
    return np.broadcast_to(np.array(colors, np.uint8)[columns], (*sides, 3)).copy()


def read(content, style, content_sides=SIDES, style_sides=(SIDES,)):
    return read_regions(content, style, content_sides, style_sides)


def saved(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return Image.open(file)


GRADED = {
    "mode 1": lambda m: Image.fromarray(m > 0.5),
    "L": lambda m: Image.fromarray(np.uint8(m * 255)),
    "RGB": lambda m: Image.fromarray(np.uint8(m * 255)).convert("RGB"),
    "I;16": lambda m: saved(Image.fromarray(np.uint16(m * 65535))),
    "float array": lambda m: m,
    "float64 array": lambda m: m.astype(np.float64),
    "truth values": lambda m: m > 0.5,
    "one channel": lambda m: (m * 255).astype(np.uint8)[..., None],
    "alpha of white": lambda m: np.dstack([np.ones((*m.shape, 3)), m]),
    "alpha of black": lambda m: np.dstack([np.zeros((*m.shape, 3)), m]),
    "alpha of a color": lambda m: np.dstack([m, 0 * m, 0 * m, m]),
    "LA": lambda m: Image.merge("LA", [Image.fromarray(np.uint8(m * 255))] * 2),
    "palette of two": lambda m: saved(Image.fromarray(np.uint8(m * 255)).convert("P")),
}


@pytest.mark.parametrize("kind", GRADED)
def test_graded_masks_of_every_kind(kind):
    regions = read([GRADED[kind](left())], [])
    assert regions.names == ("region 1",)
    np.testing.assert_array_equal(regions.content, left()[None])
    np.testing.assert_array_equal(regions.styles[0], np.ones((1, *SIDES), np.float32))
    assert regions.content.dtype == regions.styles[0].dtype == np.float32
    assert regions.notes == ()


@pytest.mark.parametrize("kind", ["I;16", "float array", "alpha of white", "alpha of black"])
def test_soft_masks_keep_their_values(kind):
    soft = np.broadcast_to(np.linspace(0, 1, 12, dtype=np.float32), SIDES)
    np.testing.assert_allclose(read([GRADED[kind](soft)], []).content[0], soft, atol=2 / 65535)


def test_a_gray_mask_with_alpha_is_inside_where_it_is_both():
    gray = np.broadcast_to(np.linspace(0, 1, 12)[:, None], (12, 3))
    mask = np.broadcast_to(np.hstack([gray, np.full((12, 1), 0.5)]), (8, 12, 4))
    np.testing.assert_allclose(read([mask], []).content[0, 0], np.linspace(0, 0.5, 12), atol=1e-6)


def test_a_profile_does_not_change_the_values_and_orientation_is_obeyed(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    gray = Image.fromarray(np.uint8(left(3, (12, 8)) * 100 + 50)).convert("RGB")
    gray.save(tmp_path / "mask.png", icc_profile=profile, exif=exif)
    image = Image.open(tmp_path / "mask.png")
    for source in (tmp_path / "mask.png", image):
        content = read([source], []).content[0]
        np.testing.assert_allclose(content[0], np.full(12, 150 / 255), atol=1e-6)
        np.testing.assert_allclose(content[3], np.full(12, 50 / 255), atol=1e-6)
    assert "icc_profile" in image.info  # the caller's picture is left as it is
    image.close()


A, B, C, D = (left(columns) for columns in (1, 2, 4, 6))
ALL, NONE = left(12), left(0)
PAIRINGS = {  # masks of the content and of the styles -> the regions of each style picture
    "one pair": ([A], [B], [[B, 1 - B]]),
    "one for each picture": ([A], [B, C], [[B, 1 - B], [C, 1 - C]]),
    "two of one style": ([A, B], [C, D], [[C, D]]),
    "two of the content alone": ([A, B], [], [[ALL, ALL]]),
    "one of the content alone": ([A], [], [[ALL], [ALL]]),
    "a style picture for each region": ([A, B], [], [[ALL, NONE], [NONE, ALL]]),
    "a style picture and its mask for each region": ([A, B], [C, D], [[C, NONE], [NONE, D]]),
    "style by style": ([A, B], [B, C, D, A], [[B, C], [D, A]]),
}


@pytest.mark.parametrize(("content", "style", "expected"), PAIRINGS.values(), ids=PAIRINGS)
def test_the_number_of_masks_says_what_they_belong_to(content, style, expected):
    regions = read(content, style, style_sides=[SIDES] * len(expected))
    names = tuple(f"region {k + 1}" for k in range(len(content)))
    if len(content) == 1 and style:
        content, names = [A, 1 - A], ("inside", "outside")
    assert regions.names == names
    np.testing.assert_array_equal(regions.content, content)
    np.testing.assert_array_equal(regions.styles, expected)


def test_whole_style_pictures_keep_their_own_sizes():
    regions = read([A, B], [], style_sides=(SIDES, (5, 7)))
    assert [style.shape for style in regions.styles] == [(2, *SIDES), (2, 5, 7)]


DARK, GREEN, GRAY = (10, 20, 30), (10, 90, 30), (128, 128, 128)
GRAYS = painted(BLACK, BLACK, BLACK, WHITE, WHITE, GRAY)
ONE_PIXEL = painted(BLUE)
ONE_PIXEL[2, 3] = RED
WHOLE_CONTENT = 'region "{}" is the whole content'
SEGMENTATIONS = {  # of content and style -> shares of both by region, and notes
    "any colors, the largest first": (
        painted(DARK, GREEN, GREEN),
        painted(GREEN, GREEN, DARK, BLACK),
        {"#0a5a1e": (2 / 3, 1 / 2), "#0a141e": (1 / 3, 1 / 4)},
    ),
    "black and white beside a color": (
        painted(BLACK, BLACK, WHITE),
        painted(BLACK, WHITE, RED),
        {"black": (2 / 3, 1 / 3), "white": (1 / 3, 1 / 3)},
    ),
    "a style without a region": (
        painted(RED, WHITE, WHITE),
        left(),
        {"white": (2 / 3, 1 / 2), "red": (1 / 3, 1)},
        'no style has a region "red": it takes the style of the whole picture',
    ),
    "an indexed picture of three grays": (
        Image.fromarray(GRAYS).quantize(3),
        GRAYS,
        {"black": (1 / 2, 1 / 2), "white": (1 / 3, 1 / 3), "grey": (1 / 6, 1 / 6)},
    ),
    "one pixel": (ONE_PIXEL, painted(BLUE, RED), {"blue": (95 / 96, 0.5), "red": (1 / 96, 0.5)}),
    "all black": (painted(BLACK), painted(BLACK), {"outside": (1, 1)}, WHOLE_CONTENT),
    "all white": (painted(WHITE), painted(WHITE), {"inside": (1, 1)}, WHOLE_CONTENT),
    "all red": (painted(RED), painted(RED), {"red": (1, 1)}, WHOLE_CONTENT),
}


@pytest.mark.parametrize("case", SEGMENTATIONS.values(), ids=SEGMENTATIONS)
def test_colors_are_regions(case):
    content, style, expected, *notes = case
    regions = read([content], [style])
    shares = zip(regions.content.mean((1, 2)), regions.styles[0].mean((1, 2)), strict=True)
    assert regions.names == tuple(expected)
    for found, wanted in zip(shares, expected.values(), strict=True):
        assert found == pytest.approx(wanted)
    assert set(np.unique(regions.content)) <= {0, 1}
    assert [note.format(*expected) for note in notes] == list(regions.notes[-1:])


def test_transparent_pixels_of_a_segmentation_are_in_no_class():
    opaque = np.full((*SIDES, 1), 255, np.uint8)
    mask = np.dstack([painted(BLUE, RED, BLUE), opaque])
    mask[:, 8:, 3] = 0
    regions = read([mask], [painted(BLUE, RED)])
    assert regions.names == ("blue", "red")
    assert regions.content.sum() == 8 * 8
    assert "33% of it" in regions.notes[0]


def test_a_class_takes_the_whole_of_each_style_only_where_none_has_it():
    content, blue = painted(BLUE, BLUE, RED), painted(BLUE, BLACK)
    some = read([content], [painted(BLUE, RED), blue], style_sides=[SIDES] * 2)
    assert [style[1].mean() for style in some.styles] == [0.5, 0]
    assert some.notes == ()
    none = read([content], [blue, blue], style_sides=[SIDES] * 2)
    assert [style.mean((1, 2)).tolist() for style in none.styles] == [[0.5, 1]] * 2
    assert none.notes == ('no style has a region "red": it takes the style of the whole picture',)


def test_masks_of_another_size_stay_as_they_are_with_a_note(tmp_path):
    path = tmp_path / "sky.png"
    Image.fromarray(np.uint8(left(2, (4, 6)) * 255)).save(path)
    regions = read([path], [left()])
    assert regions.content.shape == (2, 4, 6)
    assert regions.notes == (f"{path}: 6x4 mask for a 12x8 picture: resized",)


def test_a_note_says_which_picture_of_an_animation_is_the_mask(tmp_path):
    path = tmp_path / "mask.gif"
    first, second = (Image.fromarray(np.uint8(255 * mask)) for mask in (left(), 1 - left()))
    first.save(path, save_all=True, append_images=[second])
    assert read([path], [left()]).notes == (f"{path}: is an animation: its first picture is taken",)


@pytest.mark.parametrize(
    ("mask", "picture", "fits"),
    [
        ((219, 350), (437, 700), True),  # 218.5
        ((218, 350), (437, 700), True),
        ((437, 700), (219, 350), True),
        ((216, 350), (437, 700), False),
        ((700, 437), (437, 700), False),
    ],
)
def test_aspect_ratios_must_agree_up_to_rounding(mask, picture, fits):
    if fits:
        assert len(read([left(3, mask)], [], content_sides=picture).notes) == 1
    else:
        with pytest.raises(MaskError, match=f"content mask 1: {mask[1]}x{mask[0]} mask for a 7"):
            read([left(3, mask)], [], content_sides=picture)


def test_masks_of_one_picture_get_the_size_of_the_largest():
    regions = read([left(3, (4, 6)), left(6)], [])
    np.testing.assert_allclose(regions.content[0].mean(), 0.5)
    assert regions.content.shape == (2, *SIDES)


def test_an_empty_region_of_the_content_is_left_out():
    nearly_black = np.full(SIDES, 1, np.uint8)
    regions = read([nearly_black, left()], [left(), left(2)])
    assert regions.names == ("region 2",)
    np.testing.assert_array_equal(regions.styles[0], left(2)[None])
    assert regions.notes == ('the content has no region "region 1": it is left out',)


ONE, SEGMENTATION = left(), painted(BLUE, RED)
NOISE = np.random.default_rng(0).integers(0, 255, (*SIDES, 3), np.uint8)
ONE_OF_EACH = r"content mask 1 is a segmentation.* 1 content mask and 1"


@pytest.mark.parametrize(
    ("contents", "styles", "style_sides", "problem"),
    [
        ([ONE] * 2, [ONE], [SIDES], "2 style masks or none, not 1"),
        ([ONE] * 2, [ONE] * 3, [SIDES] * 2, "4 style masks .style by style. or 2 .* or none"),
        ([ONE] * 2, [], [SIDES] * 3, "6 style masks .style by style., not 0"),
        ([ONE], [ONE] * 2, [SIDES], "1 style mask or none, not 2"),
        ([], [ONE], [SIDES], "no content mask: give at least one"),
        ([SEGMENTATION] * 2, [SEGMENTATION], [SIDES], ONE_OF_EACH),
        ([SEGMENTATION], [SEGMENTATION] * 2, [SIDES], ONE_OF_EACH),
        ([SEGMENTATION], [], [SIDES], ONE_OF_EACH),
        ([NOISE], [NOISE], [SIDES], "content mask 1, style mask 1: no colors that fill"),
        ([ONE] * 2, [ONE] * 2, [SIDES, (9, 9)], "style mask 2: 12x8 mask for a 9x9 picture"),
        ([left(0)], [], [SIDES], "the content masks are empty"),
        ([ONE], [np.zeros(3)], [SIDES], r"^style mask 1: an array of shape \(3,\)"),
    ],
)
def test_masks_that_do_not_fit_are_refused_in_one_line(contents, styles, style_sides, problem):
    with pytest.raises(MaskError, match=problem) as caught:
        read(contents, styles, style_sides=style_sides)
    assert "\n" not in str(caught.value)


def test_a_mask_that_cannot_be_read_is_named(tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    for source in (broken, tmp_path / "missing.png"):
        with pytest.raises(MaskError, match=source.name):
            read([left()], [source])
