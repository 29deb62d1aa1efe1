"""Form fields of the settings."""

import gradio as gr
import pytest

from jaxstyle.errors import SettingError
from jaxstyle.presets import PRESETS
from jaxstyle.settings import Settings, resolve
from jaxstyle.studio.controls import (
    ELSEWHERE,
    IN_SIGHT,
    Controls,
    given_of,
    parsed,
    several,
    sweepable,
)
from tests.studio.conftest import making_a_page


@pytest.fixture(scope="module")
def controls():
    with making_a_page(), gr.Blocks(analytics_enabled=False):
        return Controls()


def test_every_setting_has_a_field_or_its_place_elsewhere(controls):
    names = {*controls.names, *IN_SIGHT, *ELSEWHERE}
    assert names == set(Settings.__dataclass_fields__)
    assert len(controls.names) == len(controls.fields)


@pytest.mark.parametrize("preset", PRESETS)
def test_fields_that_are_left_alone_give_the_preset(controls, preset):
    shown = controls.values(resolve(preset))
    assert given_of(preset, controls.names, shown) == {"preset": preset}


@pytest.mark.parametrize("preset", PRESETS)
def test_fields_give_the_settings_they_show(controls, preset):
    settings = resolve(preset)
    others = {name: getattr(settings, name) for name in ELSEWHERE}
    given = given_of("default", controls.names, controls.values(settings))
    again = resolve(**{**given, **others, "preset": "default"})
    for name in controls.names:
        assert getattr(again, name) == getattr(settings, name), name


def test_help_choices_and_bounds_are_those_of_the_settings(controls):
    fields = dict(zip(controls.names, controls.fields, strict=True))
    assert fields["seed"].info == Settings.__dataclass_fields__["seed"].metadata["help"]
    assert (fields["seed"].minimum, fields["seed"].maximum) == (0, 2**32 - 1)
    assert [value for _, value in fields["pooling"].choices] == ["max", "average", "l2"]


@pytest.mark.parametrize(
    ("name", "shown", "value"),
    [
        ("steps", "40, 26", (40, 26)),
        ("style_layers", "relu1_1=2,relu2_1", {"relu1_1": 2.0, "relu2_1": 1.0}),
        ("learning_rate", "", None),
        ("learning_rate", "0.5", 0.5),
        ("seed", 3.0, 3),
        ("size", "640", 640),
        ("pooling", "l2", "l2"),
    ],
)
def test_what_is_typed_is_read(name, shown, value):
    assert parsed(name, shown) == value


@pytest.mark.parametrize(("name", "shown"), [("size", "large"), ("seed", None), ("steps", "a,b")])
def test_what_cannot_be_read_is_refused(name, shown):
    with pytest.raises(SettingError, match=name):
        parsed(name, shown)


def test_several_values_are_separated():
    assert several("strength", "0.3, 0.5") == [0.3, 0.5]
    assert several("pooling", "max, l2") == ["max", "l2"]
    assert several("steps", "40,26; 10") == [(40, 26), (10,)]
    with pytest.raises(SettingError, match="at most 1"):
        several("strength", "0.3, 7")


def test_grids_go_over_no_paths():
    names = {name for _, name in sweepable()}
    assert {"strength", "style_weight", "seed"} <= names
    assert not names & {"init", "content_mask", "fine_style", "preset"}
