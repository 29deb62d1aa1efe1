"""The sweep command: the grid, its cells and its errors."""

import importlib
import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from jaxstyle import images
from jaxstyle.__main__ import main
from jaxstyle.batch import sweep as sweeps
from jaxstyle.cli import recipe
from jaxstyle.cli import sweep as command
from jaxstyle.errors import DivergedError
from jaxstyle.images.grid import layout
from jaxstyle.settings import resolve
from tests.cli.conftest import save

stylize = importlib.import_module("jaxstyle.runs.stylize")

LAYERS = ["--style-layers", "relu1_1,relu2_1", "--content-layers", "relu2_1"]
QUICK = ["--size", "32", "--smallest-size", "16", "--steps", "3,2", *LAYERS]
ONE_SCALE = ["--size", "32", "--smallest-size", "32", "--steps", "2"]
ONE_SCALE += ["--style-layers", "relu1_1", "--content-layers", "relu1_1"]
SIZE = 24, 32
WEIGHTS = ["--style-weight", "1,100"]


def sweep(*arguments):
    return main(["sweep", "content.png", "style.png", "-o", "grid.png", *arguments])


def cells_in(path, rows, columns):
    """Cut a grid into its pictures, row by row."""
    sheet, places = images.read(path).rgb, layout(SIZE, rows, columns)
    assert sheet.shape[:2] == (places.height, places.width)
    return [
        sheet[top : top + SIZE[0], left : left + SIZE[1]]
        for top in places.tops
        for left in places.lefts
    ]


def by_itself(loaded, settings, style="style.png"):
    pictures = images.read("content.png"), [images.read(style).rgb]
    return stylize.run(loaded, *pictures, settings, lambda progress: None)


def assert_close(picture, other):
    """Compare up to rounding, which Adam amplifies where the gradient is almost zero."""
    np.testing.assert_allclose(picture, other, atol=3e-3)
    assert np.abs(picture - other).mean() < 3e-5


def test_every_cell_equals_a_single_run(folder, small_weights, capsys):
    assert sweep(*QUICK, *WEIGHTS, "--bits", "16", "--report", "report.json") == 0
    rows, columns = ["relu1_1", "relu1_1 … relu2_1"], ["style weight 1", "style weight 100"]
    report = json.loads(Path("report.json").read_text())
    assert [row["label"] for row in report["rows"]] == rows
    assert [column["label"] for column in report["columns"]] == columns
    shown = cells_in("grid.png", rows, columns)
    assert len(report["cells"]) == 4
    for picture, cell in zip(shown, report["cells"], strict=True):
        changes = report["rows"][cell["row"]]["settings"]
        changes = {**changes, **report["columns"][cell["column"]]["settings"]}
        single = by_itself(small_weights, resolve(**{**report["settings"], **changes}))
        assert_close(picture, single.image)
        assert cell["losses"][-1]["total"] == pytest.approx(single.losses[-1]["total"], rel=1e-3)
    assert np.abs(shown[0] - shown[3]).max() > 0.01
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("grid.png: 2x2 cells, ")


