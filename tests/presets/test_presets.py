"""Presets as data: complete, valid, and the same after a round trip."""

import dataclasses
import json

import pytest

from jaxstyle.execution.pyramid import schedule
from jaxstyle.presets import PRESETS
from jaxstyle.settings import Settings, resolve

FIELDS = {field.name for field in dataclasses.fields(Settings)}
HOUSE = {name for name, preset in PRESETS.items() if preset.title.startswith("jaxstyle's own")}


def test_a_preset_sets_what_exists_and_to_what_it_says():
    default = resolve()
    for name, preset in PRESETS.items():
        settings = resolve(name)
        assert set(preset.settings) <= FIELDS - {"preset"}, name
        for field, value in preset.settings.items():
            alone = resolve(**{"size_rule": settings.size_rule, field: value})
            assert getattr(settings, field) == getattr(alone, field), (name, field)
        for field in FIELDS - set(preset.settings) - {"preset"}:
            assert getattr(settings, field) == getattr(default, field), (name, field)


def test_settings_of_a_preset_come_back_from_json():
    for name in PRESETS:
        settings = resolve(name)
        assert resolve(**settings.to_dict()) == settings, name
        assert resolve(**json.loads(json.dumps(settings.to_dict()))) == settings, name


def test_a_preset_does_not_change_with_the_settings_made_from_it():
    for name in PRESETS:
        before = resolve(name).to_dict()
        resolve(name).style_layers["relu3_3"] = 9.0
        resolve(name).to_dict()["style_layers"].clear()
        assert resolve(name).to_dict() == before, name


def test_a_preset_says_where_it_is_from():
    for name, preset in PRESETS.items():
        assert preset.title and preset.differs, name
        assert "\n" not in preset.title + preset.differs + preset.link, name
        assert preset.network in ("normalized", "original", "any"), name
        assert bool(preset.link) == (name not in HOUSE), name
        assert not preset.link or preset.link.startswith("https://"), name


def test_equivalents_are_settings_that_change_something():
    for name, preset in PRESETS.items():
        if not preset.equivalent:
            continue
        equivalent = resolve(name, **preset.equivalent)
        assert equivalent != resolve(name), name
        assert set(preset.equivalent) <= {
            *("content_weight", "style_weight", "tv_weight", "content_layers", "style_layers"),
            "photorealism_weight",
        }, name
        for field, value in preset.equivalent.items():
            alone = resolve(**{field: value})
            assert getattr(equivalent, field) == getattr(alone, field), (name, field)
        assert resolve(**equivalent.to_dict()) == equivalent, name


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
    assert [scale.width for scale in scales] == [188, 375, 750, 1500, 3000, 6000]
    assert [scale.steps for scale in scales] == [100, 100, 60, 30, 8, 6]


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
    "deep-photo": {"photorealism_weight": (0.0, 1e4), "size": 700, "guidance": "augmented"},
    "gatys-guided": {"guidance": "simple", "size_rule": "area"},
    "gatys-guided-inside": {"guidance": "inside"},
    "gatys-guided-all": {"guidance": "all"},
}


def test_every_published_system_has_what_it_is_known_for():
    assert set(KNOWN_FOR) == set(PRESETS) - HOUSE
    for name, expected in KNOWN_FOR.items():
        settings = resolve(name)
        assert {field: getattr(settings, field) for field in expected} == expected, name


def test_shares_of_the_style_layers_are_the_published_ones():
    assert resolve("crowsonkb").style_layers["relu1_1"] == pytest.approx(256 / 341)
    assert sum(resolve("crowsonkb").style_layers.values()) == pytest.approx(1)
    weights = resolve("gatys-pytorch").style_weights()
    assert weights["relu1_1"] == pytest.approx(1e3 / 64**2)
    assert weights["relu5_1"] == pytest.approx(1e3 / 512**2)
    assert resolve("keras").style_weights()["relu3_1"] == pytest.approx(1e-6 / 5)
    assert resolve("keras").learning_rate_decay ** 100 == pytest.approx(0.96)
