"""python -m jaxstyle photo: the command as its user meets it, with a network of few channels."""

import json

import numpy as np
import pytest

from jaxstyle import image as images
from jaxstyle.__main__ import main
from jaxstyle.image import Picture

QUICK = ["--size", "32", "--smallest-size", "32", "--steps", "2", "--quiet"]
PHOTO = ["photo", "content.png", "style.png", "-o", "out.png"]


def save(name, values):
    images.write(name, Picture(np.asarray(values, np.float32), None))


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


def test_it_can_be_repeated_from_its_own_metadata(folder, masks):
    assert main([*PHOTO, *QUICK, *masks]) == 0
    (folder / "there").mkdir()
    for each in folder.glob("*.png"):
        each.rename(folder / "there" / each.name)
    assert main(["run", "--from", "there/out.png", "--quiet"]) == 0
    again = images.read("there/out-again.png").rgb
    np.testing.assert_array_equal(again, images.read("there/out.png").rgb)


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
    monkeypatch.delattr("jaxstyle.weights.find")
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


@pytest.mark.parametrize("command", ["run", "photo"])
def test_masks_are_for_every_command(folder, masks, command):
    arguments = [command, "content.png", "style.png", "-o", "o.png", *QUICK, *masks]
    assert main([*arguments, "--report", "r.json"]) == 0
    assert "style/relu1_1/green" in terms_of("r.json")


def test_masks_in_a_sweep_and_in_a_batch(folder, masks):
    sweep = ["sweep", "content.png", "style.png", "-o", "grid.png", "--style-weight", "1,5"]
    assert main([*sweep, *QUICK, *masks]) == 0
    batch = ["batch", "--contents", "content.png", "--styles", "style.png", "-o", "o", "--json"]
    assert main([*batch, *QUICK[:-1], *masks]) == 0
    assert images.read("o/content__style.png").rgb.shape == (24, 32, 3)


def test_a_score_has_the_energy_and_every_region(folder, masks, capsys):
    arguments = ["content.png", "--content", "content.png", "--style", "style.png", "--json"]
    assert main(["score", *arguments, "--preset", "deep-photo", *masks]) == 0
    terms = json.loads(capsys.readouterr().out)["terms"]
    assert terms["photorealism"] == pytest.approx(0, abs=1e4 * 1e-3)
    assert terms["style/relu5_1/blue"] > 0 and "style/relu5_1/green" in terms


def test_a_plan_with_masks(folder, masks, capsys):
    assert main([*PHOTO, "--plan", "--json", *QUICK[:-1], *masks]) == 0
    assert json.loads(capsys.readouterr().out)["compilations"] == 1


def test_a_plan_of_a_sweep_counts_the_regions(folder, masks, capsys):
    plan = ["sweep", "content.png", "style.png", "--style-weight", "1,5", "--plan", "--json"]
    peaks = []
    for more in ([], masks):
        assert main([*plan, *QUICK[:-1], *more]) == 0
        peaks.append(json.loads(capsys.readouterr().out)["cell"]["peak_bytes"])
    assert peaks[0] < peaks[1]


def failed(capsys, *arguments, status=1):
    assert main(list(arguments)) == status
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    return lines[0]


def test_wrong_usage(folder, masks, capsys):
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
        assert said in failed(capsys, *arguments, status=2)
    assert not (folder / "out.png").exists()


def test_masks_that_are_wrong(folder, masks, capsys):
    save("square.png", np.ones((50, 50, 3)))
    save("black.png", np.zeros((48, 64, 3)))
    (folder / "no.png").write_text("no picture")
    for arguments, said in (
        (["--content-mask", "square.png", "--style-mask", "style-gray.png"], "square.png"),
        (["--content-mask", "nowhere.png"], "nowhere.png"),
        (["--content-mask", "no.png"], "no.png"),
        (["--content-mask", "black.png"], "empty"),
        ([*masks, "--style-mask", "style-colors.png"], "2"),
    ):
        assert said in failed(capsys, *PHOTO, *QUICK, *arguments)
    assert not (folder / "out.png").exists()


