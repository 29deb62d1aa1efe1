"""The sweep command: the grid, its cells and its errors."""

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from jaxstyle import images
from jaxstyle.__main__ import main
from jaxstyle.batch import sweep as sweeps
from jaxstyle.cli import outputs
from jaxstyle.cli import sweep as command
from jaxstyle.errors import DivergedError, ImageError
from jaxstyle.images.grid import layout
from jaxstyle.runs import recipe, stylize
from jaxstyle.runs.inputs import Inputs
from jaxstyle.settings import resolve
from tests.cli.conftest import ONE_SCALE, PAIR, json_of, names_in, rgb_of, run, save

LAYERS = ["--style-layers", "relu1_1,relu2_1", "--content-layers", "relu2_1"]
QUICK = ["--size", "32", "--smallest-size", "16", "--steps", "3,2", *LAYERS]
SIZE = 24, 32
WEIGHTS = ["--style-weight", "1,100"]
OF_LAYERS = ["relu1_1", "relu1_1 … relu2_1"]
OF_WEIGHTS = ["style weight 1", "style weight 100"]


def sweep(*arguments):
    return main(["sweep", *PAIR, "-o", "grid.png", *arguments])


def cells_in_grid(rows, columns):
    """Cut the grid into its pictures, row by row."""
    sheet, places = rgb_of("grid.png"), layout(SIZE, rows, columns)
    assert sheet.shape[:2] == (places.height, places.width)
    return [
        sheet[top : top + SIZE[0], left : left + SIZE[1]]
        for top in places.tops
        for left in places.lefts
    ]


def by_itself(loaded, settings, style="style.png"):
    return stylize.run(loaded, Inputs(images.read("content.png"), [rgb_of(style)], settings))


def assert_close(picture, other):
    """Compare up to rounding, which Adam amplifies where the gradient is almost zero."""
    np.testing.assert_allclose(picture, other, atol=3e-3)
    assert np.abs(picture - other).mean() < 3e-5


def test_every_cell_equals_a_single_run(folder, small_weights, capsys):
    assert sweep(*QUICK, *WEIGHTS, "--bits", "16", "--report", "report.json") == 0
    report = json_of("report.json")
    assert [row["label"] for row in report["rows"]] == OF_LAYERS
    assert [column["label"] for column in report["columns"]] == OF_WEIGHTS
    shown = cells_in_grid(OF_LAYERS, OF_WEIGHTS)
    assert len(report["cells"]) == 4
    for picture, cell in zip(shown, report["cells"], strict=True):
        row, column = report["rows"][cell["row"]], report["columns"][cell["column"]]
        changed = {**report["settings"], **row["settings"], **column["settings"]}
        single = by_itself(small_weights, resolve(**changed))
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
    assert names_in("cells") == [f"row{i}-column{j}.png" for i in (1, 2) for j in (1, 2)]
    path = Path("cells", "row1-column2.png")
    found = recipe.read(path, {})
    assert found.settings.style_layers == {"relu1_1": 1.0}
    assert found.settings.style_weight == 100
    assert found.weights_sha256 == small_weights.sha256
    assert run("--from", path, "-o", "again.png", "--quiet") == 0
    assert_close(rgb_of("again.png"), rgb_of(path))
    np.testing.assert_array_equal(cells_in_grid(OF_LAYERS, OF_WEIGHTS)[1], rgb_of(path))


@pytest.mark.parametrize(
    ("flags", "rows", "columns"),
    [
        ("--rows seeds --seeds 3,1 --init noise", "seed 3, seed 1", ""),
        ("--seeds 2 --init-noise 0.5", "seed 0, seed 1", ""),
        ("--tv-weight 0,1e3", "tv weight 0, tv weight 1e3", ""),
        (
            "--content-weight 0,2 --style-weight 3,4",
            "content weight 0, content weight 2",
            "style weight 3, style weight 4",
        ),
        ("--rows none --content-weight 1,2", "", "content weight 1, content weight 2"),
    ],
)
def test_all_kinds_of_rows(folder, flags, rows, columns):
    assert sweep(*ONE_SCALE, *flags.split(), "--quiet") == 0
    shown = cells_in_grid(rows.split(", "), columns.split(", "))
    assert len({picture.tobytes() for picture in shown}) == len(shown)


def test_rows_of_styles_are_runs_with_one_style(folder, picture, small_weights):
    save("other.png", picture(5, 36, 44))
    flags = "--rows", "styles", "--bits", "16", "--quiet"
    assert sweep("other.png", *ONE_SCALE, *flags) == 0
    layers = {"style_layers": "relu1_1", "content_layers": "relu1_1"}
    settings = resolve(size=32, smallest_size=32, steps=2, **layers)
    shown = cells_in_grid(["style", "other"], [""])
    for picture, style in zip(shown, ("style.png", "other.png"), strict=True):
        assert_close(picture, by_itself(small_weights, settings, style).image)


