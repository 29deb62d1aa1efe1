"""Settings: one form, clear refusals, presets beneath what is given."""

import json
import math

import pytest

from jaxstyle.cli import flags
from jaxstyle.errors import SettingError
from jaxstyle.presets import ALIASES, PRESETS
from jaxstyle.settings import resolve


def test_settings_survive_json():
    settings = resolve(steps=(3, 2), style_layers=["relu1_1", "block2_conv1"], learning_rate=0.5)
    again = resolve(**json.loads(json.dumps(settings.to_dict())))
    assert again == settings


def test_layers_become_canonical_names_with_shares():
    settings = resolve(style_layers={"block1_conv1": 2}, content_layers=["conv4_2"])
    assert settings.style_layers == {"relu1_1": 2.0}
    assert settings.content_layers == {"conv4_2": 1.0}
    assert settings.layers() == ["conv4_2", "relu1_1"]


def test_weights_are_the_weight_times_the_share():
    settings = resolve(style_weight=10, style_layers={"relu1_1": 0.5, "relu2_1": 2})
    assert settings.style_weights() == {"relu1_1": 5.0, "relu2_1": 20.0}


def test_what_is_given_beats_the_preset():
    assert resolve("fine").size == PRESETS["fine"].settings["size"]
    assert resolve("fine", size=300).size == 300
    assert resolve("fine", size=300).steps == PRESETS["fine"].settings["steps"]


def test_one_number_of_steps_is_for_every_scale():
    assert resolve(steps=40).steps == (40,)


def test_a_value_that_cannot_be_meant_is_refused_by_name():
    for name, value, problem in (
        ("size", 0, "at least 1"),
        ("size", -5, "at least 1"),
        ("size", 10**9, "at most 32768"),
        ("size", 2.5, "whole number"),
        ("size", math.nan, "at least 1"),
        ("size", "big", "must be a number"),
        ("steps", (-1,), "at least 0"),
        ("steps", (10**9,), "at most"),
        ("steps", (), "at least one number"),
        ("steps", "ten", "must be a number"),
        ("style_weight", -1.0, "at least 0"),
        ("style_weight", math.nan, "not nan"),
        ("style_weight", math.inf, "not inf"),
        ("style_weight", 1e30, "at most"),
        ("content_weight", None, "must be a number"),
        ("tv_weight", True, "must be a number"),
        ("learning_rate", 0, "above 0"),
        ("average", 1.0, "at most"),
        ("scale_factor", 1.0, "at least 1.1"),
        ("style_scale", 0, "at least 0.0001"),
        ("style_blend", (0, 0), "above zero"),
        ("style_layers", ["rellu4_2"], "did you mean relu4_2"),
        ("style_layers", {"relu4_2": -1}, "at least 0"),
        ("style_layers", [], "at least one layer"),
        ("pooling", "min", "not one of max, average"),
        ("padding", "ones", "not one of zeros"),
        ("optimizer", "adagrad", "not one of adam"),
        ("init", "", "content, noise, colors or the path"),
        ("seed", -1, "at least 0"),
        ("precision", "float8", "not one of"),
    ):
        with pytest.raises(SettingError, match=f"^{name}: .*{problem}") as caught:
            pytest.fail(f"{name}={value!r} is taken: {resolve(**{name: value})}")
        assert "\n" not in str(caught.value)


def test_nothing_to_do_is_refused():
    with pytest.raises(SettingError, match="at least one layer"):
        resolve(content_layers=[], style_layers=[])


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


def test_quanfita_is_anishathalye():
    assert resolve("quanfita").preset == "anishathalye"


def test_the_rate_in_force():
    for given, rate in (
        ({}, 0.02),
        ({"white": 255}, 5.1),
        ({"optimizer": "sgd"}, 0.1),
        ({"optimizer": "sgd", "white": 255}, 6502.5),
        ({"optimizer": "lbfgs", "white": 255}, 1.0),
        ({"optimizer": "lbfgs-zoom"}, 1.0),
        ({"learning_rate": 3}, 3.0),
    ):
        assert resolve(**given).rate == pytest.approx(rate), given


def test_a_loss_without_weight_looks_at_no_layer():
    settings = resolve(content_weight=0, style_layers={"relu1_1": 0, "relu2_1": 2})
    assert settings.content_weights() == {}
    assert settings.style_weights() == {"relu2_1": 10.0}
    assert settings.layers() == ["relu2_1"]


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


def test_truths_are_two_flags():
    for name in TRUTHS:
        flag = flags.flag(name)
        assert flagged(flag) == {name: True}
        assert flagged(flag.replace("--", "--no-", 1)) == {name: False}
        assert flagged(flag, flag.replace("--", "--no-", 1)) == {name: False}
        assert getattr(resolve(**flagged(flag)), name) is True


@pytest.mark.parametrize("arguments", [["--clamp=yes"], ["--clamp", "yes"], ["--no-size", "3"]])
def test_truths_take_no_value_and_numbers_no_no(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        flagged(*arguments)
    assert stop.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_flag_beats_the_truth_of_a_preset():
    assert resolve("gatys-2016").clamp is False
    assert resolve("gatys-2016", **flagged("--clamp")).clamp is True


def test_what_was_meant_for_one_optimizer_is_not_for_another():
    assert resolve("keras").rate == 100
    other = resolve("keras", optimizer="lbfgs")
    assert (other.rate, other.learning_rate_decay, other.history) == (1.0, 1.0, None)
    assert resolve("keras", optimizer="lbfgs", learning_rate=3).rate == 3
    assert resolve("keras", optimizer="sgd").rate == 100
    assert resolve("default", optimizer="adam", white=255).rate == pytest.approx(5.1)
