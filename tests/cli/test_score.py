"""python -m jaxstyle score: the contract that scripts rely on."""

import json

import jax
import numpy as np
import pytest

import jaxstyle
from jaxstyle.__main__ import main
from tests.cli.conftest import SHALLOW, rgb_of, save

PAIR = ["--content", "c.png", "--style", "s.png"]


@pytest.fixture
def pictures(folder, picture):
    """The folder, with pictures to be scored."""
    for name, seed, height, width in (("i", 0, 33, 47), ("c", 1, 33, 47), ("s", 2, 40, 29)):
        save(f"{name}.png", picture(seed, height, width))
    save("large.png", picture(3, 66, 94))
    yield folder
    jax.config.update("jax_enable_x64", False)  # a command is a process, and sets it for good


def scored(capsys, *arguments):
    assert main(["score", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def shallow(capsys, *arguments):
    """The terms of a score by shallow layers."""
    return scored(capsys, *arguments, *SHALLOW)["terms"]


def test_json_has_the_weighted_terms_and_their_sum(pictures, capsys):
    found = scored(capsys, "i.png", *PAIR, "--preset", "keras")
    layers = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]
    assert list(found) == ["preset", "total", "terms"]
    assert found["preset"] == "keras"
    style = [f"style/{layer}" for layer in layers]
    assert list(found["terms"]) == ["content/relu5_2", *style, "tv"]
    assert found["total"] == pytest.approx(sum(found["terms"].values()))
    assert all(value > 0 for value in found["terms"].values())


def test_it_is_the_same_as_from_python(pictures, capsys):
    found = scored(capsys, "--preset", "keras", "i.png", *PAIR, "--style-weight", "7")
    options = {"preset": "keras", "style_weight": 7}
    assert found == jaxstyle.score("i.png", "c.png", "s.png", **options).to_dict()


def test_the_content_itself_has_no_content_loss(pictures, capsys):
    found = shallow(capsys, "c.png", *PAIR)
    assert found["content/relu1_1"] == 0 and found["style/relu1_1"] > 0


def test_a_content_of_any_size_is_brought_to_that_of_the_image(pictures, capsys):
    found = shallow(capsys, "i.png", "--content", "large.png", "--style", "s.png")
    assert found["content/relu1_1"] > 0


def test_terms_that_weigh_nothing_are_not_there(pictures, capsys):
    found = shallow(capsys, "i.png", "--style", "s.png", "--preset", "gatys-texture")
    assert list(found) == ["style/relu1_1"]


def test_pictures_are_taken_as_they_are_unless_a_size_is_given(pictures, capsys):
    plain = shallow(capsys, "i.png", *PAIR)
    assert shallow(capsys, "i.png", *PAIR, "--size", 47) != plain  # style: 29x40
    large = "large.png", "--content", "large.png", "--style", "s.png"
    assert shallow(capsys, *large, "--size", 47) != shallow(capsys, *large)


def test_a_size_that_pictures_have_changes_nothing(pictures, capsys, picture):
    save("s2.png", picture(2, 30, 47))
    for preset in ("gatys-pytorch", "anishathalye", "neural-style", "gatys-2017"):
        arguments = "i.png", "--content", "c.png", "--style", "s2.png", "--preset", preset
        assert shallow(capsys, *arguments, "--size", 47) == shallow(capsys, *arguments), preset


def test_several_styles_and_folders_of_them(pictures, capsys, picture):
    (pictures / "styles").mkdir()
    for name, seed in (("a", 5), ("b", 6)):
        save(f"styles/{name}.png", picture(seed, 40, 40))
    (pictures / "styles" / "notes.txt").write_text("not a picture")
    common = "i.png", "--content", "c.png"
    both = shallow(capsys, *common, "--style", "styles/a.png", "styles/b.png")
    assert both == shallow(capsys, *common, "--style", "styles")
    one = shallow(capsys, *common, "--style", "styles", "--style-blend", "1,0")
    alone = shallow(capsys, *common, "--style", "styles/a.png")
    assert one == pytest.approx(alone, rel=1e-5)
    assert one["style/relu1_1"] != pytest.approx(both["style/relu1_1"], rel=1e-3)


def test_float64_has_only_to_be_asked_for_and_is_near_float32(pictures, capsys):
    common = "i.png", *PAIR, "--preset", "crowsonkb"
    single = shallow(capsys, *common, "--precision", "float32")
    double = shallow(capsys, *common, "--precision", "float64")
    assert double == shallow(capsys, *common)  # auto is as precise as JAX may be, by now
    assert single != double
    for name, value in double.items():
        assert single[name] == pytest.approx(value, rel=1e-3)


def test_for_people_it_is_a_table(pictures, capsys):
    assert main(["score", "i.png", *PAIR, *SHALLOW]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines][-2:] == ["tv", "total"]
    assert float(lines[-1].split()[1]) > 0


def test_in_luminance_mode_color_does_not_count(pictures, capsys):
    gray = rgb_of("c.png") @ np.float32([0.299, 0.587, 0.114])
    save("gray.png", np.repeat(gray[..., None], 3, -1))
    common = *PAIR, "--color-match", "luminance"
    colored, plain = (shallow(capsys, name, *common) for name in ("c.png", "gray.png"))
    assert colored["content/relu1_1"] == pytest.approx(0, abs=1e-6)
    assert sum(plain.values()) == pytest.approx(sum(colored.values()), rel=0.01)


BAD_ARGUMENTS = [
    ("i.png --content c.png", 2, "give at least one style picture: --style S"),
    ("i.png --style s.png", 2, "--content is needed: the losses or the colors depend on it"),
    (
        "i.png --style s.png --preset nnst",
        2,
        "--content is needed: the losses or the colors depend on it",
    ),
    ("--style s.png", 2, "the following arguments are required: IMAGE"),
    ("no.png --content c.png --style s.png", 1, "'no.png': cannot be opened"),
    ("i.png --content c.png --style s.png --preset gatys2016", 2, "did you mean gatys-2016?"),
    ("i.png --content c.png --style s.png --size 0", 2, "--size must be at least 1"),
    ("i.png --content c.png --style s.png --size 10", 1, "too small for the layers in use"),
    ("i.png --content c.png --style s.png --style-blend 1,2", 2, "2 shares for 1 style"),
    ("i.png --content c.png --style s.png --style-layers relu9_1", 2, "did you mean relu"),
    ("i.png --content c.png --style empty", 1, "empty: there are no pictures in this folder"),
]


def test_bad_input_is_one_line(pictures, refused):
    (pictures / "empty").mkdir()
    for arguments, status, problem in BAD_ARGUMENTS:
        refused(f"score {arguments}", status, problem)
