"""Presets as data: complete, valid, and the same after a round trip."""

import dataclasses
import json

import pytest

from jaxstyle.execution.plan import schedule
from jaxstyle.presets import PRESETS
from jaxstyle.settings import Settings, resolve
from tests.cases import for_each

FIELDS = {field.name for field in dataclasses.fields(Settings)}
HOUSE = {name for name, preset in PRESETS.items() if preset.title.startswith("jaxstyle's own")}


@for_each("name", PRESETS)
def test_a_preset_sets_what_exists_and_to_what_it_says(name):
    default, settings, own = resolve(), resolve(name), PRESETS[name].settings
    assert set(own) <= FIELDS - {"preset"}
    for field in FIELDS - {"preset"}:
        given = {"size_rule": settings.size_rule, field: own[field]} if field in own else {}
        expected = resolve(**given) if given else default
        assert getattr(settings, field) == getattr(expected, field), field


@for_each("name", PRESETS)
def test_settings_of_a_preset_come_back_from_json(name):
    settings = resolve(name)
    assert resolve(**json.loads(json.dumps(settings.to_dict()))) == settings


@for_each("name", PRESETS)
def test_a_preset_does_not_change_with_the_settings_made_from_it(name):
    before = resolve(name).to_dict()
    resolve(name).style_layers["relu3_3"] = 9.0
    resolve(name).to_dict()["style_layers"].clear()
    assert resolve(name).to_dict() == before


@for_each(("name", "preset"), PRESETS.items())
def test_a_preset_says_where_it_is_from(name, preset):
    assert preset.title and preset.differs
    assert "\n" not in preset.title + preset.differs + preset.link
    assert preset.network in ("normalized", "original", "any")
    assert preset.link.startswith("https://") if name not in HOUSE else not preset.link


WEIGHTS = {"content_weight", "style_weight", "tv_weight", "photorealism_weight"}


@for_each(("name", "preset"), [(n, preset) for n, preset in PRESETS.items() if preset.equivalent])
def test_equivalents_are_weights_that_change_something(name, preset):
    equivalent = resolve(name, **preset.equivalent)
    assert equivalent != resolve(name)
    assert set(preset.equivalent) <= {*WEIGHTS, "content_layers", "style_layers"}
    for field, value in preset.equivalent.items():
        assert getattr(equivalent, field) == getattr(resolve(**{field: value}), field)
    assert resolve(**equivalent.to_dict()) == equivalent


def test_the_default_sets_nothing():
    assert PRESETS["default"].settings == {}
    assert "default" in HOUSE


def test_the_last_scales_of_a_large_picture_have_few_steps():
    settings = resolve("large", size=6000)
    scales = schedule(
        lambda size: (size * 3 // 4, size),
        size=settings.size,
        smallest=settings.smallest_size,
        factor=settings.scale_factor,
        steps=settings.steps,
    )
    found = {scale.width: scale.steps for scale in scales}
    assert found == {375: 100, 750: 60, 1500: 30, 3000: 8, 6000: 6}


KNOWN_FOR = {
    "gatys-2015": {"style_weight": 1e3, "pooling": "average", "init": "noise"},
    "gatys-2016": {"pooling": "average", "optimizer": "lbfgs", "init": "noise"},
    "gatys-color": {"color_match": "cholesky", "luminance": "rec601"},
    "gatys-2017": {"size": 1024, "size_rule": "area", "steps": (500, 200)},
    "gatys-pytorch": {"size": 800, "size_rule": "shortest", "smallest_size": 512},
    "gatys-texture": {"content_weight": 0.0, "history": 20, "clamp": True},
    "neural-style": {"network_white": 256.0, "rounding": "ceil-max", "resampling": "area"},
    "neural-style-pt": {"tv_loss": "total-variation-absolute", "tv_weight": 1e-3},
    "anishathalye": {"learning_rate": 10.0, "size_rule": "own", "sum_styles": True},
    "keras": {"size": 400, "size_rule": "height", "optimizer": "sgd", "momentum": 0.0},
    "tf-mat": {"style_weight": 0.2, "pooling": "average"},
    "tf-tutorial": {"keep_best": True, "epsilon": 0.1, "betas": (0.99, 0.999)},
    "crowsonkb": {"style_loss": "wasserstein", "average": 0.99, "carry": True},
    "nnst": {"style_loss": "neighbors", "last_style_loss": "neighbors-split", "style_colors": True},
    "ruder": {"tolerance": 4e-5, "optimizer": "lbfgs", "steps": (2000,)},
    "strotss": {"style_loss": "relaxed-transport", "content_loss": "self-similarity"},
    "deep-photo": {"photorealism_weight": (0.0, 1e4), "size": 700, "guidance": "augmented"},
    "gatys-guided": {"guidance": "simple", "size_rule": "area"},
    "gatys-guided-inside": {"guidance": "inside"},
    "gatys-guided-all": {"guidance": "all"},
}


@for_each("name", sorted(set(PRESETS) - HOUSE))
def test_every_published_system_has_what_it_is_known_for(name):
    settings, expected = resolve(name), KNOWN_FOR[name]
    assert {field: getattr(settings, field) for field in expected} == expected


def test_shares_of_the_style_layers_are_the_published_ones():
    assert resolve("crowsonkb").style_layers["relu1_1"] == pytest.approx(256 / 341)
    assert sum(resolve("crowsonkb").style_layers.values()) == pytest.approx(1)
    weights = resolve("gatys-pytorch").style_weights()
    assert weights["relu1_1"] == pytest.approx(1e3 / 64**2)
    assert weights["relu5_1"] == pytest.approx(1e3 / 512**2)
    assert resolve("keras").style_weights()["relu3_1"] == pytest.approx(1e-6 / 5)
    assert resolve("keras").learning_rate_decay ** 100 == pytest.approx(0.96)
