"""Where commands are tried, and how they are refused."""

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from jaxstyle import images
from jaxstyle.__main__ import main
from jaxstyle.images import Picture
from jaxstyle.network import weights
from jaxstyle.runs import checkpoint

PAIR = ["content.png", "style.png"]
OUT = [*PAIR, "-o", "out.png"]
KEPT = Path("out.png.checkpoint")
SHALLOW = ["--content-layers", "relu1_1", "--style-layers", "relu1_1"]
ONE_SCALE = ["--size", "32", "--smallest-size", "32", "--steps", "2", *SHALLOW]
TWO_SCALES = ["--size", "64", "--smallest-size", "32", "--steps", "3,2", *SHALLOW]
"""Runs of a second or two. Most tests share these: what one of them compiles, all can use."""

SIGNALS = pytest.mark.parametrize(
    ("number", "status", "word"),
    [(signal.SIGTERM, 143, "terminated"), (signal.SIGINT, 130, "interrupted")],
    ids=["SIGTERM", "SIGINT"],
)
"""The signals that end a command, each with its exit status and what is said."""


def run(*arguments):
    """Return the exit status of ``jaxstyle run``, in this process."""
    return main(["run", *map(str, arguments)])


def save(path, values, alpha=None):
    """Write an array as a picture."""
    images.write(path, Picture(np.asarray(values, np.float32), alpha))


def rgb_of(path):
    """Return the colors of a picture, as (height, width, 3)."""
    return images.read(path).rgb


def recipe_of(path):
    """Return what a picture says about how it was made."""
    return json.loads(images.read_description(path))["jaxstyle"]


def json_of(path):
    """Return what is in a JSON file."""
    return json.loads(Path(path).read_text())


def names_in(folder="."):
    """Return the names in a folder, in order."""
    return sorted(os.listdir(folder))


def files_in(folder):
    """Return what is in a folder, by path: the bytes of files, False for folders."""
    return {path: path.is_file() and path.read_bytes() for path in Path(folder).rglob("*")}


def newest_checkpoint():
    """Return the time of the checkpoint in nanoseconds, or 0."""
    try:
        return (KEPT / checkpoint.FILE).stat().st_mtime_ns
    except FileNotFoundError:
        return 0


@pytest.fixture
def folder(tmp_path, picture, small_weights, monkeypatch):
    """A current folder with two pictures in it; the default network is one of few channels."""
    find, load = weights.find, weights.load

    def find_named(path=None, tell=print):
        return find(path, tell) if path or os.environ.get(weights.ENVIRONMENT) else None

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(weights.ENVIRONMENT, raising=False)
    monkeypatch.setattr(weights, "find", find_named)
    monkeypatch.setattr(weights, "load", lambda path: load(path) if path else small_weights)
    save("content.png", picture(0, 48, 64))
    save("style.png", picture(1, 40, 40))
    return tmp_path


@pytest.fixture
def refused(capsys, tmp_path, monkeypatch):
    """A function that checks that a command fails as it should: in one line, harming nothing."""

    monkeypatch.chdir(tmp_path)

    def check(arguments, status, said):
        """Try a list of arguments, or a line of them."""
        capsys.readouterr()
        arguments = arguments.split() if isinstance(arguments, str) else arguments
        before, case = files_in("."), " ".join(arguments)[:200]
        try:
            found = main(arguments)
        except SystemExit as stop:  # argparse's own
            found = stop.code
        out, err = capsys.readouterr()
        assert found == status, f"{case}: status {found}, not {status}: {err}"
        assert said in err, f"{case}: {err!r} does not say {said!r}"
        assert (out, err.count("\n")) == ("", 1), f"{case}: printed {out!r} and {err!r}"
        assert len(err) < 400, f"{case}: {err!r} is long"
        assert files_in(".") == before, f"{case}: files were changed"
        return err

    return check
