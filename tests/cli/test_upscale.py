"""python -m jaxstyle run --upscale: a larger picture from the one that a run made."""

import json
from pathlib import Path

import numpy as np
import pytest

from jaxstyle import images
from jaxstyle.__main__ import main
from jaxstyle.settings import resolve
from tests.cli.conftest import ONE_SCALE, SHALLOW, TWO_SCALES, save

QUICK = [*TWO_SCALES, "--steps", "4,3,2", "--seed", "7", "--quiet"]
TEXTURE = ["--size", "32", "--smallest-size", "32", "--steps", "0", "--style-layers", "relu1_1"]


@pytest.fixture(scope="module")
def made():
    """A place for the bytes of a small run's picture, which is made once."""
    return []


@pytest.fixture
def small(folder, made):
    """The folder, with a small run's picture in it."""
    if not made:
        assert run("content.png", "style.png", "-o", "out.png", *QUICK) == 0
        made.append(Path("out.png").read_bytes())
    Path("out.png").write_bytes(made[0])
    return folder


def run(*arguments):
    return main(["run", *map(str, arguments)])


def recipe_of(path):
    return json.loads(images.read_description(path))["jaxstyle"]


def scales_of(path):
    """Width and steps of each scale, in the report of a run."""
    scales = json.loads(Path(path).read_text())["scales"]
    return [(scale["width"], scale["steps"]) for scale in scales]


def test_twice_the_size_beside_the_picture_unless_told_otherwise(small):
    before = Path("out.png").read_bytes()
    assert run("--upscale", "out.png", "--quiet", "--report", "r.json") == 0
    assert Path("out.png").read_bytes() == before
    assert images.read("out-large.png").rgb.shape == (96, 128, 3)
    assert scales_of("r.json") == [(128, 2)]
    settings = recipe_of("out-large.png")["settings"]
    assert settings["init"] == "out.png"
    assert settings["seed"] == 7


def test_only_the_larger_scales_each_with_the_steps_of_its_place(small):
    steps = ["--steps", "5,4,3,2,1"]
    assert run("content.png", "style.png", "-o", "out.png", *QUICK, *steps) == 0
    arguments = "--upscale", "out.png", "--size", "250", "-o", "big.tif", "--quiet"
    assert run(*arguments, "--report", "r.json") == 0  # the ladder: 62, 125, 250, from 31 left out
    assert scales_of("r.json") == [(125, 4), (250, 3)]
    assert run(*arguments, "--report", "r.json", "--steps", "1") == 0
    assert scales_of("r.json") == [(125, 1), (250, 1)]
    assert run(*arguments, "--report", "r.json", "--smallest-size", "200", "--steps", "1") == 0
    assert scales_of("r.json") == [(250, 1)]


def test_it_starts_from_the_picture_and_no_step_leaves_it_as_it_is(small):
    assert run("--upscale", "out.png", "--steps", "0", "--quiet") == 0
    large = images.resize(images.read("out.png").rgb, 96, 128)
    np.testing.assert_allclose(images.read("out-large.png").rgb, large, atol=0.503 / 255)


def test_noise_over_the_start_is_not_repeated(small):
    assert run("content.png", "style.png", "-o", "out.png", *QUICK, "--init-noise", "0.5") == 0
    assert run("--upscale", "out.png", "--steps", "0", "--quiet") == 0
    assert recipe_of("out-large.png")["settings"]["init_noise"] == 0
    assert run("--upscale", "out.png", "--steps", "0", "--init-noise", "0.1", "--quiet") == 0
    assert recipe_of("out-large.png")["settings"]["init_noise"] == 0.1


def test_from_repeats_it_byte_for_byte_from_anywhere(small, monkeypatch):
    assert run("--upscale", "out.png", "--bits", "16", "--quiet") == 0
    (small / "elsewhere").mkdir()
    monkeypatch.chdir(small / "elsewhere")
    assert run("--from", "../out-large.png", "--quiet") == 0
    again = Path("../out-large-again.png").read_bytes()
    assert again == Path("../out-large.png").read_bytes()


