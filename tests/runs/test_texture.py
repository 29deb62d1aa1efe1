"""Textures: of any size, without content, without a seam where that is wanted."""

import numpy as np
import pytest

from jaxstyle import images, resolve, texture
from jaxstyle.errors import PictureSizeError, SettingError
from jaxstyle.execution.plan import plan
from jaxstyle.images import Picture
from jaxstyle.runs.canvas import on_canvas

SMALL = {"steps": 2, "smallest_size": 48, "style_layers": ["relu1_1", "relu2_1"]}


@pytest.fixture
def style(picture):
    return np.asarray(picture(1, 40, 56))


@pytest.fixture
def made(small_weights, style):
    """A function from a shape and settings to a small texture."""

    def make(shape=None, styles=None, **options):
        options = {**SMALL, **options}
        return texture(styles or style, shape=shape, weights_file=small_weights, **options)

    return make


def planned(style, shape=None, periodic=False, **settings):
    """The sides of every scale of a texture, and its settings."""
    chosen = resolve("texture", **{**SMALL, **settings})
    canvas, chosen = on_canvas([style], shape, periodic, chosen)
    return [(scale.height, scale.width) for scale in plan(canvas.rgb, [style], chosen)], chosen


def test_a_texture_has_exactly_the_size_asked_for(made, style):
    for shape in [(33, 57), (64, 32), (40, 40), (17, 64)]:
        scales, _ = planned(style, shape)
        assert scales[-1] == shape
    result = made((17, 64), smallest_size=32, style_layers=["relu1_1"])
    assert len(result.scales) == 2
    assert result.image.shape == (17, 64, 3)
    assert result.image.dtype == np.float32
    assert 0 <= result.image.min() < result.image.max() <= 1
    assert result.alpha is None


def test_without_a_shape_it_is_the_first_styles_at_the_size_of_the_settings(made, picture, style):
    assert planned(style, size=48)[0] == [(34, 48)]
    assert planned(style, size=48, periodic=True)[0] == [(32, 48)]
    tall = np.asarray(picture(2, 60, 30))
    assert made(styles=[tall, style], size=48).image.shape == (48, 24, 3)


def test_a_texture_depends_on_the_style_alone(made):
    result = made((48, 48))
    for record in result.losses:
        assert set(record["terms"]) == {"style/relu1_1", "style/relu2_1", "tv"}
    assert result.losses[-1]["terms"]["tv"] == 0
    assert result.settings.content_weight == 0
    assert not any(result.settings.content_weights())


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"content_weight": 5.0}, "content_weight"),
        ({"color_match": "pca"}, "color_match"),
        ({"init": "content"}, "init"),
        ({"periodic": True, "padding": "zeros"}, "padding"),
        ({"size": 48}, "size"),
        ({"size_rule": "own"}, "size_rule"),
        ({"momentum": 0.5}, "momentum"),
    ],
)
def test_a_setting_without_effect_on_a_texture_is_refused(made, given, name):
    with pytest.raises(SettingError) as caught:
        made((48, 48), **given)
    assert caught.value.name == name
    assert caught.value.problem.endswith(("leave it out", "leave one of them out"))


def test_steps_lower_the_style_loss_of_a_texture(made):
    losses = [r["total"] for r in made((48, 48), steps=12).losses]
    assert losses[-1] < 0.5 * losses[0]


def test_same_seed_same_bytes_other_seed_other_bytes(made):
    one, again, other = (made((48, 48), seed=seed).image.tobytes() for seed in (1, 1, 2))
    assert one == again != other


@pytest.mark.parametrize("shape", [(48, 50), (50, 48), (15, 16), (40, 40)])
def test_a_period_the_network_cannot_have_is_refused(made, shape):
    with pytest.raises(SettingError) as caught:
        made(shape, periodic=True)
    assert str(caught.value) == (
        f"periodic: needs sides that are multiples of 16, not {shape[1]}x{shape[0]}"
    )


