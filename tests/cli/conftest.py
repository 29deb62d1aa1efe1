"""Where commands are tried, and how they are refused."""

import os
from pathlib import Path

import numpy as np
import pytest

from jaxstyle import images
from jaxstyle.__main__ import main
from jaxstyle.images import Picture
from jaxstyle.network import weights

SHALLOW = ["--content-layers", "relu1_1", "--style-layers", "relu1_1"]
ONE_SCALE = ["--size", "32", "--smallest-size", "32", "--steps", "2", *SHALLOW]
TWO_SCALES = ["--size", "64", "--smallest-size", "32", "--steps", "3,2", *SHALLOW]
"""Runs of a second or two. Most tests share these: what one of them compiles, all can use."""


def save(path, values, alpha=None):
    """Write an array as a picture."""
    images.write(path, Picture(np.asarray(values, np.float32), alpha))


def files_in(folder):
    """Return what is in a folder, by path: the bytes of files, False for folders."""
    return {path: path.is_file() and path.read_bytes() for path in Path(folder).rglob("*")}


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
        capsys.readouterr()
        before, case = files_in("."), " ".join(map(str, arguments))[:200]
        try:
            found = main([str(argument) for argument in arguments])
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
