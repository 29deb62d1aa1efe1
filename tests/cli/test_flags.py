"""Flags made from the settings' fields."""

import dataclasses

import pytest

from jaxstyle.cli import flags
from jaxstyle.settings import Settings, resolve


def given(*arguments):
    parser = flags.Parser(prog="test")
    flags.add_settings(parser)
    return flags.given_settings(parser.parse_args(arguments))


def test_only_what_was_named_is_given():
    assert given() == {}
    assert given("--size", "300", "--preset", "fine") == {"size": 300, "preset": "fine"}


def test_every_setting_is_a_flag_that_reads_its_own_default():
    def text(value):
        if isinstance(value, dict):
            return ",".join(f"{name}={share}" for name, share in value.items())
        return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)

    settings = resolve(learning_rate=0.5, style_blend=[1, 2], history=7, original_colors=True)
    arguments = []
    for field in dataclasses.fields(Settings):
        value = getattr(settings, field.name)
        name = field.name if value is not False else f"no_{field.name}"
        arguments += [flags.flag(name), *([] if isinstance(value, bool) else [text(value)])]
    assert resolve(**given(*arguments)) == settings


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("--size", "1.5", "argument --size: '1.5' is not a whole number"),
        ("--size", "inf", "argument --size: 'inf' is not a whole number"),
        ("--style-layers", "relu1_1=x", "argument --style-layers: 'x' is not a number"),
        ("--stile-weight", "1", "unrecognized arguments: --stile-weight 1"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(capsys, name, value, message):
    with pytest.raises(SystemExit) as stop:
        given(name, value)
    assert stop.value.code == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1
