"""Every option on its way through a run, with a network of few channels."""

import re
from dataclasses import replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from PIL import Image

from jaxstyle import images
from jaxstyle.errors import PictureSizeError, SettingError
from jaxstyle.execution.factories import network_of, optimizer_of, rates_of, tuned_network
from jaxstyle.execution.inputs import inputs_of
from jaxstyle.execution.plan import Scale, blank, plan, style_size
from jaxstyle.execution.strategy import WHOLE
from jaxstyle.images import Picture, color
from jaxstyle.images.style_colors import with_style_colors
from jaxstyle.losses import objective
from jaxstyle.optim.optimizers import OPTIMIZERS, adam
from jaxstyle.presets import PRESETS
from jaxstyle.presets.preset import PIXELS
from jaxstyle.runs.score import score
from jaxstyle.runs.stylize import stylize
from jaxstyle.settings import resolve


@pytest.fixture
def pictures(picture):
    return np.asarray(picture(0, 45, 64)), np.asarray(picture(1, 40, 40))


MEAN_COLOR = np.array([123.68, 116.779, 103.939]) / 255
SHALLOW = {"content_layers": ["relu2_1"], "style_layers": ["relu1_1", "relu2_1"]}
SMALL = {"size": 48, "smallest_size": 48, "steps": 2, **SHALLOW, "init": "content"}


@pytest.fixture
def made(small_weights, pictures):
    """A function from settings (and other styles) to the result of a small run."""

    def make(styles=None, callback=None, content=pictures[0], **settings):
        return stylize(
            content,
            styles or pictures[1],
            weights_file=small_weights,
            callback=callback,
            **{**SMALL, **settings},
        )

    return make


def first_terms(loaded, start, content, styles, settings):
    """The losses of an image, by an objective made of pictures already of the right size."""
    scored = objective.build(
        network_of(loaded, settings),
        jnp.asarray(content),
        [jnp.asarray(style) for style in styles],
        objective.LossSpec(
            content_weights=settings.content_weights(),
            style_weights=settings.style_weights(),
            tv_weight=settings.tv_weight,
            content_loss=settings.content_loss,
            style_loss=settings.style_loss,
        ),
    )
    return jax.jit(scored)(jnp.asarray(start))[1]


def assert_terms(found, expected):
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-3, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("method", ["cholesky", "pca", "symmetric"])
def test_the_style_is_recolored_before_the_run(made, small_weights, pictures, method):
    result = made(color_match=method, steps=1)
    content = images.resize(pictures[0], 34, 48)
    matched = color.match_colors(pictures[1], pictures[0], method)
    np.testing.assert_allclose(
        matched.mean((0, 1)), pictures[0].mean((0, 1)), atol=0.02
    )  # as far as clipping lets it
    style = images.resize(matched, 48, 48)
    expected = first_terms(small_weights, content, content, [style], result.settings)
    assert_terms(result.losses[0]["terms"], expected)
    plain = made(steps=1).losses[0]["terms"]["style/relu1_1"]
    assert not np.isclose(plain, expected["style/relu1_1"], rtol=0.01)


def test_styles_are_blended_or_their_losses_summed(made, pictures):
    """A mean of squared distances is larger than the squared distance of the mean."""
    summed, blended = (
        made(styles=list(pictures), sum_styles=each, steps=1).losses[0]["terms"]
        for each in (True, False)
    )
    for layer in SHALLOW["style_layers"]:
        assert summed[f"style/{layer}"] > 1.1 * blended[f"style/{layer}"] > 0


def chroma(image):
    """What rec601 leaves of an image without its luminance: differences of the channels."""
    return np.stack([image[..., 0] - image[..., 1], image[..., 1] - image[..., 2]])


@pytest.fixture
def pale(pictures):
    """Weak colors, which no change of luminance can clip."""
    return (0.45 + 0.1 * pictures[0]).astype(np.float32)


@pytest.mark.parametrize("settings", [{"original_colors": True}, {"color_match": "luminance"}])
def test_the_result_has_the_colors_of_the_content(made, pale, settings):
    colors = images.resize(pale, 34, 48)
    result = made(content=pale, learning_rate=0.05, **settings).image
    assert 0 < result.min() < result.max() < 1
    np.testing.assert_allclose(chroma(result), chroma(colors), atol=1e-5)
    assert np.abs(result - colors).max() > 0.01  # the luminance is the run's
    assert np.abs(chroma(made(content=pale).image) - chroma(colors)).max() > 0.01