def test_repeating_needs_the_picture_it_started_from(small, refused):
    assert run("--upscale", "out.png", "--steps", "0", "--quiet") == 0
    Path("out.png").unlink()
    refused(["run", "--from", "out-large.png", "--quiet"], 1, "out.png")


def test_a_larger_picture_can_be_gone_on_with_too(small):
    assert run("--upscale", "out.png", "--size", "125", "--steps", "1", "--quiet") == 0
    assert run("--upscale", "out-large.png", "--steps", "1", "--quiet") == 0
    assert images.read("out-large-large.png").rgb.shape == (188, 250, 3)
    assert recipe_of("out-large-large.png")["settings"]["init"] == "out-large.png"


def test_a_preset_begins_afresh_but_starts_from_the_picture(small):
    arguments = "--preset", "gatys-2017", "--size", "128", "--steps", "1", "--quiet"
    assert run("--upscale", "out.png", *arguments, *SHALLOW) == 0
    settings = recipe_of("out-large.png")["settings"]
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
    assert run("--upscale", "out.png", "--quiet") == 0
    assert recipe_of("out-large.png")["settings"]["style_blend"] == [0.3, 0.7]
    large = images.read("out-large.png")
    assert large.rgb.shape == (48, 64, 3)
    np.testing.assert_allclose(large.alpha, alpha, atol=0.01)


@pytest.mark.slow
def test_a_photo_that_stays_one(folder):
    assert main(["photo", "content.png", "style.png", "-o", "out.png", *ONE_SCALE]) == 0
    assert run("--upscale", "out.png", "--quiet", "--report", "r.json") == 0
    assert scales_of("r.json") == [(64, 2)]
    terms = json.loads(Path("r.json").read_text())["losses"][-1]["terms"]
    assert "photorealism" in terms


def test_a_last_scale_that_is_there_twice_is_so_again(folder):
    photorealism = ["--photorealism-weight", "0,10", "--steps", "4,3,2,1"]
    assert run("content.png", "style.png", "-o", "out.png", *ONE_SCALE, *photorealism) == 0
    assert run("--upscale", "out.png", "--quiet", "--report", "r.json") == 0
    assert scales_of("r.json") == [(64, 3), (64, 2)]


BAD_ARGUMENTS = [
    (["--size", "64"], 2, "--size 64 is not larger than out.png, of 64x48"),
    (["--size", "20"], 2, "--size 20 is not larger"),
    (["--size", "99999"], 2, "--size must be"),
    (["-o", "out.png"], 1, "out.png: is read by this run"),
    (["content.png"], 2, "takes no CONTENT"),
    (["--from", "out.png"], 2, "give one of them"),
    (["--init", "style.png"], 2, "it takes no --init"),
    (["--size-rule", "area"], 2, "it takes no --size-rule"),
    (["--steps", "-1"], 2, "--steps"),
    (["-o", "no/large.png"], 1, "there is no directory"),
]


def test_bad_input_is_one_line_and_harms_nothing(small, refused):
    for arguments, status, said in BAD_ARGUMENTS:
        refused(["run", "--upscale", "out.png", *arguments], status, said)


def test_what_is_no_run_is_refused(folder, refused):
    assert main(["texture", "style.png", "-o", "t.png", *TEXTURE]) == 0
    for name, said in (
        ("none.png", "none.png"),
        ("style.png", "no jaxstyle settings"),
        ("t.png", "'jaxstyle texture', which cannot be repeated"),
    ):
        refused(["run", "--upscale", name], 1, said)


def test_a_photo_at_its_full_size_has_no_more(folder, refused):
    full_size = [*ONE_SCALE, "--quiet", "--full-size"]
    assert main(["photo", "content.png", "style.png", "-o", "out.png", *full_size]) == 0
    refused(["run", "--upscale", "out.png"], 2, "all pixels of its photo")


def test_a_plan_of_it_writes_nothing(small, capsys):
    before = sorted(path.name for path in small.iterdir())
    assert run("--upscale", "out.png", "--plan", "--json") == 0
    assert [scale["width"] for scale in json.loads(capsys.readouterr().out)["scales"]] == [128]
    assert sorted(path.name for path in small.iterdir()) == before
