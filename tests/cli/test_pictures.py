"""What the commands make of pictures that are not as simple as they look."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxstyle import images
from jaxstyle.__main__ import main
from jaxstyle.batch import folder as batch_folder
from jaxstyle.machine import input_files, resources
from tests.cli.conftest import ONE_SCALE, OUT, rgb_of, run
from tests.processes import SMALL_COMMAND, process_environment

pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")


def batch(*arguments, contents="content.png"):
    """Return the exit status of ``jaxstyle batch`` with one style."""
    given = ["--contents", contents, "--styles", "style.png", "-o", "out", *ONE_SCALE]
    return main(["batch", *given, *map(str, arguments)])


def turned(orientation: int, **options) -> None:
    """Write a photo of 24 x 32 pixels once it is turned."""
    levels = np.random.default_rng(0).integers(0, 256, (32, 24, 3), dtype=np.uint8)
    levels = levels if orientation > 4 else levels.swapaxes(0, 1)
    pil = Image.fromarray(np.ascontiguousarray(levels))
    pil.save("photo.tif", tiffinfo={274: orientation}, **options)


@pytest.mark.parametrize("options", [{}, {"compression": "tiff_lzw"}], ids=["plain", "LZW"])
def test_batch_and_run_turn_a_tiff_alike(folder, options):
    turned(6, **options)
    assert run("photo.tif", "style.png", "-o", "alone.png", *ONE_SCALE) == 0
    assert batch(contents="photo.tif") == 0
    assert rgb_of("alone.png").shape == (24, 32, 3)
    np.testing.assert_allclose(rgb_of("out/photo__style.png"), rgb_of("alone.png"), atol=1.01 / 255)


def test_a_photo_that_is_not_as_it_was_planned_fails_in_a_line(folder, capsys, monkeypatch):
    monkeypatch.setattr(batch_folder, "_sides", lambda path, free: (64, 48))
    assert batch() == 1
    said = capsys.readouterr().err
    assert "content.png: is read as 64x48 pixels, but was planned with other sides: run" in said


def test_notes_on_how_pictures_are_read_are_told_once(folder, capsys, picture):
    frames = [Image.fromarray(np.uint8(255 * picture(seed, 24, 32))) for seed in (0, 1)]
    frames[0].save("photo.gif", save_all=True, append_images=frames[1:])
    frames[0].save("style.tif", save_all=True, append_images=frames[1:])
    photo = "note: photo.gif: is an animation: its first picture is taken"
    style = "note: style.tif: has 2 pictures: the first is taken (32x24)"
    assert run("photo.gif", "style.tif", "-o", "out.png", *ONE_SCALE) == 0
    assert capsys.readouterr().err.splitlines()[:2] == [photo, style]
    given = ["--contents", "photo.gif", "--styles", "style.tif", "-o", "out", "--seed", "3"]
    assert main(["batch", *given, *ONE_SCALE]) == 0
    said = capsys.readouterr().err
    assert (said.count(photo), said.count(style)) == (1, 1)
    assert main(["batch", *given[:4], "-o", "quiet", "--quiet", *ONE_SCALE]) == 0
    assert capsys.readouterr().err == ""


def animated(*names: str) -> list[str]:
    """Write animations of two pictures, 32 x 24 pixels; return the notes on them."""
    for seed, name in enumerate(names):
        levels = np.random.default_rng(seed).integers(0, 256, (2, 24, 32, 3), dtype=np.uint8)
        first, second = map(Image.fromarray, levels)
        first.save(name, save_all=True, append_images=[second])
    return [f"{name}: is an animation: its first picture is taken" for name in names]


ODD = "a.gif b.gif a.gif"  # of which the second is a style, as is the first
WITH_NOTES = {
    "run": f"run {ODD} --init c.gif -o out.png",
    "fine style": "run a.gif b.gif --fine-style c.gif -o out.png",
    "plan": f"run {ODD} --init c.gif --plan",
    "photo": "photo a.gif b.gif --init c.gif -o out.png",
    "one map": "photo a.gif b.gif c.gif --method color -o out.png",
    "sweep": f"sweep {ODD} --init c.gif --style-weight 1,2 --rows none -o out.png",
    "batch": "batch --contents a.gif --styles b.gif a.gif --init c.gif -o out",
    "texture": "texture a.gif b.gif a.gif --init c.gif -o out.png",
    "score": "score a.gif --content b.gif --style c.gif a.gif",
}


@pytest.mark.parametrize("name", WITH_NOTES)
def test_a_note_on_each_picture_is_told_once_by_every_command(folder, capsys, name):
    notes = animated("a.gif", "b.gif", "c.gif")
    command, *rest = WITH_NOTES[name].split()
    scale = ["--size", "32", "--steps", "1"]
    more = [] if name == "one map" else scale[:2] if name == "score" else scale
    assert main([command, *rest, *more]) == 0
    said = capsys.readouterr().err
    assert [said.count(note) for note in notes] == [1, 1, 1], said


@pipes
def test_a_pipe_as_initial_image_is_read_once(folder):
    reader, writer = os.pipe()
    os.write(writer, Path("style.png").read_bytes())  # it fits into the pipe
    os.close(writer)
    assert run(*OUT, *ONE_SCALE, "--init", f"/dev/fd/{reader}") == 0
    os.close(reader)


def test_the_resolution_of_the_photo_is_kept(folder, picture):
    pil = Image.fromarray(np.uint8(255 * picture(0, 24, 32)))
    pil.save("photo.jpg", dpi=(300, 300))
    assert run("photo.jpg", "style.png", "-o", "out.tif", *ONE_SCALE) == 0
    assert batch(contents="photo.jpg") == 0
    for name in ("out.tif", "out/photo__style.png"):
        np.testing.assert_allclose(images.read(name).dpi, (300, 300), rtol=1e-4)


def test_a_plan_asks_for_the_memory_of_the_photo_too(folder, refused, capsys, monkeypatch):
    monkeypatch.setattr(resources, "free_memory", lambda: 50_000)
    needs = "content.png: needs 0.2 MB of memory to be read (64x48 pixels), and 0.1 MB are free"
    refused(["run", *OUT, "--plan"], 1, needs)
    assert batch("--plan") == 0
    assert f"1 cannot be made; the first: content__style.png: {needs}" in capsys.readouterr().out


# --- pipes ----------------------------------------------------------------------------------------


@pytest.fixture
def pipe(folder, monkeypatch):
    """A pipe that nothing writes into."""
    monkeypatch.setattr(input_files, "NO_WRITER", 0.01)
    os.mkfifo("p.png")
    return "p.png"


@pipes
def test_photo_and_style_may_be_pipes(folder):
    assert run(*OUT, *ONE_SCALE) == 0
    ends, writers = [], []
    for name in ("content.png", "style.png"):
        reader, writer = os.pipe()
        data = Path(name).read_bytes()

        def feed(writer=writer, data=data):
            with open(writer, "wb") as file:
                file.write(data)

        ends.append(reader)
        writers.append(threading.Thread(target=feed))
        writers[-1].start()
    named = [f"/dev/fd/{each}" for each in ends]
    assert run(*named, "-o", "again.png", *ONE_SCALE) == 0
    np.testing.assert_array_equal(rgb_of("again.png"), rgb_of("out.png"))
    for each in writers:
        each.join()
    for each in ends:
        os.close(each)


@pipes
@pytest.mark.slow
def test_the_photo_may_be_standard_input(folder):
    command = [sys.executable, "-c", SMALL_COMMAND, "run", "/dev/stdin", *OUT[1:], *ONE_SCALE]
    data = Path("content.png").read_bytes()
    subprocess.run(command, input=data, env=process_environment(), check=True)
    assert rgb_of("out.png").shape[2] == 3


@pipes
def test_a_pipe_that_nothing_writes_into_is_refused(pipe, refused):
    refused(["run", pipe, "style.png", "-o", "out.png"], 1, "is a pipe, and no program writes")
    refused(["run", "content.png", pipe, "-o", "out.png"], 1, "is a pipe, and no program writes")
    refused(["run", "--from", pipe, "-o", "out.png"], 1, "is a pipe, and no program writes")


@pipes
def test_a_pipe_that_is_needed_again_is_refused(pipe, refused):
    again = "is a pipe, and is needed more than once: save it to a file"
    mask = ["--content-mask", pipe, "--style-mask", pipe]
    refused(["run", *OUT, *mask, *ONE_SCALE, "--plan"], 1, again)
    refused(["run", *OUT, "--init", pipe, "--resume"], 1, again)
    refused(["run", "--upscale", pipe, "-o", "out.png"], 1, again)


@pipes
def test_a_batch_fails_at_a_pipe_and_goes_on(pipe, capsys):
    Path("jobs.csv").write_text(f"content,style\n{pipe},style.png\ncontent.png,style.png\n")
    assert main(["batch", "--manifest", "jobs.csv", "-o", "out", *ONE_SCALE]) == 1
    assert "is a pipe, and is needed more than once" in capsys.readouterr().err
    assert Path("out/content__style.png").exists()


@pipes
def test_a_pipe_in_a_folder_is_passed_over(pipe):
    os.mkdir("styles")
    os.rename("style.png", "styles/style.png")
    os.rename(pipe, f"styles/{pipe}")
    assert run("content.png", "styles", "-o", "out.png", *ONE_SCALE) == 0


@pytest.mark.parametrize("device", ["/dev/null", "/dev/zero"])
@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="needs devices")
def test_a_device_is_refused(folder, refused, device):
    refused(["run", device, "style.png", "-o", "out.png"], 1, "is a terminal or another device")