def test_notes_about_masks(folder, masks, capsys):
    save("small.png", np.ones((24, 32, 3)) * (0, 0, 1))
    save("only.png", np.ones((40, 40, 3)) * (0, 1, 0))
    wrong = ["--content-mask", "small.png", "--style-mask", "only.png"]
    assert main([*PHOTO, *QUICK[:-1], *wrong]) == 0
    said = capsys.readouterr().err
    assert "resized" in said and "blue" in said


def test_a_batch_says_the_same_notes_once(folder, masks, capsys):
    save("small.png", np.ones((24, 32, 3)) * (0, 0, 1))
    save("only.png", np.ones((40, 40, 3)) * (0, 1, 0))
    save("again.png", images.read("content.png").rgb[::-1])
    (folder / "photos.txt").write_text("content.png\nagain.png\n")
    batch = ["batch", "--contents", "photos.txt", "--styles", "style.png", "-o", "o"]
    wrong = ["--content-mask", "small.png", "--style-mask", "only.png"]
    assert main([*batch, *QUICK[:-1], *wrong]) == 0
    said = capsys.readouterr().err
    assert said.count("resized") == 1 and said.count('no style has a region "blue"') == 1
    assert main([*batch, *QUICK, *wrong, "--force"]) == 0
    assert "note" not in capsys.readouterr().err


def test_maps_that_are_wrong(folder, capsys):
    (folder / "bad.npz").write_bytes(b"nothing")
    apply = ["photo", "content.png", "-o", "o.png", "--apply-map"]
    assert "bad.npz" in failed(capsys, *apply, "bad.npz")
    assert "none.npz" in failed(capsys, *apply, "none.npz")
    assert ".npz" in failed(capsys, *PHOTO, *QUICK, "--affine-map", "map.txt")


def test_nothing_that_is_read_or_made_is_written_over(folder, masks, capsys):
    before = (folder / "content.png").read_bytes()
    for arguments in (
        ["--show-masks", "content.png", *masks],
        ["--show-masks", "out.png", *masks],
        ["--show-masks", "style-colors.png", *masks],
    ):
        failed(capsys, *PHOTO, *QUICK, *arguments)
    failed(capsys, *PHOTO, "--method", "color", "--show-masks", "style.png", *masks)
    assert (folder / "content.png").read_bytes() == before
    assert not (folder / "out.png").exists()


def test_a_region_whose_styles_have_no_share(folder, masks, capsys):
    save("second.png", np.zeros((40, 40, 3)))
    two = ["--content-mask", "content-gray.png", "--content-mask", "content-inverse.png"]
    gray = images.read("content-gray.png").rgb
    save("content-inverse.png", 1 - gray)
    arguments = ["run", "content.png", "style.png", "second.png", "-o", "o.png", *QUICK, *two]
    assert "region 2" in failed(capsys, *arguments, "--style-blend", "1,0", status=2)


def test_fine_style_is_made_without_the_masks_of_the_photo(folder, masks):
    save("fine.png", np.random.default_rng(0).random((40, 40, 3)))
    assert main([*PHOTO, *QUICK, *masks, "--fine-style", "fine.png"]) == 0


def test_flags_that_would_do_nothing_are_refused(folder, masks, capsys):
    apply = ["photo", "content.png", "-o", "o.png", "--apply-map", "m.npz"]
    for arguments, said in (
        ([*apply, "--size", "50"], "--size"),
        ([*apply, "--affine-map", "n.npz"], "--affine-map"),
        ([*PHOTO, "--method", "color", "--steps", "3"], "--steps"),
        ([*PHOTO, "--affine-map", "m.npz", "--original-colors"], "--original-colors"),
    ):
        assert said in failed(capsys, *arguments, status=2)


def test_a_picture_at_full_size_is_repeated_at_full_size(folder, masks):
    assert main([*PHOTO, *QUICK, *masks, "--full-size"]) == 0
    assert main(["run", "--from", "out.png", "--quiet"]) == 0
    large, again = (images.read(name).rgb for name in ("out.png", "out-again.png"))
    assert large.shape == (48, 64, 3)
    np.testing.assert_array_equal(again, large)


def test_a_plan_needs_no_output(folder, masks, capsys):
    assert main(["run", "content.png", "style.png", "--plan", "--json", *QUICK[:-1]]) == 0
    blend = ["--plan", "--style-blend", "1,2", *QUICK, *masks]
    assert "2 shares" in failed(capsys, "run", "content.png", "style.png", *blend, status=2)
