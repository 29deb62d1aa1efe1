"""--tile and --shard on the command line: what works, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxstyle import images
from jaxstyle.__main__ import main
from tests.cli.conftest import save

SHALLOW = ["--content-layers", "relu2_1", "--style-layers", "relu1_1,relu2_1"]
OUT = ["content.png", "style.png", "-o", "out.png"]
QUICK = ["--smallest-size", "48", "--steps", "2,1", "--quiet"]


def ways_in(report):
    return [scale["way"] for scale in json.loads(Path(report).read_text())["scales"]]


def run(*arguments):
    return main(["run", *OUT, *map(str, arguments)])


def test_a_run_in_tiles_is_a_run_and_says_so(folder):
    assert run("--size", 96, "--tile", 64, "--report", "r.json", *QUICK, *SHALLOW) == 0
    assert ways_in("r.json") == ["whole", "tiles of 64"]
    assert json.loads(images.read_description("out.png"))["jaxstyle"]["settings"]["tile"] == "64"
    tiled = images.read("out.png").rgb
    off = ["--tile", "off", "--report", "off.json"]
    assert main(["run", "--from", "out.png", "-o", "off.png", *off, "--quiet"]) == 0
    assert ways_in("off.json") == ["whole", "whole"]
    assert np.mean(np.abs(images.read("off.png").rgb - tiled)) < 1e-3


@pytest.mark.slow
def test_a_texture_in_tiles_wraps_around(folder):
    flags = ["--shape", "96x80", "--periodic", "--report", "r.json", "--smallest-size", "96"]
    layers = ["--style-layers", "relu1_1,relu2_1"]
    for name, tile in (("tiled", "64"), ("whole", "off")):
        arguments = ["style.png", "-o", f"{name}.png", "--tile", tile, "--steps", "3", "--quiet"]
        assert main(["texture", *arguments, *flags, *layers]) == 0
        assert ways_in("r.json") == ["tiles of 64" if name == "tiled" else "whole"]
    tiled, whole = (images.read(f"{name}.png").rgb for name in ("tiled", "whole"))
    assert tiled.shape == (80, 96, 3)
    assert np.mean(np.abs(tiled - whole)) < 1e-3


BAD_ARGUMENTS = [
    (["--tile", "63"], 2, "--tile must be auto, off, or from 64 to 32768 pixels, not '63'"),
    (["--tile", "70"], 2, "--tile must be a multiple of 16 for these layers, not 70"),
    (["--tile", "75", *SHALLOW], 2, "--tile must be a multiple of 2 for these layers, not 75"),
    (["--tile", "huge"], 2, "--tile must be auto, off, or from 64 to 32768 pixels, not 'huge'"),
    (["--tile", "x" * 1000], 2, "..."),
    (["--tile", ""], 2, "--tile must be auto, off, or from 64"),
    (["--tile", "64", "--optimizer", "lbfgs-zoom"], 2, "--tile does not go with lbfgs-zoom"),
    (["--shard", "space"], 2, "--shard space needs several devices, and JAX finds one"),
    (["--shard", "space", "--tile", "64"], 2, "--shard space does not go with tiles"),
    (["--shard", "time"], 2, "--shard"),
]


def test_bad_input_is_one_line_and_harms_nothing(folder, refused):
    for arguments, status, said in BAD_ARGUMENTS:
        assert len(refused(["run", *OUT, *arguments], status, said)) < 300


def test_what_is_too_thin_at_any_size_is_refused_in_one_line(folder, refused):
    """A thousand times as long as it is high, or a line of pixels."""
    Image.new("RGB", (20000, 20)).save("content.png")
    said = "the result would be 512x1 pixels, too small for the layers in use"
    refused(["run", *OUT, "--tile", "64", "--size", "512"], 1, said)
    Image.new("RGB", (20000, 1)).save("content.png")
    said = "the content picture is 20000x1 pixels, too small"
    refused(["run", *OUT, "--tile", "64"], 1, said)


def test_a_ribbon_is_worked_on_in_tiles(folder, picture):
    """One row of tiles, each with more around it than in it."""
    save("content.png", picture(0, 20, 300))
    sides = ["--size", "300", "--smallest-size", "300", "--steps", "1", "--quiet"]
    assert run("--tile", "64", "--report", "r.json", *sides, *SHALLOW) == 0
    assert ways_in("r.json") == ["tiles of 64"]
    assert images.read("out.png").rgb.shape == (20, 300, 3)
