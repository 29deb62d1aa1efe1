"""--profile DIR: a trace of the run."""

import gzip
import json
from pathlib import Path

import pytest

from jaxstyle.__main__ import main

LAYERS = ["--style-layers", "relu1_1", "--content-layers", "relu1_1"]
QUICK = ["--size", "32", "--steps", "2", *LAYERS]


def run(*arguments):
    return main(["run", "content.png", "style.png", "-o", "out.png", *QUICK, *arguments])


def test_it_is_written_and_the_user_told_where(folder, capsys):
    assert run("--profile", "trace") == 0
    line, _ = capsys.readouterr().err.splitlines()
    path, _, advice = line.partition(": ")
    assert "perfetto" in advice
    with gzip.open(path) as file:
        events = json.load(file)["traceEvents"]
    assert any("solver_" in str(event) for event in events)
    assert Path("out.png").exists()


def test_a_directory_that_is_there_will_do(folder):
    Path("trace").mkdir()
    assert run("--profile", "trace", "--quiet") == 0
    assert list(Path("trace").glob("plugins/profile/*/*.trace.json.gz"))


@pytest.mark.parametrize(
    ("directory", "problem"),
    [
        ("style.png", "is a file, and --profile needs a directory"),
        ("no/trace", "there is no directory"),
        ("out.png", "same name as another output"),
    ],
)
def test_where_none_can_be_written_nothing_is_done(folder, capsys, directory, problem):
    before = sorted(p.name for p in folder.iterdir())
    assert run("--profile", directory) == 1
    printed = capsys.readouterr()
    assert problem in printed.err and printed.err.count("\n") == 1
    assert sorted(p.name for p in folder.iterdir()) == before
