"""python -m jaxstyle presets [NAME]"""

import json

import pytest

from jaxstyle.__main__ import main
from jaxstyle.presets import ALIASES, PRESETS
from jaxstyle.settings import resolve


def printed(capsys, *arguments):
    assert main(["presets", *arguments]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


@pytest.mark.parametrize("columns", ["40", "72", "300"])
def test_every_preset_is_listed_within_the_terminal_but_with_its_whole_link(
    capsys, monkeypatch, columns
):
    monkeypatch.setenv("COLUMNS", columns)
    lines = printed(capsys).splitlines()
    heads = [line.split(" ")[0] for line in lines if line and not line.startswith(" ")]
    assert heads[: len(PRESETS)] == list(PRESETS)
    for preset in PRESETS.values():
        assert not preset.link or f"    {preset.link}" in lines
    assert all(len(line) <= max(72, int(columns)) or "https://" in line for line in lines[:-1])


def test_every_preset_says_what_sets_it_apart_and_its_network(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    words = " ".join(printed(capsys).split())
    for preset in PRESETS.values():
        for text in (preset.title, preset.differs, f"meant for the {preset.network} VGG-19"):
            assert " ".join(text.split()) in words
    for alias, name in ALIASES.items():
        assert f"{name} (also: {alias})" in words


def test_one_preset_with_all_that_it_sets(capsys):
    for asked in [*PRESETS, *ALIASES]:
        out = printed(capsys, asked)
        name = ALIASES.get(asked, asked)
        assert out.startswith(name)
        first = [line.split()[0] for line in out.splitlines() if line.strip()]
        heads = {line.split(" ")[0] for line in out.splitlines()}
        assert not heads & (set(PRESETS) - {name}), asked
        for field in PRESETS[name].settings:
            flag = field.replace("_", "-")
            assert f"--{flag}" in first or f"--no-{flag}" in first, (asked, field)


def test_as_json_they_are_complete(capsys):
    found = json.loads(printed(capsys, "--json"))
    assert list(found) == list(PRESETS)
    for name, record in found.items():
        assert resolve(**record["settings"]) == resolve(name)
        assert record["link"] == PRESETS[name].link
    one = json.loads(printed(capsys, "keras", "--json"))
    assert one == {"keras": found["keras"]}


def test_bad_input_is_one_line(refused):
    refused("presets kears", 2, "'kears' is not known: did you mean keras?")
    refused("presets a b", 2, "unrecognized arguments")
    refused("presets --size 3", 2, "unrecognized arguments")
