"""Recipes: what is read back of a picture."""

import json
import os
from pathlib import Path

import pytest

from jaxstyle import images
from jaxstyle.errors import ImageError, SettingError
from jaxstyle.runs import recipe
from jaxstyle.runs.recipe import Recipe
from jaxstyle.settings import resolve


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A current folder with files that stand for pictures."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b.png", "c.png"):
        Path(name).touch()
    return tmp_path


@pytest.fixture
def kept(monkeypatch):
    """The description that every picture has, which tests may change."""
    kept = {}
    monkeypatch.setattr(images, "read_description", lambda path: json.dumps(kept))
    return kept


def test_what_is_read_is_what_was_written_with_the_settings_given(folder, kept):
    settings = resolve("fine", size=300, init="c.png")
    made = Recipe("a.png", ("b.png", "c.png"), settings, bits=16, weights_sha256="0f")
    kept |= json.loads(made.to_json(folder / "out"))
    assert recipe.read(Path("out/made.png"), {}) == made
    found = recipe.read(Path("out/made.png"), {"steps": 5})
    assert found.settings == resolve("fine", size=300, init="c.png", steps=5)


def test_a_preset_replaces_all_settings(folder, kept):
    made = Recipe("a.png", ("b.png",), resolve("fine", size=300))
    kept |= json.loads(made.to_json(folder))
    assert recipe.read(Path("made.png"), {"preset": "keras"}).settings == resolve("keras")


def test_a_size_is_the_longest_side(folder, kept):
    made = Recipe("a.png", ("b.png",), resolve("fine", size_rule="area"))
    kept |= json.loads(made.to_json(folder))
    assert recipe.read(Path("made.png"), {"size": 200}).settings.size_rule == "longest"
    assert recipe.read(Path("made.png"), {"steps": 2}).settings.size_rule == "area"


def test_the_file_that_is_gone_is_named(folder, kept):
    kept |= json.loads(Recipe("a.png", ("b.png",), resolve()).to_json(folder))
    os.remove("b.png")
    with pytest.raises(ImageError, match="made.png: was made from b.png, which is not there: "):
        recipe.read(Path("made.png"), {})


VALUES = [None, True, -1, 10**18, 1.5, "a", "no/\x1b[1m", [], ["a"], [[1]], [None], {}, {"a": 1}]


def test_every_setting_of_a_wrong_kind_is_one_line(folder, kept):
    kept |= json.loads(Recipe("a.png", ("b.png",), resolve()).to_json(folder))
    settings = kept["jaxstyle"]["settings"]
    kept["jaxstyle"]["settings"] = {**settings, "later": 1}
    with pytest.raises(ImageError, match=r"of another version \(later: no such setting"):
        recipe.read(Path("bad.png"), {})
    for name in settings:
        for value in VALUES:
            kept["jaxstyle"]["settings"] = {**settings, name: value}
            try:
                recipe.read(Path("bad.png"), {})
            except (ImageError, SettingError) as error:
                assert "\n" not in str(error), (name, value)
