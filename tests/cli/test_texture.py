"""python -m jaxstyle texture and reconstruct: what they write and refuse."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest

import jaxstyle
from jaxstyle.__main__ import main
from jaxstyle.runs import recipe
from tests.cli.conftest import recipe_of, rgb_of, save

ROWS = 12, 12 + 40 + 26 + 12  # where the rows of a figure begin
QUICK = ["--smallest-size", "32", "--steps", "2,1", "--style-layers", "relu1_1"]


@pytest.fixture
def painting(folder, picture):
    """The folder, with a painting that is wider than high."""
    save("style.png", picture(1, 40, 52))
    return folder


def texture(*arguments):
    return main(["texture", "style.png", "-o", "out.png", *QUICK, *arguments, "--quiet"])


def reconstruct(*arguments):
    layers = "--style-layers", "relu1_1", "--content-layers", "relu1_1"
    return main(["reconstruct", "style.png", "-o", "grid.png", "--size", "52", *layers, *arguments])


@pytest.mark.parametrize(
    ("arguments", "width", "height"),
    [
        ("--size 52", 52, 40),
        ("--shape 50x61 --smallest-size 64 --steps 0", 50, 61),
        ("--shape 64x48 --periodic", 64, 48),
    ],
)
def test_it_has_the_size_asked_for(painting, arguments, width, height):
    assert texture(*arguments.split()) == 0
    assert rgb_of("out.png").shape == (height, width, 3)


def test_the_report_has_style_terms_alone(painting, capsys):
    assert texture("--size", "52", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["settings"]["preset"] == "texture"
    assert set(report["losses"][-1]["terms"]) == {"style/relu1_1", "tv"}
    assert report["losses"][-1]["total"] < report["losses"][0]["total"]


def test_the_figure_has_a_row_for_each_kind_and_the_picture_itself(painting, capsys):
    layers = ["--content-layers", "relu1_1,relu1_2,relu2_1", "--style-layers", "relu1_1,relu1_2"]
    assert reconstruct("--steps", "2", *layers) == 0
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(" ")[2] for line in said[:5]] == [
        "style of relu1_1",
        "style of relu1_1 .. relu1_2",
        "content of relu1_1",
        "content of relu1_2",
        "content of relu2_1",
    ]
    sheet = rgb_of("grid.png")
    assert sheet.shape[:2] == (2 * (40 + 26 + 12) + 12, 4 * (52 + 12) + 12)
    original = rgb_of("style.png")
    for top in ROWS:
        np.testing.assert_allclose(sheet[top : top + 40, 12:64], original, atol=1 / 255)
    empty = sheet[12:52, 12 + 3 * 64 :]
    assert empty.min() == 1  # there are two style reconstructions


@pytest.mark.parametrize("preset", ["crowsonkb", "keras"])
def test_nothing_starts_from_the_empty_canvas(painting, preset):
    assert texture("--size", "48", "--steps", "0", "--preset", preset) == 0
    assert rgb_of("out.png").std() > 0.2


def test_reconstructions_never_start_from_the_answer(painting):
    assert reconstruct("--steps", "0", "--preset", "keras") == 0
    sheet, original = rgb_of("grid.png"), rgb_of("style.png")
    for top in ROWS:
        made = sheet[top : top + 40, 12 + 64 : 12 + 64 + 52]
        assert np.abs(made - original).mean() > 0.2


@pytest.mark.parametrize(
    "arguments", ["--size 52 --bits 16 --style-scale 0.8", "--shape 64x48 --periodic"]
)
def test_from_makes_a_texture_again_byte_for_byte_wherever_it_is(painting, monkeypatch, arguments):
    assert texture(*arguments.split()) == 0
    (painting / "moved").mkdir()
    for name in ("style.png", "out.png"):
        (painting / name).rename(painting / "moved" / name)
    assert main(["texture", "--from", "moved/out.png", "--quiet"]) == 0
    made = Path("moved/out.png").read_bytes()
    assert Path("moved/out-again.png").read_bytes() == made
    monkeypatch.chdir("moved")
    assert main([*command_of("out.png", "o.png"), "--quiet"]) == 0
    assert rgb_of("o.png").tobytes() == rgb_of("out.png").tobytes()


def command_of(picture, output):
    """The words of the command that makes a texture again, without those of Python."""
    words = shlex.split(recipe.read(Path(picture), {}, "texture").command(output))
    assert words[:4] == ["python", "-m", "jaxstyle", "texture"]
    return words[3:]


def test_what_is_given_replaces_what_a_texture_was_made_with(painting):
    assert texture("--shape", "64x48", "--periodic", "--seed", "3") == 0
    assert recipe_of("out.png")["settings"]["padding"] != "circular"  # as chosen
    again = "texture", "--from", "out.png", "-o", "b.png", "--quiet"
    assert main([*again, "--steps", "0", "--shape", "32x80"]) == 0
    found = recipe_of("b.png")
    assert (found["shape"], found["periodic"]) == ([80, 32], True)
    assert (found["settings"]["steps"], found["settings"]["seed"]) == ([0], 3)
    assert rgb_of("b.png").shape == (80, 32, 3)
    assert main([*again, "--steps", "0", "--size", "52", "--no-periodic"]) == 0
    assert (recipe_of("b.png")["shape"], recipe_of("b.png")["periodic"]) == (None, False)
    assert rgb_of("b.png").shape == (40, 52, 3)


def test_from_python_a_texture_of_files_has_a_recipe(painting):
    made = jaxstyle.texture(
        Path("style.png"), shape=(48, 64), periodic=True, steps=2, style_layers="relu1_1"
    )
    assert made.recipe and made.recipe.settings == jaxstyle.resolve(
        "texture", steps=2, style_layers="relu1_1"
    )
    made.save("out.png")
    assert recipe_of("out.png")["styles"] == ["style.png"]
    assert main(["texture", "--from", "out.png", "--quiet"]) == 0
    assert Path("out-again.png").read_bytes() == Path("out.png").read_bytes()


def test_a_texture_and_a_run_are_repeated_by_their_commands(painting, refused):
    assert texture("--size", "52", "--steps", "0") == 0
    save("content.png", rgb_of("style.png"))
    run = ["content.png", "style.png", "--size", "52", "--steps", "0", "-o", "run.png"]
    assert main(["run", *run, "--style-layers", "relu1_1", "--content-layers", "relu1_1"]) == 0
    said = "out.png: was made by 'jaxstyle texture': 'jaxstyle texture --from' repeats it"
    refused("run --from out.png", 1, said)
    said = "run.png: was not made by 'jaxstyle texture': 'jaxstyle run --from' repeats it"
    refused("texture --from run.png", 1, said)
    refused("texture --from out.png style.png", 2, "--from repeats a texture: it takes no STYLE")
    refused("texture --from content.png", 1, "give STYLE and settings instead")
    refused("texture --from out.png -o style.png", 1, "is read by this run")
    Path("style.png").unlink()
    said = "out.png: was made from style.png, which is not there: give STYLE and settings instead"
    refused("texture --from out.png", 1, said)


BAD_ARGUMENTS = [
    ("texture -o out.png", 2, "give at least one STYLE picture"),
    ("texture style.png", 2, "say where the texture goes"),
    ("texture style.png -o out.png --shape 64", 2, "not a width and a height"),
    ("texture style.png -o out.png --shape 0x64", 2, "not a width and a height"),
    ("texture style.png -o out.png --shape 64x64 --size 64", 2, "--shape or --size, not both"),
    ("texture style.png -o out.png --shape 64x60 --periodic", 2, "multiples of 16, not 64x60"),
    ("texture style.png -o out.png --size 40 --periodic", 2, "multiples of 16"),
    ("texture style.png -o out.png --shape 64x10", 1, "too small for the layers in use"),
    ("texture style.png -o out.png --shape 99999x64", 2, "must be two sides from 1 to 32768"),
    ("texture style.png -o style.png", 1, "is read by this run"),
    ("texture style.png -o nowhere/out.png", 1, "nowhere"),
    ("texture style.png -o out.png --style-scale 1,2", 2, "2 scales for 1 style"),
    ("texture style.png -o out.png --fine-style no.png --shape 64x64 --steps 1", 1, "'no.png'"),
    ("reconstruct style.png", 2, "say where the figure goes"),
    ("reconstruct style.png -o style.png", 1, "is read by this run"),
    ("reconstruct style.png -o start.png --init start.png", 1, "start.png: is read by this run"),
    ("reconstruct style.png -o grid.txt", 1, "grid.txt"),
    ("reconstruct no.png -o grid.png", 1, "'no.png'"),
    ("reconstruct style.png -o grid.png --content-layers relu4_9", 2, "did you mean relu4_"),
    ("reconstruct style.png -o grid.png --size 8", 1, "too small for the layers in use"),
]


def test_bad_input_is_one_line_and_leaves_nothing(painting, refused):
    save("start.png", rgb_of("style.png"))
    for arguments, status, said in BAD_ARGUMENTS:
        refused(arguments, status, said)