def test_original_colors_are_put_back_after_the_same_run(made, pale):
    plain, kept = made(content=pale), made(content=pale, original_colors=True)
    assert plain.losses == kept.losses
    luma = np.float32([0.299, 0.587, 0.114])
    np.testing.assert_allclose(kept.image @ luma, plain.image @ luma, atol=1e-5)


def test_colors_are_moved_to_the_styles_after_the_same_run(made, pale, pictures):
    plain, moved = made(content=pale), made(content=pale, style_colors=True)
    assert plain.losses == moved.losses
    expected = with_style_colors(
        plain.image, images.resize(pale, 34, 48), [images.resize(pictures[1], 48, 48)], [1]
    )
    np.testing.assert_allclose(moved.image, expected.clip(0, 1), atol=1e-6)


def test_in_luminance_mode_the_objective_sees_gray_pictures(made, small_weights, pictures):
    result = made(color_match="luminance", steps=1)
    light = pictures[0] @ np.float32([0.299, 0.587, 0.114])
    style = pictures[1] @ np.float32([0.299, 0.587, 0.114])
    style = (style - style.mean()) * (light.std() / style.std()) + light.mean()
    gray = [np.repeat(p.clip(0, 1)[..., None], 3, axis=-1) for p in (light, style)]
    content, style = (
        images.resize(gray[0], 34, 48),
        images.resize(gray[1], 48, 48),
    )
    expected = first_terms(small_weights, content, content, [style], result.settings)
    assert_terms(result.losses[0]["terms"], expected)
    assert np.abs(chroma(result.image)).max() > 0.1


def test_no_step_in_luminance_mode_is_the_content(made, pale):
    result = made(color_match="luminance", content=pale, steps=0).image
    np.testing.assert_allclose(result, images.resize(pale, 34, 48), atol=1e-3)


def test_the_start_is_content_and_noise_by_their_shares(made, pictures):
    content = images.resize(pictures[0], 34, 48)
    noise = made(init="noise", steps=0, seed=3).image
    np.testing.assert_allclose(noise.mean(), 0.5, atol=0.02)
    np.testing.assert_allclose(noise.std(), 1 / np.sqrt(12), atol=0.02)
    for share in (0.25, 1.0):
        start = made(init_noise=share, steps=0, seed=3).image
        np.testing.assert_allclose(start, (1 - share) * content + share * noise, atol=1e-6)
    assert not np.array_equal(noise, made(init="noise", steps=0, seed=4).image)


def test_noise_goes_over_a_picture_of_the_users_too(made, pictures, tmp_path):
    gray = Picture(np.full((45, 64, 3), 0.25, np.float32), None)
    images.write(tmp_path / "start.png", gray)
    noise = made(init="noise", steps=0).image
    start = made(init=str(tmp_path / "start.png"), init_noise=0.5, steps=0).image
    np.testing.assert_allclose(start, 0.5 * 0.25 + 0.5 * noise, atol=1 / 255)


@pytest.mark.parametrize(
    ("given", "mean"),
    [
        ({}, MEAN_COLOR),
        ({"network_white": 256}, MEAN_COLOR * 255 / 256),
        ({"network_mean": (0.3, 0.5, 0.6)}, (0.3, 0.5, 0.6)),
    ],
)
@pytest.mark.parametrize("level", [0.001, 0.05])
def test_gaussian_noise_is_around_the_color_the_network_takes_for_zero(made, given, mean, level):
    start = made(init="noise", noise="gaussian", noise_level=level, steps=0, **given).image
    pixels = start.reshape(-1, 3)
    deviation_of_the_mean = level / np.sqrt(len(pixels))
    np.testing.assert_allclose(pixels.mean(0), mean, atol=4 * deviation_of_the_mean)
    np.testing.assert_allclose(pixels.std(0), level, rtol=0.1)
    correlation = np.corrcoef(pixels.T)[np.triu_indices(3, 1)]
    assert np.abs(correlation).max() < 0.15  # each channel has noise of its own


def test_noise_beyond_the_gamut_is_kept_where_nothing_is_clamped(made):
    seen = []
    free = {"clamp": False, "learning_rate": 1e-9}
    start = {"init": "noise", "noise": "gaussian", "noise_level": 1.0}
    made(callback=seen.append, steps=1, **free, **start)
    image = np.asarray(seen[0].reached.state.image)
    assert image.min() < -1
    assert image.max() > 2
    assert 0 <= seen[0].image.min() < seen[0].image.max() <= 1


