"""--from: pictures that can be made again, and what is said of the others."""

import json
import os
from pathlib import Path

import numpy as np
import optax
import pytest
from PIL import Image

import jaxstyle
from jaxstyle import images
from jaxstyle.__main__ import main
from jaxstyle.images import Picture
from tests.cli.conftest import ONE_SCALE, OUT, PAIR, recipe_of, rgb_of, run

LAYERS = {"content_layers": "relu1_1", "style_layers": "relu1_1"}
QUICK = {"size": 32, "smallest_size": 32, "steps": 2, **LAYERS}
TEXTURE = {name: value for name, value in QUICK.items() if name != "content_layers"}


def describe(path, description):
    """Write a small picture that says something about how it was made."""
    text = description if isinstance(description, str) else json.dumps(description)
    images.write(path, Picture(np.zeros((8, 8, 3), np.float32)), description=text)


def test_a_picture_saved_in_python_can_be_repeated(folder, monkeypatch):
    result = jaxstyle.stylize(Path("content.png"), "style.png", init="style.png", **QUICK)
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    result.save("api.png", bits=16)
    monkeypatch.chdir(folder)
    assert run("--from", "elsewhere/api.png") == 0
    assert rgb_of("elsewhere/api-again.png").tobytes() == rgb_of("elsewhere/api.png").tobytes()
    recipe = recipe_of("elsewhere/api.png")
    assert (recipe["content"], recipe["styles"]) == ("../content.png", ["../style.png"])
    assert (recipe["bits"], recipe["settings"]["init"]) == (16, "../style.png")


def test_folders_of_styles_and_weights_of_ones_own_are_recorded(folder, weights_path):
    (folder / "styles").mkdir()
    for index in range(2):
        os.link("style.png", f"styles/s{index}.png")
    jaxstyle.stylize("content.png", "styles", weights_file=weights_path, **QUICK).save("api.png")
    recipe = recipe_of("api.png")
    assert recipe["styles"] == ["styles/s0.png", "styles/s1.png"]
    assert Path(recipe["weights"]).resolve() == Path(weights_path).resolve()


OF_ARRAYS = "was made from arrays or URLs, and does not say which: give "


def test_a_picture_made_of_arrays_says_that(folder, refused):
    array, opened = rgb_of("content.png"), Image.open("style.png")
    jaxstyle.stylize(array, "style.png", **QUICK).save("array.png")
    jaxstyle.stylize("content.png", ["style.png", opened], **QUICK).save("opened.png")
    jaxstyle.texture(opened, **TEXTURE).save("texture.png")
    for name in ("array.png", "opened.png", "texture.png"):
        assert json.loads(images.read_description(name))["settings"]["size"] == 32
        refused(f"run --from {name}", 1, f"{name}: {OF_ARRAYS}CONTENT, STYLE and settings instead")
        refused(f"texture --from {name}", 1, f"{name}: {OF_ARRAYS}STYLE and settings instead")


def test_a_transformation_of_ones_own_has_to_be_replaced(folder, refused):
    jaxstyle.stylize(*PAIR, optimizer=optax.adam(0.02), **QUICK).save("api.png")
    refused("run --from api.png", 2, "--optimizer 'custom' stands for an Optax transformation")
    assert run("--from", "api.png", "--optimizer", "adam") == 0


OTHERS = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("jpg", "webp", "tif")]


@pytest.mark.parametrize("extension", ["png", *OTHERS])
def test_what_the_commands_make_is_repeated_or_refused_by_name(folder, refused, extension):
    made = f"made.{extension}"
    repeated = [
        ["photo", *PAIR, *ONE_SCALE, "--smooth-radius", "0", "-o", made],
        ["sweep", *PAIR, *ONE_SCALE, "--rows", "none", "-o", made, "--out-dir", "."],
        ["batch", "--contents", PAIR[0], "--styles", PAIR[1], *ONE_SCALE, "-o", "out"],
    ]
    places = made, f"row1-column1.{extension}", f"out/content__style.{extension}"
    repeated[2] += ["--format", extension]
    for arguments, place in zip(repeated, places, strict=True):
        assert main(arguments) == 0
        assert recipe_of(place)["settings"]["size"] == 32
        assert run("--from", place, "--steps", "0", "-o", f"again.{extension}") == 0
    others = {
        "photo --method color": ["photo", *PAIR, "--method", "color"],
        "photo --method histogram": ["photo", *PAIR, "--method", "histogram"],
        "reconstruct": ["reconstruct", PAIR[0], *ONE_SCALE],
        "sweep": ["sweep", *PAIR, *ONE_SCALE, "--rows", "none"],
    }
    for command, arguments in others.items():
        assert main([*arguments, "-o", made]) == 0
        refused(f"run --from {made}", 1, f"made.{extension}: was made by 'jaxstyle {command}', ")


def test_what_is_no_picture_of_ours_is_one_line(folder, refused):
    Path("text.png").write_text("no picture")
    Path("empty.png").write_text("")
    Image.new("RGB", (9, 9)).save("plain.png")
    cases = {
        "nowhere.png": "nowhere.png",
        ".": ".",
        "text.png": "text.png",
        "empty.png": "empty.png",
        "plain.png": "plain.png: there are no jaxstyle settings in its metadata",
        "content.png": "content.png: there are no jaxstyle settings in its metadata",
    }
    for name, said in cases.items():
        for flag in ("--from", "--upscale"):
            error = refused(f"run {flag} {name}", 1, said)
            assert "KeyError" not in error and "image not" not in error


def test_pictures_that_are_gone_are_named(folder, refused):
    assert run(*OUT, *ONE_SCALE, "--init", "style.png") == 0
    Path("style.png").rename("moved.png")
    said = "out.png: was made from style.png, which is not there: give CONTENT"
    refused("run --from out.png", 1, said)
    Path("content.png").rename("style.png")
    refused("run --from out.png", 1, "out.png: was made from content.png, which is not there: ")


@pytest.fixture
def whole(folder):
    """The recipe of a run."""
    assert run(*OUT, *ONE_SCALE) == 0
    return recipe_of("out.png")


def test_damaged_recipes_are_one_line(whole, refused):
    texts = ["{", "[]", "7", "null", '"a"', "[" * 99_999, '{"jaxstyle": ' * 9_999, "{}x"]
    texts += ['{"jaxstyle": 7}', '{"jaxstyle": {}}', '{"jaxstyle": [1]}', "NaN"]
    texts += ['{"command": 7}', '{"settings": 7}', '{"later": {}}', '{"command": 1, "command": 2}']
    wrong = {
        "content": (7, None, ["a"], "a\0b", {}),
        "styles": ("a", [7], None, ["a\0"], {"a": 1}),
        "settings": (None, [], "a", 7),
        "weights": (7, ["a"], "\0"),
        "bits": ("8", 12, 8.0, True, None, 10**300),
        "weights_sha256": (7, None),
        "full_size": (1, "yes", None),
        "shape": (7, [], [64], [64, "a"], [1, 2, 3], [64, 0.5]),
        "periodic": (1, "yes", None),
        "later": (1,),
    }
    texts += [
        json.dumps({"jaxstyle": {**whole, name: value}}) for name in wrong for value in wrong[name]
    ]
    needed = whole.keys() - {"full_size", "shape", "periodic"}
    texts += [json.dumps({"jaxstyle": {k: v for k, v in whole.items() if k != n}}) for n in needed]
    for text in texts:
        describe("bad.png", text)
        error = refused("run --from bad.png", 1, "bad.png: ")
        assert "its recipe is damaged, or of another version (" in error, text[:80]
