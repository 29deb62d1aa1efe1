"""Tests of examples/duel.py: nothing on a sheet or in it tells which folder is where."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SCRIPT = Path(__file__).parents[2] / "examples" / "duel.py"
NAMES = ["cat__oil.png", "cat__wood.png", "cup__oil.png", "cup__wood.png"]


@pytest.fixture(scope="module")
def duel():
    spec = importlib.util.spec_from_file_location("duel", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def folders(tmp_path):
    """Red pictures in one folder and smaller blue ones in the other."""
    for folder, color, size in (("red", (255, 0, 0), (40, 20)), ("blue", (0, 0, 255), (20, 10))):
        (tmp_path / folder).mkdir()
        for name in NAMES:
            Image.new("RGB", size, color).save(tmp_path / folder / name)
    return [str(tmp_path / "red"), str(tmp_path / "blue")]


def made(duel, folders, tmp_path, seed="0"):
    key, sheets = tmp_path / "key.json", tmp_path / "sheets"
    duel.main([*folders, "-o", str(sheets), "--key", str(key), "--height", "30", "--seed", seed])
    return sheets, key


def test_the_key_says_which_folder_is_on_which_side(duel, folders, tmp_path):
    sheets, key = made(duel, folders, tmp_path)
    rows = json.loads(key.read_text())
    assert [row["name"] for row in rows.values()] == NAMES
    assert sorted(path.name for path in sheets.iterdir()) == [f"0{n}.png" for n in range(1, 5)]
    for number, row in rows.items():
        with Image.open(sheets / f"{number}.png") as sheet:
            assert not sheet.info
            pixels = np.asarray(sheet)
        middle = pixels[duel.GAP + 15]
        left, right = middle[duel.GAP + 30], middle[-duel.GAP - 30]  # both are 60 pixels wide
        by_folder = {row["left"]: left.tolist(), row["right"]: right.tolist()}
        assert by_folder == dict(zip(folders, ([255, 0, 0], [0, 0, 255]), strict=True))


def test_sides_are_random_and_even(duel):
    names = [f"{n}.png" for n in range(20)]
    sides = [
        [row["left"] for row in duel.shuffled(names, ["A", "B"], seed).values()]
        for seed in (0, 0, 1)
    ]
    assert sides[0] == sides[1] != sides[2]
    assert all(left.count("A") == 10 for left in sides)


def test_answers_of_all_judges_are_counted(duel, folders, tmp_path, capsys):
    _, key = made(duel, folders, tmp_path)
    for_red = {
        number: "left" if row["left"] == folders[0] else "right"
        for number, row in json.loads(key.read_text()).items()
    }
    answers = [for_red, for_red | {"02": "tie"}]
    paths = [tmp_path / "one.json", tmp_path / "other.json"]
    for path, given in zip(paths, answers, strict=True):
        path.write_text(json.dumps(given))
    duel.main(["--key", str(key), "--count", *map(str, paths)])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [["7", folders[0]], ["0", folders[1]], ["1", "ties"]]


@pytest.mark.parametrize("answers", [{"05": "left"}, {"01": "middle"}])
def test_an_answer_that_is_none_is_refused(duel, answers):
    key = {"01": {"name": NAMES[0], "left": "A", "right": "B"}}
    with pytest.raises(SystemExit, match="not an answer"):
        duel.count(key, [answers])


def test_what_would_spoil_the_judging_is_refused(duel, folders, tmp_path, capsys):
    sheets = tmp_path / "sheets"
    with pytest.raises(SystemExit):
        duel.main([*folders, "-o", str(sheets), "--key", str(sheets / "key.json")])
    assert "judges must not see it" in capsys.readouterr().err
    (tmp_path / "red" / NAMES[0]).unlink()
    with pytest.raises(SystemExit):
        made(duel, folders, tmp_path)
    assert NAMES[0] in capsys.readouterr().err
    assert not sheets.exists()
