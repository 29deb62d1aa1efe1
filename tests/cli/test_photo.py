"""python -m jaxstyle photo: the command as its user meets it, with a network of few channels."""

import json
from pathlib import Path

import numpy as np
import pytest

from jaxstyle import images
from jaxstyle.__main__ import main
from tests.cli.conftest import ONE_SCALE, SHALLOW, save

QUICK = [*ONE_SCALE, "--quiet"]
PHOTO = ["photo", "content.png", "style.png", "-o", "out.png"]


@pytest.fixture
def masks(folder):
    """A segmentation in two colors of each picture, and one gray mask of each."""
    for name, height, width in (("content", 48, 64), ("style", 40, 40)):
        left = np.zeros((height, width, 3), np.float32)
        left[:, : width // 2] = (0, 0, 1)
        left[:, width // 2 :] = (0, 1, 0)
        save(f"{name}-colors.png", left)
        save(f"{name}-gray.png", np.repeat(left[..., 2:], 3, axis=2))
    return ["--content-mask", "content-colors.png", "--style-mask", "style-colors.png"]


def terms_of(path):
    with open(path) as file:
        return json.load(file)["losses"][-1]["terms"]


def test_a_photo_with_masks(folder, masks):
    report = ["--report", "r.json", "--show-masks", "masks.png"]
    assert main([*PHOTO, *QUICK, *masks, *report]) == 0
    assert images.read("out.png").rgb.shape == (24, 32, 3)
    terms = terms_of("r.json")
    assert {"style/relu1_1/blue", "style/relu1_1/green", "photorealism"} < set(terms)
    assert images.read("masks.png").rgb.shape[1] > 100


def test_full_size_and_a_map_to_apply_again(folder, masks):
    extra = ["--affine-map", "map.npz", "--full-size", "--report", "r.json"]
    assert main([*PHOTO, *QUICK, *masks, *extra]) == 0
    large = images.read("out.png").rgb
    assert large.shape == (48, 64, 3)
    report = json.loads((folder / "r.json").read_text())
    assert report["picture"] == {"height": 48, "width": 64}
    assert report["scales"][-1]["width"] == 32
    apply = ["photo", "content.png", "--apply-map", "map.npz", "-o", "again.png", "--quiet"]
    assert main(apply) == 0
    np.testing.assert_array_equal(images.read("again.png").rgb, large)


def test_baselines_need_no_network(folder, masks, monkeypatch):
    monkeypatch.delattr("jaxstyle.network.weights.find")
    assert main([*PHOTO, "--method", "histogram", "--quiet"]) == 0
    histogram = images.read("out.png").rgb
    assert main([*PHOTO, "--method", "color", "--quiet"]) == 0
    one = images.read("out.png").rgb
    assert main([*PHOTO, "--method", "color", *masks, "--quiet"]) == 0
    two = images.read("out.png").rgb
    style = images.read("style.png").rgb
    for picture in (histogram, one):
        assert picture.shape == (48, 64, 3)
        np.testing.assert_allclose(picture.mean((0, 1)), style.mean((0, 1)), atol=0.02)
    assert np.abs(one - two).max() > 0.01
    for each, half in ((two[:, :30], style[:, :20]), (two[:, 34:], style[:, 20:])):
        np.testing.assert_allclose(each.mean((0, 1)), half.mean((0, 1)), atol=0.06)


def test_a_run_takes_masks_and_is_repeated_with_them_where_they_have_moved_to(folder, masks):
    arguments = ["run", "content.png", "style.png", "-o", "out.png", *QUICK, *masks]
    assert main([*arguments, "--report", "r.json"]) == 0
    assert "style/relu1_1/green" in terms_of("r.json")
    (folder / "there").mkdir()
    for each in folder.glob("*.png"):
        each.rename(folder / "there" / each.name)
    assert main(["run", "--from", "there/out.png", "--quiet"]) == 0
    again = images.read("there/out-again.png").rgb
    np.testing.assert_array_equal(again, images.read("there/out.png").rgb)


def test_masks_in_a_sweep_and_in_a_batch(folder, masks):
    sweep = ["sweep", "content.png", "style.png", "-o", "grid.png", "--style-weight", "1,5"]
    assert main([*sweep, *QUICK, *masks]) == 0
    batch = ["batch", "--contents", "content.png", "--styles", "style.png", "-o", "o", "--json"]
    assert main([*batch, *ONE_SCALE, *masks]) == 0
    assert images.read("o/content__style.png").rgb.shape == (24, 32, 3)


def test_a_score_has_the_energy_and_every_region(folder, masks, capsys):
    arguments = ["content.png", "--content", "content.png", "--style", "style.png", "--json"]
    assert main(["score", *arguments, "--preset", "deep-photo", *SHALLOW, *masks]) == 0
    terms = json.loads(capsys.readouterr().out)["terms"]
    assert terms["photorealism"] == pytest.approx(0, abs=1e4 * 1e-3)
    assert terms["style/relu1_1/blue"] > 0 and "style/relu1_1/green" in terms


def test_a_plan_with_masks(folder, masks, capsys):
    assert main([*PHOTO, "--plan", "--json", *ONE_SCALE, *masks]) == 0
    assert json.loads(capsys.readouterr().out)["compilations"] == 1


def test_a_plan_of_a_sweep_counts_the_regions(folder, masks, capsys):
    plan = ["sweep", "content.png", "style.png", "--style-weight", "1,5", "--plan", "--json"]
    peaks = []
    for more in ([], masks):
        assert main([*plan, *ONE_SCALE, *more]) == 0
        peaks.append(json.loads(capsys.readouterr().out)["cell"]["peak_bytes"])
    assert peaks[0] < peaks[1]


def test_wrong_usage(masks, refused):
    gray = ["--content-mask", "content-gray.png"]
    for arguments, said in (
        (["photo", "content.png", "style.png"], "-o OUT.png"),
        (["photo", "content.png", "-o", "out.png"], "STYLE"),
        ([*PHOTO, "--show-masks", "m.png"], "needs masks"),
        ([*PHOTO, "--full-size", "--smooth-radius", "0"], "--smooth-radius"),
        ([*PHOTO, "--full-size", "--refine"], "--refine"),
        ([*PHOTO, "--method", "color", "--full-size"], "--method transfer"),
        ([*PHOTO, "--method", "color", "--report", "r.json"], "--method transfer"),
        ([*PHOTO, "--method", "histogram", *masks], "no masks"),
        ([*PHOTO, "--auto-masks", "2", *gray], "leave one out"),
        ([*PHOTO, "--style-mask", "style-gray.png"], "--content-mask"),
        ([*PHOTO, "--auto-masks", "99"], "at most 16"),
        ([*PHOTO, "--photorealism-weight", "-1"], "at least 0"),
        ([*PHOTO, "--guidance", "none"], "is not one of"),
        ([*PHOTO, "--padding", "circular"], "circular"),
    ):
        refused(arguments, 2, said)


def test_masks_that_are_wrong(masks, refused):
    save("square.png", np.ones((50, 50, 3)))
    save("black.png", np.zeros((48, 64, 3)))
    Path("no.png").write_text("no picture")
    for arguments, said in (
        (["--content-mask", "square.png", "--style-mask", "style-gray.png"], "square.png"),
        (["--content-mask", "nowhere.png"], "nowhere.png"),
        (["--content-mask", "no.png"], "no.png"),
        (["--content-mask", "black.png"], "empty"),
        ([*masks, "--style-mask", "style-colors.png"], "2"),
    ):
        refused([*PHOTO, *QUICK, *arguments], 1, said)


def test_notes_about_masks(folder, masks, capsys):
    save("small.png", np.ones((24, 32, 3)) * (0, 0, 1))
    save("only.png", np.ones((40, 40, 3)) * (0, 1, 0))
    wrong = ["--content-mask", "small.png", "--style-mask", "only.png"]
    assert main([*PHOTO, *ONE_SCALE, *wrong]) == 0
    said = capsys.readouterr().err
    assert "resized" in said and "blue" in said


def test_a_batch_says_the_same_notes_once(folder, masks, capsys):
    save("small.png", np.ones((24, 32, 3)) * (0, 0, 1))
    save("only.png", np.ones((40, 40, 3)) * (0, 1, 0))
    save("again.png", images.read("content.png").rgb[::-1])
    (folder / "photos.txt").write_text("content.png\nagain.png\n")
    batch = ["batch", "--contents", "photos.txt", "--styles", "style.png", "-o", "o"]
    wrong = ["--content-mask", "small.png", "--style-mask", "only.png"]
    assert main([*batch, *ONE_SCALE, *wrong]) == 0
    said = capsys.readouterr().err
    assert said.count("resized") == 1 and said.count('no style has a region "blue"') == 1
    assert main([*batch, *QUICK, *wrong, "--force"]) == 0
    assert "note" not in capsys.readouterr().err


def test_maps_that_are_wrong(folder, refused):
    (folder / "bad.npz").write_bytes(b"nothing")
    apply = ["photo", "content.png", "-o", "o.png", "--apply-map"]
    refused([*apply, "bad.npz"], 1, "bad.npz")
    refused([*apply, "none.npz"], 1, "none.npz")
    refused([*PHOTO, *QUICK, "--affine-map", "map.txt"], 1, ".npz")


def test_nothing_that_is_read_or_made_is_written_over(masks, refused):
    for name in ("content.png", "out.png", "style-colors.png"):
        refused([*PHOTO, *QUICK, "--show-masks", name, *masks], 1, name)
    refused([*PHOTO, "--method", "color", "--show-masks", "style.png", *masks], 1, "style.png")


def test_a_region_whose_styles_have_no_share(masks, refused):
    save("second.png", np.zeros((40, 40, 3)))
    two = ["--content-mask", "content-gray.png", "--content-mask", "content-inverse.png"]
    gray = images.read("content-gray.png").rgb
    save("content-inverse.png", 1 - gray)
    arguments = ["run", "content.png", "style.png", "second.png", "-o", "o.png", *QUICK, *two]
    refused([*arguments, "--style-blend", "1,0"], 2, "region 2")


def test_fine_style_is_made_without_the_masks_of_the_photo(folder, masks):
    save("fine.png", np.random.default_rng(0).random((40, 40, 3)))
    assert main([*PHOTO, *QUICK, *masks, "--fine-style", "fine.png"]) == 0
    fine = images.read("out.png").rgb
    assert main([*PHOTO, *QUICK, *masks]) == 0
    assert np.abs(images.read("out.png").rgb - fine).max() > 0.01


def test_flags_that_would_do_nothing_are_refused(folder, refused):
    apply = ["photo", "content.png", "-o", "o.png", "--apply-map", "m.npz"]
    for arguments, said in (
        ([*apply, "--size", "50"], "--size"),
        ([*apply, "--affine-map", "n.npz"], "--affine-map"),
        ([*PHOTO, "--method", "color", "--steps", "3"], "--steps"),
        ([*PHOTO, "--affine-map", "m.npz", "--original-colors"], "--original-colors"),
    ):
        refused(arguments, 2, said)


def test_a_picture_at_full_size_is_repeated_at_full_size(folder, masks):
    assert main([*PHOTO, *QUICK, *masks, "--full-size"]) == 0
    assert main(["run", "--from", "out.png", "--quiet"]) == 0
    large, again = (images.read(name).rgb for name in ("out.png", "out-again.png"))
    assert large.shape == (48, 64, 3)
    np.testing.assert_array_equal(again, large)


def test_a_plan_needs_no_output(folder, masks, refused):
    assert main(["run", "content.png", "style.png", "--plan", "--json", *ONE_SCALE]) == 0
    blend = ["--plan", "--style-blend", "1,2", *QUICK, *masks]
    refused(["run", "content.png", "style.png", *blend], 2, "2 shares")
