"""--tile and --shard on the command line: what works, and what is refused."""

import numpy as np
import pytest
from PIL import Image

from jaxstyle.__main__ import main
from tests.cli.conftest import OUT, json_of, recipe_of, rgb_of, run, save

SHALLOW = ["--content-layers", "relu2_1", "--style-layers", "relu1_1,relu2_1"]
REPORT = ["--report", "r.json", "--quiet"]


def ways_in():
    return [scale["strategy"] for scale in json_of("r.json")["scales"]]


def test_a_run_in_tiles_is_a_run_and_says_so(folder):
    sides = "--size", 96, "--smallest-size", 48, "--steps", "2,1"
    assert run(*OUT, *sides, "--tile", 64, *SHALLOW, *REPORT) == 0
    assert ways_in() == ["whole", "tiles of 64"]
    assert recipe_of("out.png")["settings"]["tile"] == "64"
    assert run("--from", "out.png", "-o", "off.png", "--tile", "off", *REPORT) == 0
    assert ways_in() == ["whole", "whole"]
    assert np.mean(np.abs(rgb_of("off.png") - rgb_of("out.png"))) < 1e-3


@pytest.mark.slow
def test_a_texture_in_tiles_wraps_around(folder):
    flags = ["--shape", "96x80", "--periodic", "--smallest-size", "96", "--steps", "3", *REPORT]
    made = []
    for tile, way in (("64", "tiles of 64"), ("off", "whole")):
        command = ["texture", "style.png", "-o", "out.png", "--tile", tile, *flags]
        assert main([*command, "--style-layers", "relu1_1,relu2_1"]) == 0
        assert ways_in() == [way]
        made.append(rgb_of("out.png"))
    assert made[0].shape == (80, 96, 3)
    assert np.mean(np.abs(made[0] - made[1])) < 1e-3


def test_a_ribbon_is_worked_on_in_tiles(folder, picture):
    """One row of tiles, each with more around it than in it."""
    save("content.png", picture(0, 20, 300))
    sides = ["--size", "300", "--smallest-size", "300", "--steps", "1"]
    assert run(*OUT, "--tile", "64", *sides, *SHALLOW, *REPORT) == 0
    assert ways_in() == ["tiles of 64"]
    assert rgb_of("out.png").shape == (20, 300, 3)


LONG, THIN = "long.png style.png -o out.png", "thin.png style.png -o out.png"
RUN = " ".join(OUT)
BAD_ARGUMENTS = [
    (f"{RUN} --tile 63", 2, "must be auto, off, or from 64 to 32768 pixels, not '63'"),
    (f"{RUN} --tile 70", 2, "--tile must be a multiple of 16 for these layers, not 70"),
    (f"{RUN} --tile 75 {' '.join(SHALLOW)}", 2, "must be a multiple of 2 for these layers, not 75"),
    (f"{RUN} --tile {'x' * 1000}", 2, "..."),
    (f"{RUN} --tile=", 2, "--tile must be auto, off, or from 64"),
    (f"{RUN} --tile huge", 2, "must be auto, off, or from 64 to 32768 pixels, not 'huge'"),
    (f"{RUN} --tile 64 --optimizer lbfgs-zoom", 2, "--tile does not go with lbfgs-zoom"),
    (f"{RUN} --shard space --tile 64", 2, "--shard space does not go with tiles"),
    (f"{RUN} --shard space", 2, "--shard space needs several devices, and JAX finds one"),
    (f"{RUN} --shard time", 2, "--shard"),
    (f"{LONG} --tile 64 --size 512", 1, "the result would be 512x1 pixels, too small for the"),
    (f"{THIN} --tile 64", 1, "the content picture is 20000x1 pixels, too small"),
]


def test_bad_input_is_one_line_and_harms_nothing(folder, refused):
    Image.new("RGB", (20000, 20)).save("long.png")
    Image.new("RGB", (20000, 1)).save("thin.png")
    for arguments, status, said in BAD_ARGUMENTS:
        assert len(refused(f"run {arguments}", status, said)) < 300