@pytest.mark.parametrize("at_once", [3, pytest.param(8, marks=pytest.mark.slow)])
def test_one_compilation_a_scale_however_many_cells(folder, monkeypatch, capsys, at_once):
    monkeypatch.setattr(sweeps, "batch_that_fits", lambda *arguments: at_once)
    of_no_other_test = "--content-layers", "relu1_2"
    assert sweep(*QUICK, *of_no_other_test, "--style-weight", "1,2,3,4", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert len(report["cells"]) == 8
    assert report["compilations"] == 2


def test_cells_are_pictures_that_can_be_repeated(folder, small_weights):
    flags = "--out-dir", "cells", "--bits", "16", "--original-colors"
    assert sweep(*QUICK, *WEIGHTS, *flags) == 0
    names = [f"row{row}-column{column}.png" for row in (1, 2) for column in (1, 2)]
    assert sorted(os.listdir("cells")) == names
    path = Path("cells", "row1-column2.png")
    found = recipe.read(path, {})
    assert found.settings.style_layers == {"relu1_1": 1.0}
    assert found.settings.style_weight == 100
    assert found.weights_sha256 == small_weights.sha256
    assert main(["run", "--from", str(path), "-o", "again.png", "--quiet"]) == 0
    again, cell = images.read("again.png").rgb, images.read(path).rgb
    assert_close(again, cell)
    columns = ["style weight 1", "style weight 100"]
    shown = cells_in("grid.png", ["relu1_1", "relu1_1 … relu2_1"], columns)
    np.testing.assert_array_equal(shown[1], cell)


@pytest.fixture
def second_style(folder, picture):
    save("other.png", picture(5, 36, 44))


@pytest.mark.parametrize(
    ("flags", "rows", "columns"),
    [
        (["--rows", "styles"], ["style", "other"], [""]),
        (["--rows", "seeds", "--seeds", "3,1", "--init", "noise"], ["seed 3", "seed 1"], [""]),
        (["--seeds", "2", "--init-noise", "0.5"], ["seed 0", "seed 1"], [""]),
        (["--tv-weight", "0,1e3"], ["tv weight 0", "tv weight 1e3"], [""]),
        (
            ["--content-weight", "0,2", "--style-weight", "3,4"],
            ["content weight 0", "content weight 2"],
            ["style weight 3", "style weight 4"],
        ),
        (
            ["--rows", "none", "--content-weight", "1,2"],
            [""],
            ["content weight 1", "content weight 2"],
        ),
    ],
)
def test_all_kinds_of_rows(folder, second_style, flags, rows, columns):
    assert sweep("other.png", *ONE_SCALE, *flags, "--quiet") == 0
    shown = cells_in("grid.png", rows, columns)
    assert len({picture.tobytes() for picture in shown}) == len(rows) * len(columns)


def test_rows_of_styles_are_runs_with_one_style(folder, second_style, small_weights):
    flags = "--rows", "styles", "--bits", "16", "--quiet"
    assert sweep("other.png", *ONE_SCALE, *flags) == 0
    shown = cells_in("grid.png", ["style", "other"], [""])
    settings = resolve(
        size=32, smallest_size=32, steps=2, style_layers="relu1_1", content_layers="relu1_1"
    )
    for picture, style in zip(shown, ("style.png", "other.png"), strict=True):
        single = by_itself(small_weights, settings, style)
        assert_close(picture, single.image)


def failing(bad):
    """Return a ``run_in_halves`` in which the cells of these style weights diverge."""
    right = command.run_in_halves

    def run(loaded, cells, *others):
        made = right(loaded, cells, *others)
        weights = [cell.settings.style_weight for cell in cells]
        error = DivergedError("the loss is not finite")
        return [error if w in bad else one for w, one in zip(weights, made, strict=True)]

    return run


def test_a_cell_that_fails_is_reported_and_the_others_are_there(folder, monkeypatch, capsys):
    monkeypatch.setattr(command, "run_in_halves", failing({100.0}))
    flags = "--rows", "none", "--out-dir", "cells", "--report", "report.json"
    assert sweep(*ONE_SCALE, *WEIGHTS, *flags, "--quiet") == 1
    assert capsys.readouterr().err.splitlines() == [
        "style weight 100: the loss is not finite",
        "jaxstyle: 1 of 2 cells failed: see grid.png",
    ]
    assert os.listdir("cells") == ["row1-column1.png"]
    good, bad = cells_in("grid.png", [""], ["style weight 1", "style weight 100"])
    np.testing.assert_allclose(bad[0], 0xDD / 255, atol=1e-3)
    np.testing.assert_array_equal(good, images.read("cells/row1-column1.png").rgb)
    cells = json.loads(Path("report.json").read_text())["cells"]
    assert cells[1]["error"] == "the loss is not finite"
    assert "losses" in cells[0]


def test_if_every_cell_fails_existing_files_are_left_alone(folder, monkeypatch, capsys):
    Path("grid.png").write_bytes(b"an earlier one")
    monkeypatch.setattr(command, "run_in_halves", failing({1.0, 100.0}))
    assert sweep(*ONE_SCALE, *WEIGHTS, "--rows", "none", "--report", "report.json") == 1
    assert capsys.readouterr().err == (
        "jaxstyle: no cell could be made; the first: style weight 1: the loss is not finite\n"
    )
    assert Path("grid.png").read_bytes() == b"an earlier one"
    assert not Path("report.json").exists()


def test_an_interrupt_saves_what_was_made(folder, monkeypatch, capsys):
    monkeypatch.setattr(sweeps, "batch_that_fits", lambda *arguments: 1)
    right, calls = command.run_in_halves, []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return right(*arguments)

    monkeypatch.setattr(command, "run_in_halves", interrupted)
    assert sweep(*ONE_SCALE, *WEIGHTS, "--rows", "none") == 130
    said = capsys.readouterr().err
    assert said == "jaxstyle: interrupted: saved 1 of 2 cells as grid.png\n"
    _, missing = cells_in("grid.png", [""], ["style weight 1", "style weight 100"])
    np.testing.assert_allclose(missing[0], 0xDD / 255, atol=1e-3)


def test_alpha_is_kept_in_cells_and_white_in_the_grid(folder, picture):
    alpha = np.zeros((48, 64), np.float32)
    alpha[:, 32:] = 1
    save("content.png", picture(0, 48, 64), alpha)
    assert sweep(*ONE_SCALE, "--rows", "none", "--out-dir", "cells", "--quiet") == 0
    assert images.read("cells/row1-column1.png").alpha is not None
    (shown,) = cells_in("grid.png", [""], [""])
    np.testing.assert_array_equal(shown[:, 0], 1)
    assert shown[:, -1].min() < 1


def test_the_plan_tells_the_batch_size(folder, monkeypatch, capsys):
    monkeypatch.setattr(sweeps, "batch_that_fits", lambda *arguments: 3)
    assert sweep(*QUICK, "--style-weight", "1,2,3", "--plan") == 0
    *_, verdict, together = capsys.readouterr().out.splitlines()
    assert verdict.startswith("fits: needs about ")
    assert together == "6 cells: 3 at once, in 2 batches"
    assert sweep(*QUICK, "--style-weight", "1,2,3", "--plan", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["cells"], found["at_once"], found["batches"]) == (6, 3, 2)
    assert found["cell"]["compilations"] == 2
    assert sorted(os.listdir()) == ["content.png", "style.png"]


BAD_ARGUMENTS = [
    ("-o grid.png", 2, "give a CONTENT picture and at least one STYLE picture"),
    ("content.png -o grid.png", 2, "give a CONTENT picture and at least one STYLE picture"),
    ("content.png style.png", 2, "say where the grid goes: -o GRID.png"),
    ("content.png style.png -o grid.txt", 1, "grid.txt"),
    ("content.png style.png -o nowhere/grid.png", 1, "nowhere"),
    ("content.png style.png -o style.png", 1, "is read by this run"),
    ("content.png style.png -o grid.png --report grid.png", 1, "the same name as another"),
    ("content.png style.png -o grid.jpg --bits 16", 1, "JPEG does not support 16 bits"),
    (
        "content.png style.png -o grid.png --out-dir content.png",
        1,
        "cannot be made a directory",
    ),
    ("content.png style.png -o grid.png --out-dir no/cells", 1, "cannot be made a directory"),
    ("content.png no.png -o grid.png", 1, "'no.png'"),
    ("content.png style.png -o grid.png --style-weight 1,-2", 2, "--style-weight must be at"),
    ("content.png style.png -o grid.png --style-weight 1,x", 2, "'x' is not a number"),
    ("content.png style.png -o grid.png --style-weight ,", 2, "--style-weight needs at least"),
    ("content.png style.png -o grid.png --rows tv-weight", 2, "--rows tv-weight needs a list"),
    ("content.png style.png -o grid.png --seeds 3", 2, "--seeds would all give the same"),
    ("content.png style.png -o grid.png --seeds 2000 --init noise", 2, "--seeds must be from"),
    ("content.png style.png -o grid.png --rows columns", 2, "invalid choice: 'columns'"),
    ("content.png style.png -o grid.png --size 8", 1, "too small for the layers in use"),
    (
        "content.png style.png -o grid.webp --size 9999 --style-weight 1,2 --rows none",
        1,
        "WEBP has at most 16383 pixels a side",
    ),
]


def test_bad_input_is_one_line_and_leaves_nothing(folder, refused):
    for arguments, status, said in BAD_ARGUMENTS:
        refused(["sweep", *arguments.split()], status, said)
