"""Settings: one form, clear refusals, presets beneath what is given."""

import json
from dataclasses import fields

import pytest

from jaxstyle.cli import flags
from jaxstyle.errors import SettingError
from jaxstyle.presets import ALIASES, PRESETS
from jaxstyle.settings import GROUPS, Settings, groups, resolve
from tests.cases import for_each


def test_every_setting_is_in_one_group_in_its_order():
    found = groups()
    assert list(found) == list(GROUPS.values())
    assert [next(iter(each)).name for each in found.values()] == list(GROUPS)
    assert [field for each in found.values() for field in each] == list(fields(Settings))
    assert [field.name for field in found["Regions"]] == [
        *("content_mask", "style_mask", "auto_masks", "guidance")
    ]


def test_settings_survive_json():
    settings = resolve(steps=(3, 2), style_layers=["relu1_1", "block2_conv1"], learning_rate=0.5)
    again = resolve(**json.loads(json.dumps(settings.to_dict())))
    assert again == settings


def test_layers_have_canonical_names_and_the_weight_times_their_share():
    settings = resolve(
        style_weight=10,
        style_layers={"block1_conv1": 0.5, "relu2_1": 2, "relu3_1": 0},
        content_layers=["conv4_2"],
    )
    assert settings.style_layers == {"relu1_1": 0.5, "relu2_1": 2.0, "relu3_1": 0.0}
    assert settings.content_layers == {"conv4_2": 1.0}
    assert settings.style_weights() == {"relu1_1": 5.0, "relu2_1": 20.0}
    assert settings.layers() == ["conv4_2", "relu1_1", "relu2_1"]


def test_a_loss_without_weight_looks_at_no_layer():
    settings = resolve(content_weight=0, style_layers={"relu1_1": 1})
    assert settings.content_weights() == {}
    assert settings.layers() == ["relu1_1"]


def test_what_is_given_beats_the_preset():
    assert resolve("fine", size=300).size == 300
    assert resolve("fine", size=300).steps == PRESETS["fine"].settings["steps"]


def test_unknown_names_are_answered_with_the_nearest():
    for arguments, problem in (
        ({"preset": "defualt"}, "preset: 'defualt' is not known: did you mean default"),
        ({"style_wieght": 3}, "style_wieght: no such setting: did you mean style_weight"),
        ({"preset": "zzzz"}, "there are: anishathalye, crowsonkb, deep-photo, default"),
    ):
        with pytest.raises(SettingError, match=problem):
            resolve(**arguments)


def test_size_by_itself_is_the_longest_side():
    """Whatever side the preset measures, unless the side is named too."""
    for name, preset in PRESETS.items():
        assert resolve(name).preset == name
        assert resolve(name, size=300).size_rule in ("longest", "longest-floor"), name
        assert resolve(name, size=300, size_rule="height").size_rule == "height", name
        assert resolve(name, size_rule="area").size_rule == "area", name
        rule = preset.settings.get("size_rule", "longest")
        assert resolve(name, steps=3).size_rule == rule, name


def test_an_alias_is_the_preset_by_its_own_name():
    for alias, name in ALIASES.items():
        assert resolve(alias) == resolve(name)
        assert resolve(alias).preset == name
        assert resolve(alias, steps=3) == resolve(name, steps=3)
    assert ALIASES["quanfita"] == "anishathalye"
    assert not set(ALIASES) & set(PRESETS)


@for_each(
    ("given", "rate"),
    [
        ({}, 0.03),
        ({"schedule": "constant"}, 0.02),
        ({"schedule": "constant", "white": 255}, 5.1),
        ({"optimizer": "sgd"}, 0.15),
        ({"optimizer": "sgd", "schedule": "constant", "white": 255}, 6502.5),
        ({"optimizer": "lbfgs", "white": 255}, 1.0),
        ({"optimizer": "lbfgs-zoom"}, 1.0),
        ({"learning_rate": 3}, 3.0),
    ],
)
def test_the_learning_rate_depends_on_optimizer_and_white(given, rate):
    assert resolve(**given).rate == pytest.approx(rate)


def test_paths_are_the_settings_that_name_a_picture():
    assert resolve().paths() == {}
    assert resolve(init="noise").paths() == {}
    assert resolve(init="a.png", fine_style="b.png").paths() == {
        "init": "a.png",
        "fine_style": "b.png",
    }


PARSER = flags.Parser(prog="test")
flags.add_settings(PARSER)


def flagged(*arguments):
    return flags.given_settings(PARSER.parse_args(arguments))


TRUTHS = [name for name, value in resolve().to_dict().items() if isinstance(value, bool)]


@for_each("name", TRUTHS)
def test_truths_are_two_flags_and_the_last_one_counts(name):
    flag = flags.flag(name)
    no_flag = flag.replace("--", "--no-", 1)
    assert flagged(flag) == flagged(no_flag, flag) == {name: True}
    assert flagged(no_flag) == flagged(flag, no_flag) == {name: False}


@pytest.mark.parametrize("arguments", [["--clamp=yes"], ["--clamp", "yes"], ["--no-size", "3"]])
def test_flags_of_truths_take_no_value_and_those_of_numbers_no_negation(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        flagged(*arguments)
    assert stop.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_flag_beats_the_truth_of_a_preset():
    assert resolve("gatys-2016").clamp is False
    assert resolve("gatys-2016", **flagged("--clamp")).clamp is True


def test_another_optimizer_has_its_own_rate_and_history():
    assert resolve("keras").rate == 100
    other = resolve("keras", optimizer="lbfgs")
    assert (other.rate, other.learning_rate_decay, other.history) == (1.0, 1.0, None)
    assert resolve("keras", optimizer="lbfgs", learning_rate=3).rate == 3
    assert resolve("keras", optimizer="sgd").rate == 100
    assert resolve("default", optimizer="adam", white=255).rate == pytest.approx(7.65)