@pytest.fixture
def fine_path(tmp_path, picture):
    images.write(tmp_path / "fine.png", Picture(np.asarray(picture(7, 40, 56)), None))
    return str(tmp_path / "fine.png")


def test_a_fine_style_is_mixed_in_before_the_run(made, picture, pictures, fine_path):
    styles = [pictures[1], np.asarray(picture(5, 50, 30))]
    seen = []
    mixed = made(styles, callback=seen.append, fine_style=fine_path, style_blend=(1, 2))
    assert [progress.preparing for progress in seen] == [True] * 4 + [False] * 2
    # Each style picture at its own final size, then the picture itself
    assert [p.image.shape[:2] for p in seen] == [(48, 48)] * 2 + [(48, 29)] * 2 + [(34, 48)] * 2
    for progress in seen[:4]:
        assert set(progress.terms) == {"style/relu1_1", "style/relu2_1", "tv"}
    assert seen[1].total < seen[0].total
    assert set(seen[4].terms) > {"content/relu2_1", "style/relu2_1"}
    assert len(mixed.losses) == 2
    assert mixed.settings.fine_style == fine_path
    plain = made(styles, style_blend=(1, 2))
    assert np.abs(mixed.image - plain.image).max() > 1e-3
    assert made(styles, fine_style=fine_path, style_blend=(1, 2)).image.tobytes() == (
        mixed.image.tobytes()
    )


def test_the_mixture_is_the_style_of_the_run(made, small_weights, pictures, fine_path):
    seen = []
    result = made(callback=seen.append, fine_style=fine_path, steps=1)
    content = images.resize(pictures[0], 34, 48)
    mixture = seen[0].image
    expected = first_terms(small_weights, content, content, [mixture], result.settings)
    assert_terms(result.losses[0]["terms"], expected)


def test_a_fine_style_needs_a_layer_to_see_it_with(made, fine_path):
    with pytest.raises(SettingError, match="^fine_style: needs a style layer up to relu2_1$"):
        made(fine_style=fine_path, style_layers=["relu2_2", "relu3_1"])


def test_a_fine_style_too_small_is_named(made, tmp_path):
    Image.new("RGB", (60, 1)).save(tmp_path / "thin.png")
    with pytest.raises(PictureSizeError) as caught:
        made(fine_style=str(tmp_path / "thin.png"))
    assert "style picture 1 is" not in str(caught.value)
    assert "\n" not in str(caught.value)


ONE_LAYER = {"content_layers": ["relu1_1"], "style_layers": ["relu1_1"]}
TWO_SCALES = {"size": 64, "smallest_size": 32, "steps": (3, 2), **ONE_LAYER}
ONE_POOLING = {**SMALL, "content_layers": ["relu1_1"], "style_layers": ["pool1"]}


def test_adams_moments_are_carried_to_the_next_scale(made):
    def seen(**settings):
        found = []
        made(callback=found.append, **TWO_SCALES, **settings)
        return found

    carried, afresh = seen(carry=True), seen(carry=False)
    assert [int(p.reached.state.step) for p in carried] == [1, 2, 3, 1, 2]
    for one, other in zip(carried[:3], afresh[:3], strict=True):
        np.testing.assert_array_equal(one.image, other.image)
    assert carried[3].total == afresh[3].total
    assert np.abs(carried[3].image - afresh[3].image).max() > 1e-3


@pytest.mark.parametrize(
    "optimizer",
    [
        adam(),
        optax.adam(optax.cosine_decay_schedule(0.02, 9)),
        optax.chain(optax.add_noise(0.1, 0.5, 0), optax.adam(0.02)),
        optax.inject_hyperparams(optax.adam)(0.02),
    ],
    ids=["named", "schedule", "chain", "injected"],
)
def test_the_step_count_of_adam_goes_on_where_moments_are_carried(optimizer):
    small, large = Scale(8, 8, 8, 1), Scale(16, 16, 16, 1)
    before = WHOLE.begin([np.zeros((8, 8, 3), np.float32)], optimizer)
    found = [x for x in jax.tree.leaves(before.optimizer, is_leaf=is_adam) if is_adam(x)]
    counted = jax.tree.map(
        lambda x: x._replace(count=jnp.int32(3)) if is_adam(x) else x,
        before.optimizer,
        is_leaf=is_adam,
    )
    fresh = WHOLE.begin([np.zeros((16, 16, 3), np.float32)], optimizer)
    after = WHOLE.carried(replace(before, optimizer=counted), fresh, small, large)
    carried = [x for x in jax.tree.leaves(after.optimizer, is_leaf=is_adam) if is_adam(x)]
    assert len(carried) == len(found) == 1
    assert int(carried[0].count) == 3
    assert carried[0].mu.shape == (16, 16, 3)


