"""python -m jaxstyle score: the contract that scripts rely on."""

import json

import jax
import numpy as np
import pytest

import jaxstyle
from jaxstyle import image as images
from jaxstyle.__main__ import main
from jaxstyle.image import Picture


@pytest.fixture
def folder(tmp_path, picture, weights_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAXSTYLE_WEIGHTS", str(weights_path))
    for name, seed, height, width in (("i", 0, 33, 47), ("c", 1, 33, 47), ("s", 2, 40, 29)):
        images.write(f"{name}.png", Picture(np.asarray(picture(seed, height, width))))
    images.write("large.png", Picture(np.asarray(picture(3, 66, 94))))
    yield tmp_path
    jax.config.update("jax_enable_x64", False)  # a command is a process, and sets it for good


def scored(capsys, *arguments):
    assert main(["score", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_json_has_the_weighted_terms_and_their_sum(folder, capsys):
    found = scored(capsys, "i.png", "--content", "c.png", "--style", "s.png", "--preset", "keras")
    layers = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]
    assert list(found) == ["preset", "total", "terms"]
    assert found["preset"] == "keras"
    assert list(found["terms"]) == [
        "content/relu5_2",
        *(f"style/{layer}" for layer in layers),
        "tv",
    ]
    assert found["total"] == pytest.approx(sum(found["terms"].values()))
    assert all(value > 0 for value in found["terms"].values())


def test_it_is_the_same_as_from_python(folder, capsys):
    arguments = ["i.png", "--content", "c.png", "--style", "s.png", "--style-weight", "7"]
    found = scored(capsys, "--preset", "neural-style-pt", *arguments)
    options = {"preset": "neural-style-pt", "style_weight": 7}
    assert found == jaxstyle.score("i.png", "c.png", "s.png", **options).to_dict()


def test_the_content_itself_has_no_content_loss(folder, capsys):
    found = scored(capsys, "c.png", "--content", "c.png", "--style", "s.png")
    assert found["terms"]["content/relu4_2"] == 0
    assert found["terms"]["style/relu1_1"] > 0


def test_terms_that_weigh_nothing_are_not_there(folder, capsys):
    found = scored(capsys, "i.png", "--style", "s.png", "--preset", "gatys-texture")
    assert [name.split("/")[0] for name in found["terms"]] == ["style"] * 5


def test_pictures_are_taken_as_they_are_unless_a_size_is_given(folder, capsys):
    pair = "--content", "c.png", "--style", "s.png"
    plain = scored(capsys, "i.png", *pair)
    assert scored(capsys, "i.png", *pair, "--size", 47)["terms"] != plain["terms"]  # style: 29x40
    small = scored(capsys, "large.png", "--content", "large.png", "--style", "s.png", "--size", 47)
    again = scored(capsys, "large.png", "--content", "large.png", "--style", "s.png")
    assert small["terms"] != again["terms"]


@pytest.mark.parametrize("preset", ["gatys-pytorch", "anishathalye", "neural-style", "gatys-2017"])
def test_a_size_that_pictures_have_changes_nothing(folder, capsys, picture, preset):
    images.write("s2.png", Picture(np.asarray(picture(2, 30, 47))))
    arguments = "i.png", "--content", "c.png", "--style", "s2.png", "--preset", preset
    assert scored(capsys, *arguments, "--size", 47) == scored(capsys, *arguments)


def test_the_content_is_brought_to_the_size_of_the_image(folder, capsys):
    found = scored(capsys, "i.png", "--content", "large.png", "--style", "s.png")
    assert found["terms"]["content/relu4_2"] > 0


def test_several_styles_and_folders_of_them(folder, capsys, picture):
    (folder / "styles").mkdir()
    for name, seed in (("a", 5), ("b", 6)):
        images.write(f"styles/{name}.png", Picture(np.asarray(picture(seed, 40, 40))))
    (folder / "styles" / "notes.txt").write_text("not a picture")
    common = "i.png", "--content", "c.png"
    both = scored(capsys, *common, "--style", "styles/a.png", "styles/b.png")
    assert both == scored(capsys, *common, "--style", "styles")
    one = scored(capsys, *common, "--style", "styles", "--style-blend", "1,0")
    alone = scored(capsys, *common, "--style", "styles/a.png")
    assert one["total"] == pytest.approx(alone["total"], rel=1e-5)


def test_float64_is_nearer_to_the_truth_and_near_float32(folder, capsys, float64):
    common = "i.png", "--content", "c.png", "--style", "s.png", "--preset", "crowsonkb"
    single = scored(capsys, *common, "--precision", "float32")["terms"]
    double = scored(capsys, *common, "--precision", "float64")["terms"]
    assert double == scored(capsys, *common)["terms"]  # auto is as precise as JAX may be
    assert single != double
    for name, value in double.items():
        assert single[name] == pytest.approx(value, rel=1e-3)


def test_for_people_it_is_a_table(folder, capsys):
    assert main(["score", "i.png", "--content", "c.png", "--style", "s.png"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines][-2:] == ["tv", "total"]
    assert float(lines[-1].split()[1]) > 0


@pytest.mark.parametrize(
    ("arguments", "status", "problem"),
    [
        ("i.png --content c.png", 2, "give at least one style picture: --style S"),
        ("i.png --style s.png", 2, "--content preset default has a content loss: give a picture"),
        ("--style s.png", 2, "the following arguments are required: IMAGE"),
        ("no.png --content c.png --style s.png", 1, "'no.png': cannot be opened"),
        ("i.png --content c.png --style s.png --preset gatys2016", 2, "did you mean gatys-2016?"),
        ("i.png --content c.png --style s.png --size 0", 2, "--size must be at least 1"),
        ("i.png --content c.png --style s.png --size 10", 1, "too small for the layers in use"),
        ("i.png --content c.png --style s.png --style-blend 1,2", 2, "2 shares for 1 style"),
        ("i.png --content c.png --style s.png --style-layers relu9_1", 2, "did you mean relu"),
        ("i.png --content c.png --style empty", 1, "empty: there are no pictures in this folder"),
    ],
)
def test_bad_input_is_one_line(folder, capsys, arguments, status, problem):
    (folder / "empty").mkdir()
    try:
        found = main(["score", *arguments.split()])
    except SystemExit as stop:  # argparse's own
        found = stop.code
    printed = capsys.readouterr()
    assert found == status
    assert problem in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""


def test_in_luminance_mode_color_does_not_count(folder, capsys):
    gray = images.read("c.png").rgb @ np.float32([0.299, 0.587, 0.114])
    images.write("gray.png", Picture(np.repeat(gray[..., None], 3, -1)))
    common = "--content", "c.png", "--style", "s.png", "--color-match", "luminance"
    colored, plain = (scored(capsys, name, *common) for name in ("c.png", "gray.png"))
    assert colored["terms"]["content/relu4_2"] == pytest.approx(0, abs=1e-6)
    assert plain["total"] == pytest.approx(colored["total"], rel=0.01)
