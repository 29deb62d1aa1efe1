"""Runs with transparent pictures: what cannot be seen takes no part in them."""

import numpy as np
import pytest
from PIL import Image

from jaxstyle.errors import ImageError
from jaxstyle.images import Picture
from jaxstyle.runs.inputs import Inputs
from jaxstyle.runs.optimize import optimize
from jaxstyle.runs.score import score
from jaxstyle.runs.stylize import stylize
from jaxstyle.runs.texture import texture
from jaxstyle.settings import resolve
from tests.cases import for_each

LAYERS = {"content_layers": ["relu2_1"], "style_layers": ["relu1_1", "relu2_1"]}
QUICK = {"size": 32, "smallest_size": 16, "steps": (2, 2), **LAYERS}


@pytest.fixture
def pictures(picture):
    """Content and style with alpha, twice: the second differs under alpha 0 alone."""
    found = []
    for seed, (height, width) in enumerate([(45, 64), (40, 40)]):
        rgb = np.asarray(picture(seed, height, width))
        alpha = np.clip((np.arange(width) - width // 3) / 4, 0, 1) * np.ones((height, 1))
        other = np.where(alpha[..., None] > 0, rgb, np.asarray(picture(9, height, width)))
        found.append([np.dstack([each, alpha]).astype(np.float32) for each in (rgb, other)])
    content, style = found
    return list(zip(content, style, strict=True))


def same(make, pictures):
    """Check that both pairs give the same bytes, and others than the colors alone."""
    first, second = (np.asarray(make(*pair)) for pair in pictures)
    np.testing.assert_array_equal(first, second)
    plain, other = (np.asarray(make(*(p[..., :3] for p in pair))) for pair in pictures)
    assert not np.array_equal(first, plain)
    assert not np.array_equal(plain, other)


@for_each(
    "settings",
    [
        {},
        {"tile": 64, "size": 80, "smallest_size": 80, "steps": 2},
        {"init": "colors", "color_match": "symmetric"},
        {"color_match": "luminance"},
        {"original_colors": True},
        {"style_loss": "mean-std", "content_loss": "content-relative"},
        {"style_loss": "wasserstein"},
        {"photorealism_weight": 100.0, "smooth_radius": 2, "refine": True},
    ],
)
def test_hidden_colors_change_no_byte_of_a_result(small_weights, pictures, settings):
    settings = {**QUICK, **settings}
    same(
        lambda *pair: stylize(*pair, weights_file=small_weights, **settings).image,
        pictures,
    )


def test_nor_of_a_texture_or_a_fine_style(small_weights, pictures, tmp_path):
    style = {**QUICK, "weights_file": small_weights}
    alone = {name: value for name, value in style.items() if name != "content_layers"}
    same(lambda _, painting: texture(painting, **alone).image, pictures)

    def fine(content, painting):
        path = tmp_path / "fine.png"
        Image.fromarray(np.uint8(painting * 255)).save(path)
        return stylize(content, painting, fine_style=str(path), **style).image

    same(fine, pictures)


def test_nor_a_score(small_weights, pictures):
    options = {**LAYERS, "weights_file": small_weights}
    same(lambda c, s: score(c, c * np.float32(0.9), s, **options).total, pictures)


def test_a_batch_may_hold_opaque_and_transparent_pictures(small_weights, pictures):
    settings = resolve(**QUICK)
    (content, style), _ = pictures
    plain = np.ascontiguousarray(content[..., 2::-1])
    pairs = (plain, style), (content, style), (plain, plain)
    cells = [Inputs(Picture.of(c), [Picture.of(s).pixels], settings) for c, s in pairs]
    for together, pair in zip(optimize(small_weights, cells), pairs, strict=True):
        alone = stylize(*pair, weights_file=small_weights, **QUICK)
        np.testing.assert_allclose(together.image, alone.image, atol=1e-4)


@for_each("loss", ["gram", "gram-centered", "mean-std", "wasserstein", "gram-relative"])
def test_statistics_of_a_style_are_those_of_its_visible_part(small_weights, picture, loss):
    """Half of it is noise, hidden or cut off: this differs at the border alone."""
    content, style = np.asarray(picture(0, 64, 64)), np.asarray(picture(1, 64, 128))
    noise = np.random.default_rng(0).random((64, 128, 3), np.float32)
    whole = np.concatenate([style, noise], axis=1)
    alpha = np.concatenate([np.ones((64, 128)), np.zeros((64, 128))], axis=1)[..., None]

    def total(each):
        options = {"content_weight": 0, "style_loss": loss, "style_layers": ["relu1_1"]}
        return score(content, None, each, weights_file=small_weights, **options).total

    shown, hidden, noisy = map(total, (style, np.dstack([whole, alpha]), whole))
    assert hidden == pytest.approx(shown, rel=0.02)
    assert abs(noisy - shown) > 10 * abs(hidden - shown)


@for_each("loss", ["content", "content-relative", "content-sum"])
def test_the_content_loss_is_that_of_the_visible_part(small_weights, picture, loss):
    content, image = np.asarray(picture(0, 48, 96)), np.asarray(picture(0, 48, 96)).copy()
    image[:, :40] = 0.5
    seen = np.ones((48, 96, 1), np.float32)
    seen[:, :48] = 0
    options = {"style_weight": 0, "content_loss": loss, "content_layers": ["relu1_1"]}
    for tile in ("off", 64):
        made = score(
            np.dstack([image, seen]),
            np.dstack([content, seen]),
            content,
            weights_file=small_weights,
            tile=tile,
            **options,
        )
        assert made.terms["content/relu1_1"] < 1e-9
    plain = score(image, content, content, weights_file=small_weights, **options)
    assert plain.terms["content/relu1_1"] > 1e-6


def test_masks_hold_for_what_is_visible(small_weights, pictures, tmp_path):
    """A region that is hidden in every style takes the style of all that is visible."""
    for name, (height, width) in (("content", (45, 64)), ("style", (40, 40))):
        mask = np.zeros((height, width), np.uint8)
        mask[:, : width // 4] = 255
        Image.fromarray(mask).save(tmp_path / f"{name}.png")
    masks = {f"{name}_mask": [str(tmp_path / f"{name}.png")] for name in ("content", "style")}
    same(
        lambda *pair: stylize(*pair, weights_file=small_weights, **QUICK, **masks).image,
        pictures,
    )
    (content, style), _ = pictures
    made = stylize(content, style, weights_file=small_weights, **QUICK, **masks)
    assert np.isfinite(made.losses[-1]["total"])


def test_nothing_visible_is_one_line(small_weights, pictures):
    (content, style), _ = pictures
    nothing = content * np.float32([1, 1, 1, 0])
    for pair in ((nothing, style), (content, nothing)):
        with pytest.raises(ImageError, match="every pixel is fully transparent"):
            stylize(*pair, weights_file=small_weights, **QUICK)
