"""python -m jaxstyle run: what it writes, repeats and refuses."""

import json
import os
import signal
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from jaxstyle import images
from jaxstyle.__main__ import COMMANDS, command_of, main
from jaxstyle.network import weights
from jaxstyle.optim import solve
from tests.cli.conftest import (
    ONE_SCALE,
    OUT,
    PAIR,
    SHALLOW,
    TWO_SCALES,
    json_of,
    names_in,
    recipe_of,
    rgb_of,
    run,
)

QUICK = [*TWO_SCALES, "--init-noise", "0.1", "--seed", "7"]


def test_it_writes_the_picture_and_says_so_unless_quiet(folder, capsys):
    assert run("content.png", *QUICK, "style.png", "-o", "out.png") == 0  # in any order
    assert rgb_of("out.png").shape == (48, 64, 3)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("out.png: 64x48, ")
    assert names_in() == ["content.png", "out.png", "style.png"]
    assert run(*OUT, "--quiet", *QUICK) == 0
    assert "".join(capsys.readouterr()) == ""


@pytest.mark.slow
def test_a_network_of_full_size_to_the_depth_of_the_preset(folder, monkeypatch, weights_path):
    monkeypatch.setenv("JAXSTYLE_WEIGHTS", str(weights_path))
    depth = ["--size", "64", "--smallest-size", "32", "--steps", "3,2", "--report", "r.json"]
    assert run(*OUT, *depth) == 0
    assert rgb_of("out.png").shape == (48, 64, 3)
    assert {"content/relu4_2", "style/relu5_1"} < set(json_of("r.json")["losses"][-1]["terms"])


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_what_a_command_does(capsys, name):
    with pytest.raises(SystemExit) as stop:
        main([name, "--help"])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert command_of(name).HELP.split(":")[0] in " ".join(printed.split())
    assert f"usage: jaxstyle {name}" in printed


def test_from_repeats_the_run_byte_for_byte_from_anywhere(folder, monkeypatch, weights_path):
    Path("vgg.h5").symlink_to(weights_path)
    read = "--init", "style.png", "--weights", "vgg.h5"
    assert run(*OUT, *ONE_SCALE, "--bits", "16", *read) == 0
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    assert run("--from", "../out.png") == 0
    assert Path("../out-again.png").read_bytes() == Path("../out.png").read_bytes()


def test_weights_named_in_the_environment_are_used_and_recorded(folder, monkeypatch, weights_file):
    monkeypatch.setenv("JAXSTYLE_WEIGHTS", str(weights_file.path))
    assert run(*OUT, "--steps", "0", "--size", "32", *SHALLOW) == 0
    assert recipe_of("out.png")["weights_sha256"] == weights_file.sha256
    assert recipe_of("out.png")["weights"] is None


def test_a_failing_preview_does_not_end_the_run(folder, capsys, monkeypatch):
    def fails(path, *arguments, **options):
        raise images.ImageError(f"{path}: no space")

    monkeypatch.setattr(images, "write_unused", fails)
    assert run(*OUT, "--save-every", "1", *QUICK) == 0
    assert capsys.readouterr().err.count("no more previews") == 1
    assert rgb_of("out.png").shape == (48, 64, 3)


@pytest.mark.parametrize("extension", ["png", "jpg", "webp", "tif"])
def test_every_format_carries_its_recipe(folder, extension):
    assert run(*PAIR, "-o", f"out.{extension}", *QUICK) == 0
    assert run("--from", f"out.{extension}", "-o", "again.png", "--steps", "0") == 0
    recipe = recipe_of("again.png")
    assert (recipe["settings"]["seed"], recipe["settings"]["steps"]) == (7, [0])
    assert recipe["styles"] == ["style.png"]


def test_report_previews_and_timelapse(folder, capsys):
    extras = ["--report", "r.json", "--save-every", "2", "--timelapse", "t.webp", "--json"]
    assert run(*OUT, *QUICK, *extras) == 0
    report = json_of("r.json")
    assert json.loads(capsys.readouterr().out) == report
    assert [loss["scale"] for loss in report["losses"]] == [0, 0, 0, 1, 1]
    assert sorted(folder.glob("out-*.png")) == [folder / "out-00002.png", folder / "out-00004.png"]
    with Image.open("t.webp") as animation:
        assert animation.n_frames >= 3


