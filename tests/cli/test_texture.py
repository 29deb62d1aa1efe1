"""python -m jaxstyle texture and reconstruct: what they write and refuse."""

import json

import numpy as np
import pytest

from jaxstyle.__main__ import main
from tests.cli.conftest import rgb_of, save

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


def test_a_texture_is_not_repeated_as_a_run(painting, refused):
    assert texture("--size", "52") == 0
    refused("run --from out.png", 1, "was made by 'jaxstyle texture'")


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