def test_a_period_is_kept_at_every_scale(made, style):
    sizes, _ = planned(style, (64, 96), periodic=True, smallest_size=24)
    assert len(sizes) == 3
    assert all(height % 16 == width % 16 == 0 for height, width in sizes)
    result = made((64, 96), periodic=True, style_layers=["relu1_1"])
    assert [(scale.height, scale.width) for scale in result.scales] == sizes[1:]
    assert result.image.shape == (64, 96, 3)
    assert result.settings.padding == "circular"


def test_a_periodic_texture_has_no_seam(made):
    """Across its border it is as smooth as anywhere inside; one with borders is not."""

    def seam(image):
        inside = np.abs(np.diff(image, axis=1)).mean()
        return np.abs(image[:, 0] - image[:, -1]).mean() / inside

    long = {"steps": 40, "tv_weight": 1.0}
    tiled, bordered = (made((48, 48), periodic=choice, **long).image for choice in (True, False))
    assert seam(tiled) < 1.15 < seam(bordered)


def first_loss(result):
    return result.losses[0]["total"]


def test_a_style_picture_is_never_enlarged(made, style, tmp_path):
    """From 56 pixels on it is seen as it is; black without borders is as far from it anywhere."""
    black = tmp_path / "black.png"
    images.write(black, Picture(np.zeros((16, 16, 3), np.float32)))
    fixed = {"init": str(black), "periodic": True, "smallest_size": 32768, "steps": 1}
    fixed["style_layers"] = ["relu1_1"]
    here, there = (first_loss(made(shape, **fixed)) for shape in ((64, 64), (80, 64)))
    assert here == pytest.approx(there, rel=1e-4)
    assert first_loss(made((32, 32), **fixed)) != pytest.approx(here, rel=1e-3)
    assert first_loss(made((64, 64), style_scale=0.5, **fixed)) != pytest.approx(here, rel=1e-3)


def test_two_styles_are_blended(made, picture, style):
    styles = [style, np.asarray(picture(5, 50, 30))]
    first, second, both = (
        made((48, 48), styles, style_blend=blend).image for blend in ((1, 0), (0, 1), (1, 1))
    )
    np.testing.assert_allclose(first, made((48, 48)).image, atol=1e-4)
    assert np.abs(first - second).max() > 0.01
    assert np.abs(first - both).max() > 1e-3


@pytest.mark.parametrize(
    ("options", "error", "problem"),
    [
        ({"style_blend": (1, 2)}, SettingError, "style_blend: has 2 shares for 1 style pictures"),
        ({"style_scale": (1, 2)}, SettingError, "style_scale: has 2 scales for 1 style pictures"),
        ({"preset": "textrue"}, SettingError, "did you mean texture"),
        ({"size": 0}, SettingError, "size: must be at least 1"),
        ({"style_loss": "neighbors"}, SettingError, "follows a photo, and a texture has none"),
        ({"shape": (1, 64)}, PictureSizeError, "1 pixels, too small"),
        ({"shape": (40000, 64)}, SettingError, "shape: must be two sides from 1 to 32768"),
    ],
)
def test_what_cannot_be_made_is_refused_in_a_line(made, options, error, problem):
    with pytest.raises(error, match=problem) as caught:
        made(**options)
    assert str(caught.value).isprintable()


def test_at_least_one_style(small_weights):
    with pytest.raises(SettingError, match="at least one style picture"):
        texture([], shape=(32, 32), weights_file=small_weights)


def test_the_published_texture_preset_runs(made):
    result = made((48, 32), preset="gatys-texture", style_layers=["relu1_1", "pool1"])
    assert result.image.shape == (48, 32, 3)
    assert result.settings.optimizer == "lbfgs"


def test_settings_of_a_texture_can_be_resolved_again(style):
    for shape in ((48, 48), (64, 96)):
        _, settings = planned(style, shape, periodic=True)
        assert resolve(**settings.to_dict()) == settings
