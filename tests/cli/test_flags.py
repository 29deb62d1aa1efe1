"""Flags made from the settings' fields."""

import dataclasses

import pytest

from jaxstyle.__main__ import COMMANDS, main
from jaxstyle.cli import flags
from jaxstyle.settings import Settings, groups, resolve


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


def test_the_help_has_the_settings_in_their_groups():
    parser = flags.Parser(prog="test")
    flags.add_settings(parser, without=("tile", "shard"))
    text = parser.format_help()
    titles = [title.lower() for title in groups()]
    places = [text.index(f"\n{title}:\n") for title in titles[:-1]]
    assert places == sorted(places)
    assert f"\n{titles[-1]}:\n" not in text  # none of its settings has a flag
    losses = text[places[1] : places[2]]
    assert "--strength N" in losses and "--style-scale" not in losses


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("--size", "1.5", "argument --size: '1.5' is not a whole number"),
        ("--size", "inf", "argument --size: 'inf' is not a whole number"),
        ("--style-layers", "relu1_1=x", "argument --style-layers: 'x' is not a number"),
        (
            "--stile-weight",
            "1",
            "unrecognized arguments: --stile-weight: did you mean --style-weight?",
        ),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(capsys, name, value, message):
    with pytest.raises(SystemExit) as stop:
        given(name, value)
    assert stop.value.code == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("runn", "jaxstyle: there is no command 'runn': did you mean run?"),
        ("stylize", f"there is no command 'stylize': there are {', '.join(COMMANDS)}"),
        ("RUN a b", "there is no command 'RUN': did you mean run?"),
        ("run a b --presett fine", "jaxstyle run: unrecognized arguments: --presett: did you mean"),
        ("run a b --periodic", "--periodic: it is a flag of texture"),
        ("texture a --contents b", "--contents: it is a flag of batch"),
        ("score a --save-every 3", "--save-every: it is a flag of run, photo, texture"),
        ("batch --content a --styles b", "--content: did you mean --contents?"),
        ("score a --styles b", "--styles: did you mean --style?"),
        (
            "run a b -o c.png --preset gaty",
            "--preset 'gaty' is not known: did you mean gatys-2015?",
        ),
        ("presets --jsn", "unrecognized arguments: --jsn: did you mean --json?"),
        ("photo a b -o c.png --method transfr", "'transfr' is not one of transfer, color, histogr"),
        ("sweep a b -o c.png --rows style", "tv-weight, content-weight, none: did you mean style"),
        ("batch --contents a --styles b -o c --pairs zipp", "product, zip: did you mean zip?"),
        ("run a b -o c.png --init contents", "no picture 'contents': did you mean content?"),
        ("run a b -o c.png --init Noise", "no picture 'Noise': did you mean noise?"),
        ("run a b -o c.png --noise gausian", "uniform, gaussian: did you mean gaussian?"),
        ("run a b -o c.png --optimizer lbgfs", "did you mean lbfgs?"),
    ],
)
def test_a_misspelled_word_is_answered_with_the_nearest(refused, line, said):
    refused(line, 2, said)


@pytest.mark.parametrize("command", ["run", "photo", "sweep"])
def test_a_folder_as_content_names_the_command_for_folders(refused, tmp_path, command):
    (tmp_path / "my photos").mkdir()
    said = "CONTENT my photos is a folder: 'jaxstyle batch --contents 'my photos' --styles STYLE "
    refused([command, "my photos", "style.png", "-o", "out.png"], 2, said)


def test_a_picture_named_like_a_kind_of_start_is_that_picture(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "noises").touch()
    assert resolve(init="noises").init == "noises"
    assert resolve(init="contents.png").init == "contents.png"


def test_help_lists_the_commands(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert all(f"\n  {name} " in printed for name in COMMANDS)
