"""python -m jaxstyle run --upscale: a larger picture from the one that a run made."""

import json
from pathlib import Path

import numpy as np
import pytest

from jaxstyle import images
from jaxstyle.__main__ import main
from jaxstyle.settings import resolve
from tests.cli.conftest import (
    ONE_SCALE,
    OUT,
    SHALLOW,
    TWO_SCALES,
    json_of,
    names_in,
    recipe_of,
    rgb_of,
    run,
    save,
)

QUICK = [*TWO_SCALES, "--steps", "4,3,2", "--seed", "7", "--quiet"]
TEXTURE = ["--size", "32", "--smallest-size", "32", "--steps", "0", "--style-layers", "relu1_1"]


def upscale(*arguments, picture="out.png"):
    return run("--upscale", picture, "--quiet", "--report", "r.json", *arguments)


@pytest.fixture(scope="module")
def made():
    """A place for the bytes of a small run's picture, which is made once."""
    return []


@pytest.fixture
def small(folder, made):
    """The folder, with a small run's picture in it."""
    if not made:
        assert run(*OUT, *QUICK) == 0
        made.append(Path("out.png").read_bytes())
    Path("out.png").write_bytes(made[0])
    return folder


def settings_of(path):
    return recipe_of(path)["settings"]


def scales():
    """Width and steps of each scale, in the report of the last run."""
    return [(scale["width"], scale["steps"]) for scale in json_of("r.json")["scales"]]


def test_twice_the_size_beside_the_picture_unless_told_otherwise(small):
    before = Path("out.png").read_bytes()
    assert upscale() == 0
    assert Path("out.png").read_bytes() == before
    assert rgb_of("out-large.png").shape == (96, 128, 3)
    assert scales() == [(128, 2)]
    settings = settings_of("out-large.png")
    assert (settings["init"], settings["seed"]) == ("out.png", 7)


def test_only_the_larger_scales_each_with_the_steps_of_its_place(small):
    assert run(*OUT, *QUICK, "--steps", "5,4,3,2,1") == 0
    larger = "--size", "250", "-o", "big.tif"
    assert upscale(*larger) == 0  # the ladder: 62, 125, 250, from 31 left out
    assert scales() == [(125, 4), (250, 3)]
    assert upscale(*larger, "--steps", "1") == 0
    assert scales() == [(125, 1), (250, 1)]
    assert upscale(*larger, "--steps", "1", "--smallest-size", "200") == 0
    assert scales() == [(250, 1)]


def test_it_starts_from_the_picture_which_no_step_leaves_as_it_is(small, refused):
    assert upscale("--steps", "0") == 0
    large = images.resize(rgb_of("out.png"), 96, 128)
    np.testing.assert_allclose(rgb_of("out-large.png"), large, atol=0.503 / 255)
    Path("out.png").unlink()
    refused("run --from out-large.png --quiet", 1, "out.png")


def test_noise_over_the_start_is_not_repeated(small):
    assert run(*OUT, *QUICK, "--init-noise", "0.5") == 0
    for flags, noise in (([], 0), (["--init-noise", "0.1"], 0.1)):
        assert upscale("--steps", "0", *flags, "-o", "large.png") == 0
        assert settings_of("large.png")["init_noise"] == noise


def test_from_repeats_it_byte_for_byte_from_anywhere(small, monkeypatch):
    assert upscale("--bits", "16") == 0
    (small / "elsewhere").mkdir()
    monkeypatch.chdir(small / "elsewhere")
    assert run("--from", "../out-large.png", "--quiet") == 0
    again = Path("../out-large-again.png").read_bytes()
    assert again == Path("../out-large.png").read_bytes()


def test_a_larger_picture_can_be_gone_on_with_too(small):
    assert upscale("--size", "125", "--steps", "1") == 0
    assert upscale("--steps", "1", picture="out-large.png") == 0
    assert rgb_of("out-large-large.png").shape == (188, 250, 3)
    assert settings_of("out-large-large.png")["init"] == "out-large.png"


def test_a_preset_begins_afresh_but_starts_from_the_picture(small):
    assert upscale("--preset", "gatys-2017", "--size", "128", "--steps", "1", *SHALLOW) == 0
    settings = settings_of("out-large.png")
    assert (settings["preset"], settings["size_rule"]) == ("gatys-2017", "longest")
    assert settings["optimizer"] == resolve("gatys-2017").optimizer != resolve().optimizer
    assert settings["init"] == "out.png"


def test_several_styles_with_masks_and_the_alpha_of_the_photo(folder, picture):
    save("other.png", picture(5, 40, 40))
    for name, height, width in (("wide.png", 48, 64), ("mask.png", 40, 40)):
        halves = np.zeros((height, width, 3), np.float32)
        halves[:, : width // 2] = 1
        save(name, halves)
    alpha = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (48, 1))
    save("content.png", picture(0, 48, 64), alpha)
    masks = ["--content-mask", "wide.png", "--style-mask", "mask.png", "--style-mask", "mask.png"]
    styles = ["style.png", "other.png", "--style-blend", "0.3,0.7"]
    assert run("content.png", *styles, "-o", "out.png", *masks, *ONE_SCALE) == 0
    assert upscale() == 0
    assert settings_of("out-large.png")["style_blend"] == [0.3, 0.7]
    large = images.read("out-large.png")
    assert large.rgb.shape == (48, 64, 3)
    np.testing.assert_allclose(large.alpha, alpha, atol=0.01)


@pytest.mark.slow
def test_a_photo_that_stays_one(folder):
    assert main(["photo", *OUT, *ONE_SCALE]) == 0
    assert upscale() == 0
    assert scales() == [(64, 2)]
    assert "photorealism" in json_of("r.json")["losses"][-1]["terms"]


def test_a_last_scale_that_is_there_twice_is_so_again(folder):
    photorealism = ["--photorealism-weight", "0,10", "--steps", "4,3,2,1"]
    assert run(*OUT, *ONE_SCALE, *photorealism) == 0
    assert upscale() == 0
    assert scales() == [(64, 3), (64, 2)]


BAD_ARGUMENTS = [
    ("out.png --size 64", 2, "--size 64 is not larger than out.png, of 64x48"),
    ("out.png --size 99999", 2, "--size must be"),
    ("out.png -o out.png", 1, "out.png: is read by this run"),
    ("out.png content.png", 2, "takes no CONTENT"),
    ("out.png --from out.png", 2, "give one of them"),
    ("out.png --init style.png", 2, "it takes no --init"),
    ("out.png --size-rule area", 2, "it takes no --size-rule"),
    ("out.png -o no/large.png", 1, "there is no directory"),
    ("none.png", 1, "none.png"),
    ("style.png", 1, "no jaxstyle settings"),
    ("texture.png", 1, "'jaxstyle texture': 'jaxstyle texture --from' repeats it"),
    ("photo.png", 2, "all pixels of its photo"),
]


def test_bad_input_is_one_line_and_harms_nothing(small, refused):
    assert main(["texture", "style.png", "-o", "texture.png", *TEXTURE]) == 0
    photo = ["photo", "content.png", "style.png", "-o", "photo.png", "--full-size"]
    assert main([*photo, *ONE_SCALE, "--quiet"]) == 0
    for arguments, status, said in BAD_ARGUMENTS:
        refused(f"run --upscale {arguments}", status, said)


def test_a_plan_of_it_writes_nothing(small, capsys):
    before = names_in()
    assert run("--upscale", "out.png", "--plan", "--json") == 0
    assert [scale["width"] for scale in json.loads(capsys.readouterr().out)["scales"]] == [128]
    assert names_in() == before