@pytest.fixture
def diverging(monkeypatch):
    """A function that makes the cells of these style weights diverge."""
    right = command.run_in_halves

    def set_to(*bad):
        def run(loaded, cells, *others):
            made = right(loaded, cells, *others)
            weights = [cell.settings.style_weight for cell in cells]
            error = DivergedError("the loss is not finite")
            return [error if w in bad else one for w, one in zip(weights, made, strict=True)]

        monkeypatch.setattr(command, "run_in_halves", run)

    return set_to


def test_a_cell_that_fails_is_reported_and_the_others_are_there(folder, diverging, capsys):
    diverging(100.0)
    flags = "--rows", "none", "--out-dir", "cells", "--report", "report.json"
    assert sweep(*ONE_SCALE, *WEIGHTS, *flags, "--quiet") == 1
    assert capsys.readouterr().err.splitlines() == [
        "style weight 100: the loss is not finite",
        "jaxstyle: 1 of 2 cells failed: see grid.png",
    ]
    assert names_in("cells") == ["row1-column1.png"]
    good, bad = cells_in_grid([""], OF_WEIGHTS)
    np.testing.assert_allclose(bad[0], 0xDD / 255, atol=1e-3)
    np.testing.assert_array_equal(good, rgb_of("cells/row1-column1.png"))
    cells = json_of("report.json")["cells"]
    assert cells[1]["error"] == "the loss is not finite"
    assert "losses" in cells[0]


def test_if_every_cell_fails_existing_files_are_left_alone(folder, diverging, capsys):
    Path("grid.png").write_bytes(b"an earlier one")
    diverging(1.0, 100.0)
    assert sweep(*ONE_SCALE, *WEIGHTS, "--rows", "none", "--report", "report.json") == 1
    assert capsys.readouterr().err == (
        "jaxstyle: no cell could be made; the first: style weight 1: the loss is not finite\n"
    )
    assert Path("grid.png").read_bytes() == b"an earlier one"
    assert not Path("report.json").exists()


def test_an_interrupt_on_a_full_disk_says_where_the_cells_are(
    folder, full_disk, monkeypatch, capsys
):
    monkeypatch.setattr(sweeps, "batch_that_fits", lambda *arguments: 1)
    right, calls = command.run_in_halves, []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return right(*arguments)

    full_disk(6, grid=False)
    monkeypatch.setattr(command, "run_in_halves", interrupted)
    few = "--rows", "none", "--style-weight", "1,2,3", "--out-dir", "cells"
    assert sweep(*ONE_SCALE, *few, "--quiet") == 130
    said = capsys.readouterr().err
    assert said.startswith("jaxstyle: interrupted: grid-interrupted.png: cannot be written: No ")
    assert said.endswith(": 2 of 3 cells are in cells, without row1-column3.png\n")


def test_an_interrupt_saves_what_was_made(folder, monkeypatch, capsys):
    monkeypatch.setattr(sweeps, "batch_that_fits", lambda *arguments: 1)
    right, calls = command.run_in_halves, []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return right(*arguments)

    monkeypatch.setattr(command, "run_in_halves", interrupted)
    Path("grid.png").write_bytes(b"an earlier one")
    assert sweep(*ONE_SCALE, *WEIGHTS, "--rows", "none") == 130
    said = capsys.readouterr().err
    assert (
        said.splitlines()[-1] == "jaxstyle: interrupted: saved 1 of 2 cells as grid-interrupted.png"
    )
    assert Path("grid.png").read_bytes() == b"an earlier one"
    assert json.loads(images.read_description("grid-interrupted.png")) == {
        "command": "sweep",
        "interrupted": {"made": 1, "of": 2},
    }
    Path("grid-interrupted.png").replace("grid.png")
    _, missing = cells_in_grid([""], OF_WEIGHTS)
    np.testing.assert_allclose(missing[0], 0xDD / 255, atol=1e-3)


@pytest.fixture
def full_disk(monkeypatch):
    """A function that leaves room for so many cells, and for the grid or not."""
    write = images.write

    def limit(room, grid):
        written = []

        def limited(path, *arguments, **options):
            name = Path(path).name
            written.append(name)
            cells = [each for each in written if each.startswith("row")]
            if len(cells) > room if name.startswith("row") else not grid:
                raise ImageError(f"{path}: cannot be written: No space left on device")
            write(path, *arguments, **options)

        monkeypatch.setattr(images, "write", limited)
        if not grid:
            monkeypatch.setattr(images, "write_unused", limited)
            monkeypatch.setattr(outputs, "_elsewhere", lambda: [])

    return limit


CELLS = "--rows", "none", "--style-weight", "1,2,3,4,5,6", "--out-dir", "cells"


def test_cells_that_are_there_are_not_replaced(folder, refused):
    few = "--rows", "none", "--style-weight", "1,2", "--out-dir", "cells"
    assert sweep(*ONE_SCALE, *few) == 0
    again = ["sweep", *PAIR, "-o", "grid.png", *ONE_SCALE]
    said = "cells/row1-column1.png, and 1 more cells, would be replaced: give another --out-dir"
    refused([*again, *few], 2, said)
    Path("cells/row1-column1.png").unlink()
    refused([*again, *CELLS], 2, "cells/row1-column2.png would be replaced: ")
    Path("cells/row1-column2.png").unlink()
    Path("cells/row1-column2.png").symlink_to("nowhere.png")
    refused([*again, *CELLS], 2, "cells/row1-column2.png would be replaced: ")
    assert sweep(*ONE_SCALE, *few[:-1], "others") == 0