def is_adam(state):
    return isinstance(state, optax.ScaleByAdamState)


def test_any_optimizer_can_follow_a_preset_that_carries_moments(made):
    for optimizer in (
        optax.novograd(0.02),
        optax.identity(),
        optax.adam(optax.constant_schedule(0.1)),
    ):
        assert len(made(preset="crowsonkb", optimizer=optimizer, **TWO_SCALES).scales) == 3


OPTAX = optax.sgd(0.1)
"""One object, for which a program is compiled once."""


def test_an_optimizer_without_moments_has_nothing_to_carry(made):
    one, other = (
        made(optimizer=OPTAX, carry=choice, **TWO_SCALES).image for choice in (True, False)
    )
    assert one.tobytes() == other.tobytes()


def test_float64_needs_jax_enable_x64(made, small_weights):
    with pytest.raises(SettingError, match="^precision: float64 needs JAX_ENABLE_X64=1") as caught:
        made(precision="float64")
    assert str(caught.value).isprintable()


IN_FLOAT64 = {
    "precision": "float64",
    "normalize_gradients": True,
    "white": 255,
    "average": 0.5,
    "init": "noise",
}


@pytest.mark.parametrize(
    "optimizer",
    [
        "adam",
        *(pytest.param(name, marks=pytest.mark.slow) for name in OPTIMIZERS if name != "adam"),
    ],
)
def test_float64_runs_where_jax_was_told(made, float64, optimizer):
    result = made(optimizer=optimizer, **IN_FLOAT64, **TWO_SCALES)
    assert np.isfinite(result.image).all()
    assert [record["step"] for record in result.losses] == [1, 2, 3, 1, 2]


def traced(loaded, settings):
    """The step of the last scale of a run, as far as it is known without compiling it.

    Its state is checked to be of the same shapes and types after the step as before it.
    """
    content, style = blank(45, 64), blank(40, 40)
    scale = plan(content, [style], settings)[-1]
    sides, optimizer = (scale.height, scale.width), optimizer_of(settings)
    pictures = blank(*sides), [blank(*style_size(style, 0, scale, settings))]
    inputs = inputs_of(tuned_network(loaded, settings), *pictures, settings)
    scored, state = WHOLE.objective_shape(inputs), WHOLE.state_shape(scale, optimizer)
    step = WHOLE.program(optimizer, inputs.precision).traced(scored, rates_of(settings), state)
    after, losses = step.out_info
    before, after = ([(x.shape, x.dtype) for x in jax.tree.leaves(s)] for s in (state, after))
    assert after == before
    assert {x.shape for x in jax.tree.leaves(losses)} == {()}
    return step, sides


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_float64_is_kept_by_a_step_of_every_optimizer(small_weights, float64, optimizer):
    step, _ = traced(small_weights, resolve(optimizer=optimizer, **{**ONE_POOLING, **IN_FLOAT64}))
    _, losses = step.out_info
    assert {x.dtype for x in losses.terms.values()} == {np.dtype("float64")}


def test_float64_is_close_to_float32_and_not_it(made, float64):
    exact, rounded = (made(precision=p).losses[0]["terms"] for p in ("float64", "float32"))
    for name in exact:
        np.testing.assert_allclose(exact[name], rounded[name], rtol=1e-4)
    assert exact["style/relu2_1"] != rounded["style/relu2_1"]


def test_bfloat16_is_close_too(made):
    rough, fine = (made(precision=p).losses[0]["terms"] for p in ("bfloat16", "float32"))
    np.testing.assert_allclose(rough["style/relu1_1"], fine["style/relu1_1"], rtol=0.05)
    assert rough["style/relu1_1"] != fine["style/relu1_1"]


def test_two_styles_of_two_sizes(made, small_weights, picture, pictures):
    styles = [pictures[1], np.asarray(picture(5, 50, 30))]
    result = made(styles, style_scale=(1.0, 0.75), steps=1)
    content = images.resize(pictures[0], 34, 48)
    sized = [images.resize(styles[0], 48, 48), images.resize(styles[1], 36, 22)]
    expected = first_terms(small_weights, content, content, sized, result.settings)
    assert_terms(result.losses[0]["terms"], expected)
    swapped = made(styles, style_scale=(0.75, 1.0), steps=1).losses[0]
    assert not np.isclose(swapped["total"], result.losses[0]["total"], rtol=1e-3)
    with pytest.raises(SettingError, match="style_scale: has 3 scales for 2 style pictures"):
        made(styles, style_scale=(1, 1, 1))


