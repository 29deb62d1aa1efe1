"""python -m jaxstyle run --upscale: a larger picture from the one that a run made."""

import json
from pathlib import Path

import numpy as np
import pytest

from jaxstyle import image as images
from jaxstyle.__main__ import main
from jaxstyle.image import Picture

QUICK = ["--size", "64", "--smallest-size", "32", "--steps", "4,3,2", "--seed", "7", "--quiet"]


@pytest.fixture
def small(folder):
    """The folder, with a small run's picture in it."""
    assert run("content.png", "style.png", "-o", "out.png", *QUICK) == 0
    return folder


def run(*arguments):
    return main(["run", *map(str, arguments)])


def recipe_of(path):
    return json.loads(images.read_description(path))["jaxstyle"]


def scales_of(path):
    """Width and steps of each scale, in the report of a run."""
    scales = json.loads(Path(path).read_text())["scales"]
    return [(scale["width"], scale["steps"]) for scale in scales]


def refused(capsys, status, *arguments):
    """What is said of wrong arguments, in a line."""
    capsys.readouterr()
    before = {path.name: path.read_bytes() for path in Path().iterdir()}
    assert run(*arguments) == status
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert {path.name: path.read_bytes() for path in Path().iterdir()} == before
    return err


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
    steps = ["--steps", "9,8,7,6,5"]
    assert run("content.png", "style.png", "-o", "out.png", *QUICK, *steps) == 0
    arguments = "--upscale", "out.png", "--size", "250", "-o", "big.tif", "--quiet"
    assert run(*arguments, "--report", "r.json") == 0  # the ladder: 62, 125, 250, from 31 left out
    assert scales_of("r.json") == [(125, 8), (250, 7)]
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
    assert run("--upscale", "out.png", "--size", "100", "--bits", "16", "--quiet") == 0
    (small / "elsewhere").mkdir()
    monkeypatch.chdir(small / "elsewhere")
    assert run("--from", "../out-large.png", "--quiet") == 0
    again = Path("../out-large-again.png").read_bytes()
    assert again == Path("../out-large.png").read_bytes()


def test_repeating_needs_the_picture_it_started_from(small, capsys):
    assert run("--upscale", "out.png", "--steps", "1", "--quiet") == 0
    Path("out.png").unlink()
    assert "out.png" in refused(capsys, 1, "--from", "out-large.png", "--quiet")


def test_a_larger_picture_can_be_gone_on_with_too(small):
    assert run("--upscale", "out.png", "--steps", "1", "--quiet") == 0
    assert run("--upscale", "out-large.png", "--steps", "1", "--quiet") == 0
    assert images.read("out-large-large.png").rgb.shape == (192, 256, 3)
    assert recipe_of("out-large-large.png")["settings"]["init"] == "out-large.png"


def test_a_preset_begins_afresh_but_starts_from_the_picture(small):
    arguments = "--preset", "gatys-2017", "--size", "128", "--steps", "1", "--quiet"
    assert run("--upscale", "out.png", *arguments) == 0
    settings = recipe_of("out-large.png")["settings"]
    assert (settings["preset"], settings["size_rule"]) == ("gatys-2017", "longest")
    assert settings["init"] == "out.png"


def test_several_styles_with_masks_and_the_alpha_of_the_photo(folder, picture):
    images.write("other.png", Picture(np.asarray(picture(5, 40, 40)), None))
    for name, height, width in (("wide.png", 48, 64), ("mask.png", 40, 40)):
        halves = np.zeros((height, width, 3), np.float32)
        halves[:, : width // 2] = 1
        images.write(name, Picture(halves))
    alpha = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (48, 1))
    images.write("content.png", Picture(np.asarray(picture(0, 48, 64)), alpha))
    masks = ["--content-mask", "wide.png", "--style-mask", "mask.png", "--style-mask", "mask.png"]
    styles = ["style.png", "other.png", "--style-blend", "0.3,0.7"]
    assert run("content.png", *styles, "-o", "out.png", *masks, *QUICK) == 0
    assert run("--upscale", "out.png", "--quiet") == 0
    assert recipe_of("out-large.png")["settings"]["style_blend"] == [0.3, 0.7]
    large = images.read("out-large.png")
    assert large.rgb.shape == (96, 128, 3)
    assert large.alpha is not None


def test_a_photo_that_stays_one(folder):
    assert main(["photo", "content.png", "style.png", "-o", "out.png", *QUICK]) == 0
    assert run("--upscale", "out.png", "--quiet", "--report", "r.json") == 0
    assert scales_of("r.json") == [(128, 2)]


def test_a_last_scale_that_is_there_twice_is_so_again(folder):
    photorealism = ["--photorealism-weight", "0,10", "--steps", "4,3,2,1"]
    assert run("content.png", "style.png", "-o", "out.png", *QUICK, *photorealism) == 0
    assert run("--upscale", "out.png", "--quiet", "--report", "r.json") == 0
    assert scales_of("r.json") == [(128, 2), (128, 1)]


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


@pytest.mark.parametrize(("arguments", "status", "said"), BAD_ARGUMENTS)
def test_bad_input_is_one_line_and_harms_nothing(small, capsys, arguments, status, said):
    assert said in refused(capsys, status, "--upscale", "out.png", *arguments)


def test_what_is_no_run_is_refused(folder, capsys):
    assert "none.png" in refused(capsys, 1, "--upscale", "none.png")
    assert "no jaxstyle settings" in refused(capsys, 1, "--upscale", "style.png")
    assert main(["texture", "style.png", "-o", "t.png", *QUICK]) == 0
    assert "'jaxstyle texture', and is no run's" in refused(capsys, 1, "--upscale", "t.png")


def test_a_photo_at_its_full_size_has_no_more(folder, capsys):
    small = ["--size", "32", "--smallest-size", "32", "--steps", "2", "--quiet", "--full-size"]
    assert main(["photo", "content.png", "style.png", "-o", "out.png", *small]) == 0
    assert "all pixels of its photo" in refused(capsys, 2, "--upscale", "out.png")


def test_a_plan_of_it_writes_nothing(small, capsys):
    before = sorted(path.name for path in small.iterdir())
    assert run("--upscale", "out.png", "--plan", "--json") == 0
    assert [scale["width"] for scale in json.loads(capsys.readouterr().out)["scales"]] == [128]
    assert sorted(path.name for path in small.iterdir()) == before
