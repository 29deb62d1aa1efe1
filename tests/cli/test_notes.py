"""What is remarked on before a run, and whether its advice can be taken."""

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from convert_weights.weights_file import Weights
from jaxstyle.cli import flags
from jaxstyle.cli.notes import flags_of, network_note
from jaxstyle.network.weights import Loaded
from jaxstyle.presets import PRESETS
from jaxstyle.settings import resolve

NORMALIZED = Loaded(
    Weights({}, "BGR", 255.0, (0.0,) * 3, (1.0,) * 3, normalized=True), Path("a/vgg.h5"), "0"
)
ORIGINAL = replace(NORMALIZED, weights=replace(NORMALIZED.weights, normalized=False))


def meant_and_other(name):
    """The kind of weights that a preset is meant for, and the other one."""
    pair = ORIGINAL, NORMALIZED
    return pair if PRESETS[name].network == "original" else pair[::-1]


def read(text):
    parser = flags.Parser(prog="test")
    flags.add_settings(parser)
    return flags.given_settings(parser.parse_args(shlex.split(text)))


def test_the_right_weights_need_no_word():
    for name in PRESETS:
        meant, _ = meant_and_other(name)
        assert list(network_note(resolve(name), meant)) == [], name


def test_the_other_weights_are_remarked_on_in_a_line():
    for name in (name for name, preset in PRESETS.items() if preset.network != "any"):
        _, other = meant_and_other(name)
        (note,) = network_note(resolve(name), other)
        assert note.isprintable()
        kind = PRESETS[name].network
        assert note.startswith(f"note: preset {name} is meant for the {kind} VGG-19")
        said = "vgg.h5 is normalized" if other is NORMALIZED else "vgg.h5 is not normalized"
        assert said in note


def test_the_flags_advised_are_the_equivalent_and_silence_the_note():
    for name, preset in PRESETS.items():
        if not preset.equivalent:
            continue
        _, other = meant_and_other(name)
        (note,) = network_note(resolve(name), other)
        given = read(note.partition(" effect add ")[2])
        assert set(given) == set(preset.equivalent), name
        advised = resolve(name, **given)
        assert advised == resolve(name, **preset.equivalent), name
        assert list(network_note(advised, other)) == [], name
        assert list(network_note(replace(advised, style_weight=123.0), other)), name


def test_original_weights_can_be_normalized():
    (note,) = network_note(resolve(), ORIGINAL)
    assert note.endswith("python -m convert_weights --normalize makes it so")


def test_what_a_preset_sets_can_be_written_as_flags():
    for name, preset in PRESETS.items():
        given = read(flags_of(preset.settings))
        assert set(given) == set(preset.settings), name
        given = {"size_rule": resolve(name).size_rule, **given}
        assert replace(resolve(**given), preset=name) == resolve(name), name


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({}, ""),
        ({"style_weight": 1e6}, "--style-weight 1e+06"),
        ({"style_weight": 100000}, "--style-weight 100000"),
        ({"learning_rate": 1 / 3}, "--learning-rate 0.3333333333333333"),
        ({"clamp": True, "carry": False}, "--clamp --no-carry"),
        ({"steps": (5, 3), "style_scale": (0.5,)}, "--steps 5,3 --style-scale 0.5"),
        ({"content_layers": {"relu4_2": 1.0, "relu5_2": 0.5}}, "--content-layers"
         " relu4_2,relu5_2=0.5"),
        ({"style_layers": ("relu1_1", "pool1")}, "--style-layers relu1_1,pool1"),
        ({"init": "noise"}, "--init noise"),
    ],
)  # fmt: skip
def test_settings_as_they_are_typed(settings, text):
    assert flags_of(settings) == text
    assert resolve(**read(text)) == resolve(**settings)
