"""The folder of finished pictures."""

import json
import os
import time

import numpy as np
import pytest

from jaxstyle import images
from jaxstyle.errors import ImageError, UsageError
from jaxstyle.images import Picture
from jaxstyle.runs import recipe as recipes
from jaxstyle.studio.history import History, locked, stem_of, suffix_of


@pytest.fixture
def history(tmp_path):
    return History(tmp_path / "studio")


@pytest.fixture
def kept(history, recipe):
    """A recipe whose pictures are kept in the history."""
    from dataclasses import replace
    from pathlib import Path

    return replace(
        recipe,
        content=str(history.keep(Path(recipe.content))),
        styles=tuple(str(history.keep(Path(style))) for style in recipe.styles),
    )


def painting(seed=0):
    pixels = np.random.default_rng(seed).uniform(size=(24, 32, 3))
    return Picture(pixels.astype(np.float32))


def test_a_picture_is_kept_with_its_recipe_and_its_extras(history, kept):
    frames = [painting(seed).rgb for seed in (1, 2)]
    entry = history.add(painting(), kept, frames)
    assert entry.name == "photo-style"
    assert recipes.read(entry.path, {}).settings == kept.settings
    assert entry.files().keys() == {"picture", "thumbnail", "tiff", "timelapse", "photo"}
    deep = images.read(entry.extra(".tif")).rgb
    np.testing.assert_allclose(deep, painting().rgb, atol=1e-5)
    assert recipes.read(entry.extra(".tif"), {}).bits == 16
    assert entry.sides() == (24, 32)


def test_the_folder_can_be_moved(history, kept, tmp_path):
    entry = history.add(painting(), kept)
    history.folder.rename(tmp_path / "moved")
    moved = History(tmp_path / "moved").entry(entry.name)
    assert moved.recipe.content.startswith(str(tmp_path / "moved"))


def test_the_newest_picture_comes_first_and_names_are_never_taken_twice(history, kept):
    entries = [history.add(painting(seed), kept) for seed in range(3)]
    for age, entry in enumerate(reversed(entries)):
        os.utime(entry.path, (time.time() - age,) * 2)
    assert [entry.name for entry in history.entries()] == [
        "photo-style-3",
        "photo-style-2",
        "photo-style",
    ]


def test_an_unfinished_picture_says_how_far_it_had_come(history, kept):
    entry = history.add(painting(), kept, step=3, steps=10)
    told = json.loads(images.read_description(entry.path))
    assert told["interrupted"] == {"step": 3, "steps": 10}
    assert entry.recipe.settings == kept.settings


def test_what_is_deleted_is_gone_and_what_others_need_stays(history, kept):
    first, second = history.add(painting(0), kept), history.add(painting(1), kept)
    history.delete(first.name)
    assert not any(path.exists() for path in (first.path, first.extra(".tif"), first.extra(".jpg")))
    assert second.path.exists() and second.extra(".tif").exists()
    assert second.recipe.settings == kept.settings


@pytest.mark.parametrize("name", ["../secret", "..", "", "inputs/photo", "/etc/passwd", "nothing"])
def test_there_are_no_pictures_but_those_of_the_folder(history, kept, name):
    history.add(painting(), kept)
    images.write(history.folder.parent / "secret.png", painting())
    with pytest.raises(UsageError, match="there is no picture"):
        history.entry(name)


def test_equal_inputs_are_kept_once(history, pictures):
    paths = {history.keep(pictures / "photo.png") for _ in range(2)}
    assert len(paths) == 1
    assert history.keep(*paths) in paths


def test_inputs_of_no_picture_are_deleted_after_a_day(history, kept, pictures):
    history.add(painting(), kept)
    other = history.keep(pictures / "other.png")
    History(history.folder)
    assert other.exists()
    os.utime(other, (time.time() - 25 * 3600,) * 2)
    History(history.folder)
    assert not other.exists()
    assert history.entries()[0].recipe.settings == kept.settings


def test_inputs_stay_where_a_recipe_cannot_be_read(history, kept, pictures):
    entry = history.add(painting(), kept)
    text = json.dumps({"jaxstyle": {"of": "another version"}})
    images.write(entry.path, painting(), description=text)
    other = history.keep(pictures / "other.png")
    os.utime(other, (time.time() - 25 * 3600,) * 2)
    History(history.folder)
    assert other.exists()


def test_leftovers_of_a_killed_server_are_deleted(history, kept):
    entry = history.add(painting(), kept)
    lost = entry.extra(".tif").with_name("lost.tif")
    lost.write_bytes(b"half of it")
    history.uploads.mkdir()
    (history.uploads / "photo.png").write_bytes(b"uploaded")
    again = History(history.folder)
    assert not lost.exists() and not again.uploads.exists()
    assert again.entries()[0].files().keys() >= {"tiff", "thumbnail"}


def test_pictures_of_others_are_listed_too(history):
    images.write(history.folder / "mine.png", painting())
    entry = history.entry("mine")
    assert entry.files().keys() == {"picture"}
    with pytest.raises(ImageError, match="no jaxstyle settings"):
        entry.command()


def test_a_folder_is_used_by_one_studio(tmp_path):
    again = locked(tmp_path / "new")
    with locked(tmp_path / "new"), pytest.raises(UsageError, match="another studio .* is using"):
        again.__enter__()
    with locked(tmp_path / "new"):
        pass


def test_an_unfinished_picture_says_so_in_words(history, kept):
    entry = history.add(painting(), kept, step=3, steps=10)
    assert entry.stopped() == "stopped at step 3 of 10"
    assert "interrupted" in json.loads(images.read_description(entry.extra(".tif")))
    assert history.add(painting(), kept).stopped() == ""


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ImageError, match="cannot be made the studio's folder"):
        History(tmp_path / "file" / "studio")


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("My Cat (2).JPG", "my-cat-2"),
        ("../../etc/passwd", "passwd"),
        ("<script>alert(1)</script>.png", "script"),
        ("猫.png", "picture"),
        ("a" * 300 + ".png", "a" * 32),
    ],
)
def test_names_of_uploads_become_plain(name, stem):
    assert stem_of(name) == stem


def test_unknown_extensions_become_png(tmp_path):
    assert suffix_of(tmp_path / "a.JPG") == ".jpg"
    assert suffix_of(tmp_path / "a.exe") == ".png"