def test_a_full_disk_leaves_the_cells_that_there_was_room_for(folder, full_disk, capsys):
    full_disk(2, grid=True)
    assert sweep(*ONE_SCALE, *CELLS, "--quiet") == 1
    assert capsys.readouterr().err == (
        "jaxstyle: cells/row1-column3.png: cannot be written: No space left on device: 2 of 6 "
        "cells are in cells, without row1-column3.png, row1-column4.png, row1-column5.png, ...; "
        "all are in grid.png: to have them all as pictures, make room and give another --out-dir\n"
    )
    assert names_in("cells") == ["row1-column1.png", "row1-column2.png"]
    assert len(cells_in_grid([""], [f"style weight {i}" for i in range(1, 7)])) == 6


def test_without_room_for_the_grid_it_is_said_where_the_cells_are(folder, full_disk, capsys):
    Path("grid.png").write_bytes(b"an earlier one")
    full_disk(6, grid=False)
    assert sweep(*ONE_SCALE, *CELLS, "--quiet") == 1
    said = capsys.readouterr().err
    assert said.startswith("jaxstyle: grid.png: cannot be written: No space left on device: ")
    assert said.endswith(": the picture is lost: 6 of 6 cells are in cells\n")
    assert Path("grid.png").read_bytes() == b"an earlier one"


def test_without_room_the_grid_is_saved_elsewhere(folder, monkeypatch, tmp_path_factory, capsys):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.setattr(outputs, "_elsewhere", lambda: [elsewhere])
    write = images.write

    def limited(path, *arguments, **options):
        if Path(path).parent == Path():
            raise ImageError(f"{path}: cannot be written: No space left on device")
        write(path, *arguments, **options)

    monkeypatch.setattr(images, "write", limited)
    assert sweep(*ONE_SCALE, *WEIGHTS, "--rows", "none", "--quiet") == 1
    (saved,) = elsewhere.rglob("grid.png")
    assert capsys.readouterr().err == (
        "jaxstyle: grid.png: cannot be written: No space left on device: saved the picture as "
        f"{saved} instead\n"
    )
    saved.replace("grid.png")
    assert len(cells_in_grid([""], OF_WEIGHTS)) == 2


def test_alpha_is_kept_in_cells_and_white_in_the_grid(folder, picture):
    alpha = np.zeros((48, 64), np.float32)
    alpha[:, 32:] = 1
    save("content.png", picture(0, 48, 64), alpha)
    assert sweep(*ONE_SCALE, "--rows", "none", "--out-dir", "cells", "--quiet") == 0
    assert images.read("cells/row1-column1.png").alpha is not None
    (shown,) = cells_in_grid([""], [""])
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
    assert names_in() == ["content.png", "style.png"]


GRID = "content.png style.png -o grid.png"
BAD_ARGUMENTS = [
    ("-o grid.png", 2, "give a CONTENT picture and at least one STYLE picture"),
    ("content.png -o grid.png", 2, "give a CONTENT picture and at least one STYLE picture"),
    ("content.png style.png", 2, "say where the grid goes: -o GRID.png"),
    ("content.png style.png -o grid.txt", 1, "grid.txt"),
    ("content.png style.png -o nowhere/grid.png", 1, "nowhere"),
    ("content.png style.png -o style.png", 1, "is read by this run"),
    (f"{GRID} --report grid.png", 1, "the same name as another"),
    ("content.png style.png -o grid.jpg --bits 16", 1, "JPEG does not support 16 bits"),
    (f"{GRID} --out-dir content.png", 1, "cannot be made a directory"),
    (f"{GRID} --out-dir no/cells", 1, "cannot be made a directory"),
    ("content.png no.png -o grid.png", 1, "'no.png'"),
    (f"{GRID} --style-weight 1,-2", 2, "--style-weight must be at"),
    (f"{GRID} --style-weight 1,x", 2, "'x' is not a number"),
    (f"{GRID} --style-weight ,", 2, "--style-weight needs at least"),
    (f"{GRID} --rows tv-weight", 2, "--rows tv-weight needs a list"),
    (f"{GRID} --seeds 2000 --init noise", 2, "--seeds must be from"),
    (f"{GRID} --seeds 3", 2, "--seeds would all give the same"),
    (f"{GRID} --rows columns", 2, "'columns' is not one of style-layers, "),
    (f"{GRID} --size 8", 1, "too small for the layers in use"),
    (f"{GRID[:-3]}webp --size 9999 --style-weight 1,2 --rows none", 1, "at most 16383 pixels"),
]


def test_bad_input_is_one_line_and_leaves_nothing(folder, refused):
    for arguments, status, said in BAD_ARGUMENTS:
        refused(f"sweep {arguments}", status, said)
