"""python -m jaxstyle run: what it writes, repeats and refuses."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import jaxstyle
from jaxstyle import images
from jaxstyle.__main__ import COMMANDS, main
from jaxstyle.images import Picture
from jaxstyle.network import weights
from jaxstyle.optim import solve
from tests.cli.conftest import ONE_SCALE, SHALLOW, TWO_SCALES, save
from tests.processes import SMALL_COMMAND, process_environment

QUICK = [*TWO_SCALES, "--seed", "7"]
PAIR = ["content.png", "style.png"]
OUT = [*PAIR, "-o", "out.png"]


def size_of(path):
    with Image.open(path) as image:
        return image.size


def run(*arguments):
    return main(["run", *map(str, arguments)])


def recipe_of(path):
    return json.loads(images.read_description(path))["jaxstyle"]


def test_it_writes_the_picture_and_says_so(folder, capsys):
    assert run("content.png", *QUICK, "style.png", "-o", "out.png") == 0  # in any order
    assert size_of("out.png") == (64, 48)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("out.png: 64x48, ")
    assert sorted(p.name for p in folder.iterdir()) == ["content.png", "out.png", "style.png"]


@pytest.mark.slow
def test_a_run_to_the_depth_of_the_preset_with_a_network_of_full_size(
    folder, monkeypatch, weights_path
):
    monkeypatch.setenv("JAXSTYLE_WEIGHTS", str(weights_path))
    depth = ["--size", "64", "--smallest-size", "32", "--steps", "3,2", "--report", "r.json"]
    assert run(*OUT, *depth) == 0
    assert size_of("out.png") == (64, 48)
    losses = json.loads(Path("r.json").read_text())["losses"]
    assert {"content/relu4_2", "style/relu5_1"} < set(losses[-1]["terms"])


def test_help_says_what_a_command_does(capsys):
    for name, command in COMMANDS.items():
        with pytest.raises(SystemExit) as stop:
            main([name, "--help"])
        assert stop.value.code == 0
        printed = capsys.readouterr().out
        assert command.HELP.split(":")[0] in " ".join(printed.split())
        assert f"usage: jaxstyle {name}" in printed


def test_quiet_prints_nothing(folder, capsys):
    assert run(*OUT, "--quiet", *QUICK) == 0
    assert "".join(capsys.readouterr()) == ""


def test_the_result_has_exactly_the_size_asked_for(folder, picture):
    save("odd.png", picture(2, 91, 37))
    arguments = "odd.png", "style.png", "-o", "out.png", "--size", "77", "--steps", "1"
    assert run(*arguments, *SHALLOW) == 0
    assert size_of("out.png") == (31, 77)


def test_from_repeats_the_run_byte_for_byte(folder):
    assert run(*OUT, "--bits", "16", *QUICK) == 0
    assert run("--from", "out.png") == 0
    assert Path("out-again.png").read_bytes() == Path("out.png").read_bytes()
    assert run("--from", "out.png", "-o", "other.png", "--style-weight", "0") == 0
    assert Path("other.png").read_bytes() != Path("out.png").read_bytes()


def test_from_finds_what_was_read_beside_the_result_from_anywhere(
    folder, monkeypatch, weights_path
):
    Path("vgg.h5").symlink_to(weights_path)
    assert run(*OUT, *ONE_SCALE, "--init", "style.png", "--weights", "vgg.h5") == 0
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    assert run("--from", "../out.png") == 0
    assert Path("../out-again.png").read_bytes() == Path("../out.png").read_bytes()


def test_weights_named_in_the_environment_are_used_and_recorded(folder, monkeypatch, weights_file):
    monkeypatch.setenv("JAXSTYLE_WEIGHTS", str(weights_file.path))
    assert run(*OUT, "--steps", "0", "--size", "32", *SHALLOW) == 0
    assert recipe_of("out.png")["weights_sha256"] == weights_file.sha256
    assert recipe_of("out.png")["weights"] is None


def test_a_picture_saved_by_the_api_holds_its_settings_but_cannot_be_repeated(folder, refused):
    layers = {"content_layers": "relu1_1", "style_layers": "relu1_1"}
    result = jaxstyle.stylize(*PAIR, size=32, smallest_size=32, steps=2, **layers)
    result.save("api.png")
    assert json.loads(images.read_description("api.png"))["settings"]["size"] == 32
    refused(["run", "--from", "api.png"], 1, "api.png: not a picture of 'jaxstyle run'")


def test_a_failing_preview_does_not_end_the_run(folder, capsys, monkeypatch):
    write = images.write

    def fails_for_previews(path, *arguments, **options):
        if "-0000" in str(path):
            raise images.ImageError(f"{path}: no space")
        write(path, *arguments, **options)

    monkeypatch.setattr(images, "write", fails_for_previews)
    assert run(*OUT, "--save-every", "1", *QUICK) == 0
    printed = capsys.readouterr().err
    assert printed.count("no more previews") == 1
    assert size_of("out.png") == (64, 48)


def test_every_format_carries_its_recipe(folder):
    for extension in ("png", "jpg", "webp", "tif"):
        assert run(*PAIR, "-o", f"out.{extension}", *QUICK) == 0
        assert run("--from", f"out.{extension}", "-o", "again.png", "--steps", "0") == 0
        recipe = recipe_of("again.png")
        assert recipe["settings"]["seed"] == 7, extension
        assert recipe["settings"]["steps"] == [0], extension
        assert recipe["styles"] == ["style.png"], extension


def test_report_previews_and_timelapse(folder, capsys):
    extras = ["--report", "r.json", "--save-every", "2", "--timelapse", "t.webp", "--json"]
    assert run(*OUT, *QUICK, *extras) == 0
    report = json.loads(Path("r.json").read_text())
    assert json.loads(capsys.readouterr().out) == report
    assert [len([r for r in report["losses"] if r["scale"] == s]) for s in (0, 1)] == [3, 2]
    assert {p.name for p in folder.glob("out-*.png")} == {"out-00002.png", "out-00004.png"}
    with Image.open("t.webp") as animation:
        assert animation.n_frames > 3


def test_alpha_survives(folder, picture):
    alpha = np.zeros((48, 64), np.float32)
    alpha[:, 32:] = 1
    save("content.png", picture(0, 48, 64), alpha)
    assert run(*OUT, *QUICK) == 0
    np.testing.assert_allclose(images.read("out.png").alpha, alpha, atol=0.01)


def test_several_styles_with_a_blend(folder, picture):
    save("other.png", picture(5, 40, 50))
    for blend in ("1,0", "0.3,0.7"):
        arguments = ["other.png", "-o", f"{blend}.png", "--style-blend", blend]
        assert run(*PAIR, *arguments, *QUICK) == 0
    assert recipe_of("0.3,0.7.png")["settings"]["style_blend"] == [0.3, 0.7]
    one, both = (images.read(f"{blend}.png").rgb for blend in ("1,0", "0.3,0.7"))
    assert np.abs(one - both).max() > 0.01


BAD_ARGUMENTS = [
    (["content.png"], 2, "at least one STYLE"),
    ([*PAIR], 2, "-o OUT.png"),
    (["--from", "out.png", "content.png"], 2, "takes no CONTENT"),
    (["no.png", "style.png", "-o", "out.png"], 1, "no.png"),
    ([".", "style.png", "-o", "out.png"], 1, "directory"),
    (["empty.png", "style.png", "-o", "out.png"], 1, "empty.png"),
    (["text.png", "style.png", "-o", "out.png"], 1, "text.png"),
    (["truncated.png", "style.png", "-o", "out.png"], 1, "truncated.png"),
    (["one.png", "style.png", "-o", "out.png"], 1, "content picture is 1x1"),
    (["content.png", "thin.png", "-o", "out.png"], 1, "style picture 1 is 5000x3"),
    ([*PAIR, "-o", "nowhere/out.png"], 1, "nowhere"),
    ([*PAIR, "-o", "out.xyz"], 1, ".xyz"),
    ([*PAIR, "-o", "out.jpg", "--bits", "16"], 1, "16"),
    ([*OUT, "--report", "no/r.json"], 1, "no"),
    ([*OUT, "--timelapse", "t.mp4"], 1, "t.mp4"),
    ([*OUT, "--report", "out.png"], 1, "same name"),
    ([*OUT, "--weights", "no.h5"], 1, "no.h5"),
    ([*OUT, "--weights", "text.png"], 1, "text.png"),
    ([*OUT, "--init", "no.png"], 1, "no.png"),
    (["--from", "style.png"], 1, "style.png"),
    ([*OUT, "--preset", "defualt"], 2, "default"),
    (
        [*OUT, "--style-layers", "rellu4_2"],
        2,
        "--style-layers VGG-19 has no layer 'rellu4_2': did you mean relu4_2?",
    ),
    ([*OUT, "--style-weight", "-1"], 2, "--style-weight"),
    ([*OUT, "--style-weight", "nan"], 2, "--style-weight"),
    ([*OUT, "--tv-weight", "1e99"], 2, "--tv-weight"),
    ([*OUT, "--size", "0"], 2, "--size"),
    ([*OUT, "--size", "99999999"], 2, "--size"),
    ([*OUT, "--size", "8"], 1, "result would be 8x6"),
    ([*OUT, "--steps", "-1"], 2, "--steps"),
    ([*OUT, "--save-every", "0"], 2, "at least 1"),
    ([*OUT, "--style-blend", "1,2"], 2, "--style-blend"),
    ([*PAIR, "-o", "content.png"], 1, "content.png: is read by this run"),
    ([*PAIR, "-o", "o.png", "--report", "style.png"], 1, "is read by this"),
    ([*PAIR, "-o", "out.webp", "--size", "20000"], 1, "16383"),
    (["content.png", *["style.png"] * 9000, "-o", "out.jpg"], 1, "use PNG"),
    ([*OUT, "--siz", "64"], 2, "--siz"),
]


def test_bad_input_is_one_line_and_harms_nothing(folder, refused):
    content = Path("content.png").read_bytes()
    Path("empty.png").write_bytes(b"")
    Path("text.png").write_text("this is no picture")
    Path("truncated.png").write_bytes(content[: len(content) // 2])
    Image.new("RGB", (1, 1)).save("one.png")
    Image.new("RGB", (5000, 3)).save("thin.png")
    Path("out.png").write_bytes(content)
    for arguments, status, said in BAD_ARGUMENTS:
        refused(["run", *arguments], status, said)


def test_a_directory_that_cannot_be_written_is_found_before_the_run(folder, refused, monkeypatch):
    monkeypatch.setattr(images, "read", None)  # never reached
    (folder / "locked" / "out.png").mkdir(parents=True)
    refused(["run", *PAIR, "-o", "locked/out.png"], 1, "directory")


def test_a_full_disk_leaves_the_old_picture(folder, refused, monkeypatch):
    Path("out.png").write_bytes(b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    refused(["run", *OUT, *QUICK], 1, "space")


def test_divergence_saves_the_last_good_picture(folder, capsys, monkeypatch):
    minimize = solve.minimize

    def breaks(*arguments, **options):
        for report in minimize(*arguments, **options):
            yield report
            if report.state.image.shape[1] == 64:
                raise solve.DivergedError("the loss is not finite")

    monkeypatch.setattr(solve, "minimize", breaks)
    assert run(*OUT, *QUICK) == 1
    assert "not finite: saved the picture so far (scale 2/2, step 1/2)" in capsys.readouterr().err
    assert size_of("out.png") == (64, 48)


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


@pytest.mark.slow  # test_resume has a run ended by each signal, in this process
def test_ctrl_c_ends_a_process_with_the_picture_so_far(folder):
    flags = "--size", "64", "--smallest-size", "64", "--steps", "100000", "--save-every", "1"
    process = subprocess.Popen(
        [sys.executable, "-c", SMALL_COMMAND, "run", *OUT, *flags, *SHALLOW],
        stderr=subprocess.PIPE,
        text=True,
        env=process_environment(),
    )
    deadline = time.monotonic() + 120
    while not list(folder.glob("out-*.png")) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, printed = process.communicate(timeout=60)
    assert process.returncode == 130
    assert printed.startswith("jaxstyle: interrupted: saved the picture so far (scale 1/1, step ")
    assert printed.count("\n") == 1
    assert size_of("out.png") == (64, 48)


def test_ctrl_c_while_compiling_ends_in_one_line_too(folder, capsys, monkeypatch):
    compile_program, pressed = solve.compile_program, []

    def interrupted(*arguments):
        if not pressed:  # a second time would end the process at once
            pressed.append(True)
            os.kill(os.getpid(), signal.SIGINT)
        return compile_program(*arguments)

    monkeypatch.setattr(solve, "compile_program", interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # may be ignored here
    try:
        assert run(*OUT, *QUICK) == 130
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert "interrupted: saved the picture so far (scale 1/2, step 1/3)" in capsys.readouterr().err


def test_a_picture_too_long_for_its_format_is_found_before_the_run(folder, refused):
    images.write("long.png", Picture(np.zeros((16, 17000, 3), np.float32)))
    layers = "--style-layers", "relu1_1", "--content-layers", "relu1_1"
    arguments = "long.png", "style.png", "-o", "out.webp", "--preset", "anishathalye", *layers
    refused(["run", *arguments], 1, "16383")
