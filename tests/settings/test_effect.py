"""Settings that were given and have no effect are refused or remarked on; all others pass."""

import dataclasses
import warnings

import optax
import pytest

import jaxstyle
from jaxstyle.errors import SettingError
from jaxstyle.presets import PRESETS
from jaxstyle.settings import Settings, resolve
from jaxstyle.settings.effect import ALWAYS, CONTRADICTIONS, SUPERFLUOUS, check_effects
from tests.cases import for_each

MASKS = {"content_mask": "c.png", "style_mask": "s.png"}
GAUSSIAN = {"noise": "gaussian", "noise_level": 0.1}


def check(given, styles=1):
    """The names of superfluous settings among those given."""
    return [name for name, _ in check_effects([resolve(**given)], given, styles)]


def test_every_setting_has_a_rule_or_always_has_an_effect():
    ruled = {name for rule in (*CONTRADICTIONS, *SUPERFLUOUS) for name in rule.names}
    assert ruled.isdisjoint(ALWAYS)
    assert ruled | set(ALWAYS) == {field.name for field in dataclasses.fields(Settings)}


@for_each(
    ("name", "given"),
    [
        ("betas", {"optimizer": "lbfgs", "betas": (0.5, 0.9)}),
        ("betas", {"optimizer": "lbfgs", "betas": Settings.betas}),  # the default is no excuse
        ("betas", {"preset": "neural-style", "betas": (0.5, 0.9)}),  # whose optimizer is L-BFGS
        ("epsilon", {"optimizer": "sgd", "epsilon": 1e-3}),
        ("momentum", {"momentum": 0.5}),
        ("momentum", {"momentum": 0.5, "optimizer": optax.sgd(0.1)}),
        ("history", {"history": 5}),
        ("history", {"history": 5, "optimizer": "sgd"}),
        ("learning_rate", {"learning_rate": 0.1, "optimizer": optax.sgd(0.1)}),
        ("learning_rate_decay", {"learning_rate_decay": 0.9, "optimizer": optax.sgd(0.1)}),
        ("carry", {"carry": True, "optimizer": "lbfgs"}),
        ("average", {"average": 0.9, "keep_best": True}),
        ("size", {"size": 100, "size_rule": "own"}),
        ("style_scale", {"style_scale": 2, "style_fit": "stretch"}),
        ("style_scale", {"style_scale": 2, "preset": "keras"}),
        ("guidance", {"guidance": "inside"}),
        ("smooth_edge", {"smooth_edge": 0.1}),
        ("smooth_edge", {"smooth_edge": 0.1, "photorealism_weight": 1, "init": "noise"}),
        ("luminance", {"luminance": "lab"}),
        ("luminance", {"luminance": "lab", "color_match": "pca"}),
        ("pooling_scale", {"pooling_scale": True}),
        ("init_noise", {"init": "noise", "init_noise": 0.5}),
        ("noise", {"noise": "gaussian"}),
        ("noise_level", {"init": "noise", "noise_level": 0.1}),
        ("noise_level", {"noise": "uniform", "preset": "neural-style", "noise_level": 0.1}),
    ],
)
def test_a_contradiction_is_refused_in_a_line_that_says_what_to_do(name, given):
    with pytest.raises(SettingError) as caught:
        check(given)
    assert caught.value.name == name
    assert caught.value.problem.endswith(": leave it out")
    assert str(caught.value).isprintable()


@for_each(
    ("name", "given"),
    [
        ("steps", {"size": 256, "steps": (100, 60, 30)}),
        ("steps", {"preset": "neural-style", "steps": (100, 60)}),
        ("steps", {"photorealism_weight": (1, 2), "size": 128, "steps": (1, 2, 3)}),
        ("smallest_size", {"smallest_size": 1000}),
        ("smallest_size", {"size": 64, "smallest_size": 65}),
        ("scale_factor", {"size": 128, "scale_factor": 1.5}),
        ("carry", {"carry": True, "size": 100}),
        ("content_layers", {"content_weight": 0, "content_layers": ["relu1_1"]}),
        ("content_loss", {"preset": "texture", "content_loss": "content"}),
        ("style_loss", {"style_weight": 0, "style_loss": "gram"}),
        ("style_fit", {"style_weight": 0, "style_fit": "width"}),
        ("fine_style", {"style_weight": 0, "fine_style": "a.png"}),
        ("auto_masks", {"style_weight": 0, "auto_masks": 3, "init": "content"}),
        ("strength", {"style_weight": 0, "strength": 0.3, "init": "content"}),
        ("tv_loss", {"preset": "photo", "tv_loss": "total-variation-half"}),
        ("style_blend", {"style_blend": 1}),
        ("sum_styles", {"sum_styles": True}),
        ("seed", {"seed": 3}),
        (
            "pooling",
            {"pooling": "l2", "content_layers": ["relu1_1"], "style_layers": ["relu1_2"]},
        ),
        ("original_colors", {"original_colors": True, "color_match": "luminance"}),
        ("tolerance", {"tolerance": 0.1, "steps": 20}),
        ("seed", {"style_loss": "neighbors", "seed": 3}),
        ("style_colors", {"style_colors": True, "original_colors": True}),
        ("last_style_loss", {"style_weight": 0, "last_style_loss": "gram"}),
    ],
)
def test_what_could_be_left_out_is_remarked_on(name, given):
    assert check(given) == [name]