@pytest.fixture(scope="module")
def plain_pictures():
    """What was made already, by its settings."""
    return {}


OF_A_PROGRAM = [
    {"momentum": 0.0, "optimizer": "sgd"},
    {"history": 1, "optimizer": "lbfgs"},
    {"betas": (0.5, 0.5)},
    {"epsilon": 0.01},
    {"white": 255.0},
    {"normalize_gradients": True},
    {"padding": "zeros"},
    {"rounding": "ceil"},
    {"pooling": "l2"},
    {"pooling": "average", "pooling_scale": True},
    {"style_loss": "mean-std"},
    {"content_loss": "content"},
    {"tv_loss": "total-variation-half"},
]
"""Settings under which another step is compiled."""

OF_VALUES = [
    {"clamp": False, "learning_rate": 0.5},
    {"keep_best": True, "learning_rate": 0.5},
    {"learning_rate_decay": 0.5},
    {"average": 0.9},
    {"resampling": "nearest"},
    {"style_fit": "stretch"},
    {"network_white": 200},
    {"network_mean": (0.1, 0.1, 0.1)},
]
"""Settings under which the same one is given other numbers."""


def compared_with(settings):
    """The settings without those that are looked at."""
    kept = ["optimizer", "learning_rate"]
    if "pooling_scale" in settings:
        kept.append("pooling")
    return {name: settings[name] for name in kept if name in settings}


def test_every_setting_of_a_program_changes_it(small_weights):
    def text(**settings):
        sides = {"size": 47, "smallest_size": 47}  # odd, for the rounding
        step, _ = traced(small_weights, resolve(**{**ONE_POOLING, **sides, **settings}))
        return str(step.jaxpr)

    plain = cache(text)
    assert text(seed=1, tv_weight=3, style_weight=2, average=0.5) == plain()
    for settings in OF_A_PROGRAM:
        changed = text(**settings) != plain(**compared_with(settings))
        assert changed, settings


@pytest.mark.parametrize(
    "settings",
    [*OF_VALUES, *(pytest.param(each, marks=pytest.mark.slow) for each in OF_A_PROGRAM)],
    ids=lambda settings: ",".join(settings),
)
def test_every_setting_reaches_the_picture(made, settings, plain_pictures):
    base = {"steps": 4, **compared_with(settings)}
    if "rounding" in settings:
        base |= {"size": 47, "smallest_size": 47}
    key = str(base)
    if key not in plain_pictures:
        plain_pictures[key] = made(**base).image
    plain, changed = plain_pictures[key], made(**{**base, **settings}).image
    assert np.isfinite(changed).all()
    assert np.abs(plain - changed).max() > 1e-5


def test_tolerance_ends_a_scale_early(made):
    result = made(learning_rate=1e-12, steps=60, tolerance=0.01)
    assert [scale.steps for scale in result.scales] == [21]
    assert len(result.losses) == 21


def assert_sides(sides, settings):
    floor = settings.size_rule == "longest-floor"
    assert sides == (33 if floor else 34, 48)


RUN = ["default", "crowsonkb", "gatys-2016"]
"""Presets that have little in common."""

OTHERS = [name for name in PRESETS if name not in RUN]


@pytest.mark.parametrize("name", OTHERS)
def test_every_preset_has_a_step(small_weights, name):
    settings = resolve(name, **ONE_POOLING)
    _, sides = traced(small_weights, settings)
    assert_sides(sides, settings)


@pytest.mark.filterwarnings("ignore:content_layers. has no effect")  # with a texture's preset
@pytest.mark.parametrize(
    "name", [*RUN, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)]
)
def test_every_preset_runs_in_small(made, name):
    result = made(preset=name, steps=2)
    assert_sides(result.image.shape[:2], result.settings)
    assert np.isfinite(result.image).all()
    assert all(np.isfinite(record["total"]) for record in result.losses)


def test_an_optax_transformation_is_used_as_it_is(made):
    own = made(optimizer=optax.adam(0.03, b1=0.9, b2=0.99), steps=3)
    np.testing.assert_array_equal(own.image, made(learning_rate=0.03, steps=3, **PIXELS).image)
    assert own.report()["settings"]["optimizer"] == "custom"