IN = "content.png style.png"
BAD_ARGUMENTS = [
    ("content.png", 2, "at least one STYLE"),
    (IN, 2, "-o OUT.png"),
    ("--from out.png content.png", 2, "takes no CONTENT"),
    ("no.png style.png -o out.png", 1, "no.png"),
    (". style.png -o out.png", 2, "CONTENT . is a folder: 'jaxstyle batch --contents . "),
    ("empty.png style.png -o out.png", 1, "empty.png"),
    ("text.png style.png -o out.png", 1, "text.png"),
    ("truncated.png style.png -o out.png", 1, "truncated.png"),
    ("one.png style.png -o out.png", 1, "content picture is 1x1"),
    ("content.png thin.png -o out.png", 1, "style picture 1 is 5000x3"),
    (f"{IN} -o nowhere/out.png", 1, "nowhere"),
    (f"{IN} -o out.xyz", 1, ".xyz"),
    (f"{IN} -o out.jpg --bits 16", 1, "16"),
    (f"{IN} -o out.png --report no/r.json", 1, "no"),
    (f"{IN} -o out.png --timelapse t.png", 1, "t.png"),
    (f"{IN} -o out.png --report out.png", 1, "same name"),
    (f"{IN} -o out.png --weights no.h5", 1, "no.h5"),
    (f"{IN} -o out.png --weights text.png", 1, "text.png"),
    (f"{IN} -o out.png --init no.png", 1, "no.png"),
    ("--from style.png", 1, "style.png"),
    (f"{IN} -o out.png --preset defualt", 2, "default"),
    (
        f"{IN} -o out.png --style-layers rellu4_2",
        2,
        "--style-layers VGG-19 has no layer 'rellu4_2': did you mean relu4_2?",
    ),
    (f"{IN} -o out.png --style-weight -1", 2, "--style-weight"),
    (f"{IN} -o out.png --size 0", 2, "--size"),
    (f"{IN} -o out.png --size 8", 1, "result would be 8x6"),
    (f"{IN} -o out.png --save-every 0", 2, "at least 1"),
    (f"{IN} -o out.png --style-blend 1,2", 2, "--style-blend"),
    (f"{IN} -o content.png", 1, "content.png: is read by this run"),
    (f"{IN} -o o.png --report style.png", 1, "is read by this"),
    (f"{IN} -o out.webp --size 20000", 1, "16383"),
    (f"long.png style.png -o out.webp --preset anishathalye {' '.join(SHALLOW)}", 1, "16383"),
    (f"content.png {'style.png ' * 9000} -o out.jpg", 1, "use PNG"),
    (f"{IN} -o out.png --siz 64", 2, "--siz"),
]


def test_bad_input_is_one_line_and_harms_nothing(folder, refused):
    content = Path("content.png").read_bytes()
    Path("empty.png").write_bytes(b"")
    Path("text.png").write_text("this is no picture")
    Path("truncated.png").write_bytes(content[: len(content) // 2])
    for name, size in (("one", (1, 1)), ("thin", (5000, 3)), ("long", (17000, 16))):
        Image.new("RGB", size).save(f"{name}.png")
    Path("out.png").write_bytes(content)
    for arguments, status, said in BAD_ARGUMENTS:
        refused(f"run {arguments}", status, said)


def test_a_directory_that_cannot_be_written_is_found_before_the_run(folder, refused, monkeypatch):
    monkeypatch.setattr(images, "read", None)  # never reached
    (folder / "locked" / "out.png").mkdir(parents=True)
    refused(f"run {IN} -o locked/out.png", 1, "directory")


def test_a_full_disk_leaves_the_old_picture(folder, refused, monkeypatch):
    Path("out.png").write_bytes(b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    refused(["run", *OUT, *QUICK], 1, "space")


def test_debug_shows_the_traceback(folder):
    with pytest.raises(images.ImageError):
        run("no.png", "style.png", "-o", "out.png", "--debug")


def test_weights_that_are_not_normalized_are_remarked_on(
    folder, capsys, monkeypatch, small_weights
):
    raw = replace(small_weights.weights, normalized=False)
    loaded = replace(small_weights, weights=raw, path=Path("raw.h5"))
    monkeypatch.setattr(weights, "load", lambda path: loaded)
    assert run(*OUT, *QUICK) == 0
    assert "raw.h5 is not normalized" in capsys.readouterr().err


def test_ctrl_c_while_compiling_ends_without_waiting_for_it(folder, capsys, monkeypatch):
    compile_program, over = solve.Program.compile, threading.Event()

    def interrupted(*arguments):
        os.kill(os.getpid(), signal.SIGINT)
        assert over.wait(timeout=60)
        return compile_program(*arguments)

    monkeypatch.setattr(solve.Program, "compile", interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # may be ignored here
    try:
        assert run(*OUT, *QUICK) == 130
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
        over.set()
    assert capsys.readouterr().err == "jaxstyle: interrupted: there is nothing to save yet\n"
    assert names_in() == ["content.png", "style.png"]