@for_each(
    "given",
    [
        {},
        {"size": 100},  # beneath the smallest size of the defaults
        {"size": 256, "smallest_size": 256},
        {"smallest_size": 32768},  # as the presets say "one scale"
        {"size_rule": "own", "steps": (9, 9, 9, 9, 9), "smallest_size": 4000, "carry": True},
        {"preset": "keras", "momentum": 0.5, "learning_rate": 3},
        {"preset": "neural-style", "optimizer": "adam", "betas": (0.5, 0.9), "noise_level": 0.1},
        {"optimizer": "lbfgs-zoom", "history": 3},
        {"optimizer": optax.adam(0.1), "carry": True},
        {"preset": "neural-style", "optimizer": optax.adam(0.1)},
        {"optimizer": "lbfgs", "carry": False},  # off, as it would be anyway
        {"init": "noise", "init_noise": 0.0, "seed": 4, **GAUSSIAN},
        {"init_noise": 0.1, "seed": 4, **GAUSSIAN},
        {"guidance": "simple", **MASKS},
        {"guidance": "simple", "auto_masks": 2},
        {"smooth_edge": 0.1, "photorealism_weight": 1},
        {"smooth_edge": 0.1, "smooth_radius": 3, "init": "noise"},
        {"luminance": "lab", "original_colors": True},
        {"luminance": "lab", "color_match": "luminance"},
        {"pooling": "average", "pooling_scale": True},
        {"photorealism_weight": (1, 2), "size": 128, "steps": (1, 2)},
        {"style_weight": 0, "init": "colors", **MASKS},
        {"style_weight": 0, "init": "colors", "strength": 0.3},
        {"average": 0.0, "keep_best": True},
        {"preset": "nnst", "seed": 3},
        {"content_loss": "self-similarity", "seed": 3},
        {"last_style_loss": "gram", "size": 128, "steps": (1, 2)},
    ],
)
def test_what_has_an_effect_passes(given):
    assert check(given) == []


def test_several_styles_are_blended_or_summed():
    assert check({"preset": "nnst", "sum_styles": True}, styles=2) == ["sum_styles"]
    assert check({"style_blend": (1, 2), "sum_styles": True}, styles=2) == []
    assert check({"style_blend": (1, 2)}) == []  # refused for its length, later


def test_an_effect_in_one_of_several_runs_is_enough():
    with_and_without = [resolve(content_weight=weight) for weight in (0, 1)]
    assert check_effects(with_and_without, ["content_loss"], 1) == []
    assert check_effects(with_and_without[:1], ["content_loss"], 1)


@for_each("name", PRESETS)
def test_what_a_preset_sets_has_not_been_given(name):
    assert check({"preset": name}) == []


def test_in_a_record_nothing_has_been_chosen():
    record = resolve(preset="neural-style").to_dict()
    assert check(record) == []
    assert check({**record, "size": 64}) == []


def test_the_same_from_python(picture, small_weights):
    pictures = picture(0, 40, 40), picture(1, 40, 40)
    given = {"size": 32, "steps": 0, "weights_file": small_weights}
    with pytest.raises(SettingError, match="^momentum: has no effect without --optimizer sgd"):
        jaxstyle.stylize(*pictures, **given, momentum=0.5)
    with pytest.raises(SettingError, match="^guidance: has no effect without masks"):
        jaxstyle.stylize(*pictures, **given, guidance="all")
    with pytest.warns(UserWarning, match="^seed: has no effect") as caught:
        made = jaxstyle.stylize(*pictures, **given, seed=3)
    assert caught[0].filename == __file__
    with warnings.catch_warnings(action="error"):
        record = made.settings.to_dict()
        jaxstyle.stylize(*pictures, weights_file=small_weights, **record)


@for_each("name", ["steps", "seed", "optimizer", "clamp", "size_rule"])
def test_settings_of_how_a_picture_is_made_are_refused_by_a_score(picture, small_weights, name):
    given = {name: getattr(resolve(), name)}
    with pytest.raises(SettingError, match=f"^{name}: has no effect on a score"):
        jaxstyle.score(*(picture(i, 40, 40) for i in range(3)), weights_file=small_weights, **given)


def test_a_score_has_notes_of_what_could_be_left_out(picture, small_weights):
    pictures = [picture(i, 40, 40) for i in range(3)]
    shallow = {"content_layers": "relu1_1", "style_layers": "relu1_1"}
    given = {"tv_weight": 0, "tv_loss": "total-variation-half", **shallow}
    scored = jaxstyle.score(*pictures, weights_file=small_weights, **given)
    assert scored.notes == ("tv_loss has no effect with --tv-weight 0",)
