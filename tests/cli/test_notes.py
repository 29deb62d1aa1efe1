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


def note_of(settings, loaded):
    """The note about a network, or None."""
    (note,) = [*network_note(settings, loaded)] or [None]
    return note


def read(text):
    parser = flags.Parser(prog="test")
    flags.add_settings(parser)
    return flags.given_settings(parser.parse_args(shlex.split(text)))


@pytest.mark.parametrize("name", PRESETS)
def test_the_wrong_weights_alone_are_remarked_on_in_a_line(name):
    kind = PRESETS[name].network
    wrong = NORMALIZED if kind == "original" else ORIGINAL
    right = ORIGINAL if kind == "original" else NORMALIZED
    assert note_of(resolve(name), right) is None
    note = note_of(resolve(name), wrong)
    if kind == "any":
        assert note is None
        return
    assert note.isprintable()
    assert note.startswith(f"note: preset {name} is meant for the {kind} VGG-19")
    said = "vgg.h5 is normalized" if wrong is NORMALIZED else "vgg.h5 is not normalized"
    assert said in note


@pytest.mark.parametrize("name", [name for name, preset in PRESETS.items() if preset.equivalent])
def test_the_flags_advised_are_the_equivalent_and_silence_the_note(name):
    preset = PRESETS[name]
    wrong = NORMALIZED if preset.network == "original" else ORIGINAL
    given = read(note_of(resolve(name), wrong).partition(" effect add ")[2])
    assert set(given) == set(preset.equivalent)
    advised = resolve(name, **given)
    assert advised == resolve(name, **preset.equivalent)
    assert note_of(advised, wrong) is None
    assert note_of(replace(advised, style_weight=123.0), wrong)


def test_original_weights_can_be_normalized():
    note = note_of(resolve(), ORIGINAL)
    assert note.endswith("python -m convert_weights --normalize makes it so")


@pytest.mark.parametrize("name", PRESETS)
def test_what_a_preset_sets_can_be_written_as_flags(name):
    given = read(flags_of(PRESETS[name].settings))
    assert set(given) == set(PRESETS[name].settings)
    given = {"size_rule": resolve(name).size_rule, **given}
    assert replace(resolve(**given), preset=name) == resolve(name)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({}, ""),
        ({"style_weight": 1e6}, "--style-weight 1e+06"),
        ({"style_weight": 100000}, "--style-weight 100000"),
        ({"learning_rate": 1 / 3}, "--learning-rate 0.3333333333333333"),
        ({"clamp": True, "carry": False}, "--clamp --no-carry"),
        ({"steps": (5, 3), "style_scale": (0.5,)}, "--steps 5,3 --style-scale 0.5"),
        (
            {"content_layers": {"relu4_2": 1, "conv1_1": 0.5}},
            "--content-layers relu4_2,conv1_1=0.5",
        ),
        ({"style_layers": ("relu1_1", "pool1")}, "--style-layers relu1_1,pool1"),
        ({"init": "noise"}, "--init noise"),
    ],
)
def test_settings_as_they_are_typed(settings, text):
    assert flags_of(settings) == text
    assert resolve(**read(text)) == resolve(**settings)