@pytest.mark.parametrize(
    "optimizer",
    [
        optax.chain(
            optax.clip_by_global_norm(1.0), optax.sgd(optax.cosine_decay_schedule(0.1, 10), 0.9)
        ),
        optax.lbfgs(memory_size=3),
        optax.inject_hyperparams(optax.adamw)(learning_rate=0.02),
    ],
    ids=["chain", "line search", "injected"],
)
def test_any_optax_transformation_lowers_the_loss(made, optimizer):
    losses = [each["total"] for each in made(optimizer=optimizer, steps=6).losses]
    assert losses[-1] < 0.9 * losses[0]


def test_an_optax_transformation_comes_without_options_of_named_optimizers(made):
    for given, said in (
        ({"optimizer": 3}, "optimizer: 3 is not one of adam, sgd, lbfgs, lbfgs-zoom, nor an Optax"),
        ({"optimizer": OPTAX, "learning_rate": 1}, "learning_rate: is for optimizers with a name"),
        ({"optimizer": OPTAX, "betas": (0.5, 0.5)}, "betas: has no effect without"),
        (resolve(optimizer=optax.adam(1.0)).to_dict(), "optimizer: 'custom' stands for an Optax"),
    ):
        with pytest.raises(SettingError, match=re.escape(said)):
            made(**given)


def test_a_preset_of_another_optimizer_goes_with_an_optax_transformation(made):
    assert made(preset="tf-tutorial", optimizer=OPTAX, steps=1).settings.optimizer is OPTAX


def test_a_result_with_an_optax_transformation_is_repeated_with_another_optimizer():
    stored = resolve(optimizer=optax.adam(1.0)).to_dict()
    again = optax.sgd(0.1)
    assert resolve(**{**stored, "optimizer": again}).optimizer is again
    assert resolve(**{**stored, "optimizer": "lbfgs"}).optimizer == "lbfgs"


@pytest.mark.parametrize(
    ("optimizer", "problem"),
    [
        (optax.contrib.sam(optax.sgd(0.1), optax.sgd(0.1)), "cannot be applied to an image: Type"),
        (
            optax.GradientTransformation(
                lambda image: image[..., :1], lambda updates, state, params=None: (updates, updates)
            ),
            "changes the shapes or dtypes of its state",
        ),
    ],
    ids=["raises", "drifts"],
)
def test_a_transformation_that_cannot_step_an_image_is_refused_at_once(optimizer, problem):
    with pytest.raises(SettingError, match=f"^optimizer: {problem}"):
        resolve(optimizer=optimizer)


def test_a_line_search_does_not_go_with_tiles(made):
    with pytest.raises(
        SettingError, match="tile: does not go with an optimizer that searches along a line"
    ):
        made(optimizer=optax.lbfgs(), tile=64, size=80, smallest_size=80)


def test_warnings_are_printable(made, pictures, small_weights, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = "a\x1b[31m\n.png"
    Image.fromarray(np.uint8(255 * pictures[0])).save(name, icc_profile=b"\x1b[2J" * 99)
    with pytest.warns(UserWarning, match="ICC profile is ignored") as caught:
        made(content=name)
    notes = score(name, name, name, weights_file=small_weights, size=48, **SHALLOW).notes
    assert all(str(note).isprintable() for note in (*notes, *(each.message for each in caught)))


def test_notes_on_all_pictures_are_warnings(made, pictures, small_weights, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("a.gif", "b.gif", "c.gif")):
        levels = np.random.default_rng(seed).integers(0, 256, (2, 45, 64), dtype=np.uint8)
        first, second = map(Image.fromarray, levels // 8)
        first.save(name, save_all=True, append_images=[second])
    notes = [f"{name}.gif: is an animation: its first picture is taken" for name in "abc"]
    Image.new("L", (64, 45), 255).save("m.png")
    Image.new("L", (40, 40), 255).save("n.png")
    with pytest.warns(UserWarning) as caught:
        made(content="a.gif", styles=["b.gif", "b.gif"], init="c.gif")
    assert sorted(str(each.message) for each in caught) == notes
    with pytest.warns(UserWarning) as caught:
        made(content_mask="m.png", style_mask="n.png")
    assert 'region "inside" is the whole content' in [str(each.message) for each in caught]
    sources = "a.gif", "b.gif", ["c.gif", "a.gif"]
    found = score(*sources, weights_file=small_weights, size=48, **SHALLOW)
    assert list(found.notes) == notes
