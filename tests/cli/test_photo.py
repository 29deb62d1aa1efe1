"""python -m jaxstyle photo: the command as its user meets it, with a network of few channels."""

import json
from pathlib import Path

import numpy as np
import pytest

from jaxstyle.__main__ import main
from tests.cli.conftest import ONE_SCALE, OUT, PAIR, SHALLOW, json_of, rgb_of, run, save

QUICK = [*ONE_SCALE, "--quiet"]
MASKS = ["--content-mask", "content-colors.png", "--style-mask", "style-colors.png"]


def photo(*arguments):
    return main(["photo", *OUT, *arguments])


@pytest.fixture
def masks(folder):
    """Save a segmentation in two colors of each picture, and one gray mask of each."""
    for name, height, width in (("content", 48, 64), ("style", 40, 40)):
        left = np.zeros((height, width, 3), np.float32)
        left[:, : width // 2] = (0, 0, 1)
        left[:, width // 2 :] = (0, 1, 0)
        save(f"{name}-colors.png", left)
        save(f"{name}-gray.png", np.repeat(left[..., 2:], 3, axis=2))


def terms_of(path):
    return json_of(path)["losses"][-1]["terms"]


def test_a_photo_with_masks_and_a_fine_style_without(folder, masks):
    assert photo(*QUICK, *MASKS, "--report", "r.json", "--show-masks", "masks.png") == 0
    made = rgb_of("out.png")
    assert made.shape == (24, 32, 3)
    assert {"style/relu1_1/blue", "style/relu1_1/green", "photorealism"} < set(terms_of("r.json"))
    assert rgb_of("masks.png").shape[1] > 100
    save("fine.png", np.random.default_rng(0).random((40, 40, 3)))
    assert photo(*QUICK, *MASKS, "--fine-style", "fine.png") == 0
    assert np.abs(rgb_of("out.png") - made).max() > 0.01


def test_full_size_is_made_again_by_its_map_and_its_recipe(folder, masks):
    extra = ["--affine-map", "map.npz", "--full-size", "--report", "r.json"]
    assert photo(*QUICK, *MASKS, *extra) == 0
    large, report = rgb_of("out.png"), json_of("r.json")
    assert large.shape == (48, 64, 3)
    assert report["picture"] == {"height": 48, "width": 64}
    assert report["scales"][-1]["width"] == 32
    apply = ["photo", "content.png", "--apply-map", "map.npz", "-o", "again.png", "--quiet"]
    assert main(apply) == 0
    np.testing.assert_array_equal(rgb_of("again.png"), large)
    assert run("--from", "out.png", "--quiet") == 0
    np.testing.assert_array_equal(rgb_of("out-again.png"), large)


def test_baselines_need_no_network(folder, masks, monkeypatch):
    def made(*arguments):
        assert photo(*arguments, "--quiet") == 0
        return rgb_of("out.png")

    monkeypatch.delattr("jaxstyle.network.weights.find")
    histogram, color = made("--method", "histogram"), made("--method", "color")
    by_region = made("--method", "color", *MASKS)
    style = rgb_of("style.png")
    for picture in (histogram, color):
        assert picture.shape == (48, 64, 3)
        np.testing.assert_allclose(picture.mean((0, 1)), style.mean((0, 1)), atol=0.02)
    assert np.abs(color - by_region).max() > 0.01
    for each, half in ((by_region[:, :30], style[:, :20]), (by_region[:, 34:], style[:, 20:])):
        np.testing.assert_allclose(each.mean((0, 1)), half.mean((0, 1)), atol=0.06)


def test_a_run_takes_masks_and_is_repeated_with_them_where_they_have_moved_to(folder, masks):
    assert run(*OUT, *QUICK, *MASKS, "--report", "r.json") == 0
    assert "style/relu1_1/green" in terms_of("r.json")
    (folder / "there").mkdir()
    for each in folder.glob("*.png"):
        each.rename(folder / "there" / each.name)
    assert run("--from", "there/out.png", "--quiet") == 0
    np.testing.assert_array_equal(rgb_of("there/out-again.png"), rgb_of("there/out.png"))


def test_masks_in_a_sweep_and_in_a_batch(folder, masks):
    sweep = ["sweep", *PAIR, "-o", "grid.png", "--style-weight", "1,5"]
    assert main([*sweep, *QUICK, *MASKS]) == 0
    batch = ["batch", "--contents", "content.png", "--styles", "style.png", "-o", "o", "--json"]
    assert main([*batch, *ONE_SCALE, *MASKS]) == 0
    assert rgb_of("o/content__style.png").shape == (24, 32, 3)


def test_a_score_has_the_energy_and_every_region(folder, masks, capsys):
    arguments = ["content.png", "--content", "content.png", "--style", "style.png", "--json"]
    assert main(["score", *arguments, "--preset", "deep-photo", *SHALLOW, *MASKS]) == 0
    terms = json.loads(capsys.readouterr().out)["terms"]
    assert terms["photorealism"] == pytest.approx(0, abs=1e4 * 1e-3)
    assert terms["style/relu1_1/blue"] > 0 and "style/relu1_1/green" in terms


def test_a_plan_counts_the_regions_and_needs_no_output(folder, masks, capsys):
    def planned(*command):
        assert main([*command, *ONE_SCALE, "--plan", "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    assert planned("photo", *PAIR, *MASKS)["compilations"] == 1
    sweep = ["sweep", *PAIR, "--style-weight", "1,5"]
    plain, masked = (planned(*sweep, *more)["cell"]["peak_bytes"] for more in ([], MASKS))
    assert plain < masked


FULL = f"photo {' '.join(OUT)}"
RUN = f"{FULL} {' '.join(QUICK)}"
APPLY = "photo content.png -o o.png --apply-map"
SEGMENTED = " ".join(MASKS)
BAD_ARGUMENTS = [
    ("photo content.png style.png", 2, "-o OUT.png"),
    ("photo content.png -o out.png", 2, "STYLE"),
    (f"{FULL} --show-masks m.png", 2, "needs masks"),
    (f"{FULL} --full-size --smooth-radius 0", 2, "--smooth-radius"),
    (f"{FULL} --full-size --refine", 2, "--refine"),
    (f"{FULL} --method color --full-size", 2, "--method transfer"),
    (f"{FULL} --method color --report r.json", 2, "--method transfer"),
    (f"{FULL} --method histogram {SEGMENTED}", 2, "no masks"),
    (f"{FULL} --auto-masks 2 --content-mask content-gray.png", 2, "leave one out"),
    (f"{FULL} --style-mask style-gray.png", 2, "--content-mask"),
    (f"{FULL} --auto-masks 99", 2, "at most 16"),
    (f"{FULL} --photorealism-weight -1", 2, "at least 0"),
    (f"{FULL} --guidance none", 2, "is not one of"),
    (f"{FULL} --padding circular", 2, "circular"),
    # Flags that would do nothing:
    (f"{APPLY} m.npz --size 50", 2, "--size"),
    (f"{APPLY} m.npz --affine-map n.npz", 2, "--affine-map"),
    (f"{FULL} --method color --steps 3", 2, "--steps"),
    (f"{FULL} --affine-map m.npz --original-colors", 2, "--original-colors"),
    # Masks that are wrong:
    (f"{RUN} --content-mask square.png --style-mask style-gray.png", 1, "square.png"),
    (f"{RUN} --content-mask nowhere.png", 1, "nowhere.png"),
    (f"{RUN} --content-mask no.png", 1, "no.png"),
    (f"{RUN} --content-mask black.png", 1, "empty"),
    (f"{RUN} {SEGMENTED} --style-mask style-colors.png", 1, "2"),
    (f"run content.png style.png --plan --style-blend 1,2 {SEGMENTED}", 2, "2 shares"),
    (
        f"run content.png style.png second.png -o o.png {' '.join(QUICK)} --style-blend 1,0 "
        "--content-mask content-gray.png --content-mask content-inverse.png",
        2,
        "region 2",
    ),
    # Maps that are wrong:
    (f"{APPLY} bad.npz", 1, "bad.npz"),
    (f"{APPLY} none.npz", 1, "none.npz"),
    (f"{RUN} --affine-map map.txt", 1, ".npz"),
    # What is read or made would be written over:
    (f"{RUN} {SEGMENTED} --show-masks content.png", 1, "content.png"),
    (f"{RUN} {SEGMENTED} --show-masks out.png", 1, "out.png"),
    (f"{RUN} {SEGMENTED} --show-masks style-colors.png", 1, "style-colors.png"),
    (f"{FULL} {SEGMENTED} --method color --show-masks style.png", 1, "style.png"),
]


def test_bad_input_is_one_line_and_harms_nothing(masks, refused):
    save("square.png", np.ones((50, 50, 3)))
    save("black.png", np.zeros((48, 64, 3)))
    save("second.png", np.zeros((40, 40, 3)))
    save("content-inverse.png", 1 - rgb_of("content-gray.png"))
    Path("no.png").write_text("no picture")
    Path("bad.npz").write_bytes(b"nothing")
    for arguments, status, said in BAD_ARGUMENTS:
        refused(arguments, status, said)


@pytest.mark.parametrize(
    "command",
    [
        ["photo", *OUT],
        ["batch", "--contents", "photos.txt", "--styles", "style.png", "-o", "o", "--force"],
    ],
    ids=["of a photo", "of a batch"],
)
def test_notes_about_masks_are_said_once_unless_quiet(folder, masks, capsys, command):
    save("small.png", np.ones((24, 32, 3)) * (0, 0, 1))
    save("only.png", np.ones((40, 40, 3)) * (0, 1, 0))
    save("again.png", rgb_of("content.png")[::-1])
    (folder / "photos.txt").write_text("content.png\nagain.png\n")
    wrong = ["--content-mask", "small.png", "--style-mask", "only.png"]
    assert main([*command, *ONE_SCALE, *wrong]) == 0
    said = capsys.readouterr().err
    assert said.count("resized") == 1 and said.count('no style has a region "blue"') == 1
    assert main([*command, *QUICK, *wrong]) == 0
    assert "note" not in capsys.readouterr().err
