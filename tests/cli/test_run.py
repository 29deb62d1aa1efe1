"""python -m jaxstyle run: what it writes, repeats and refuses."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxstyle import image as images
from jaxstyle import solve
from jaxstyle.__main__ import COMMANDS, main
from jaxstyle.image import Picture

QUICK = ["--size", "64", "--smallest-size", "32", "--steps", "3,2", "--seed", "7"]


@pytest.fixture
def folder(tmp_path, picture, weights_path, monkeypatch):
    """A folder with two pictures in it, and the random weights in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAXSTYLE_WEIGHTS", str(weights_path))
    images.write("content.png", Picture(np.asarray(picture(0, 48, 64)), None))
    images.write("style.png", Picture(np.asarray(picture(1, 40, 40)), None))
    return tmp_path


def size_of(path):
    with Image.open(path) as image:
        return image.size


def run(*arguments):
    return main(["run", *map(str, arguments)])


def test_it_writes_the_picture_and_says_so(folder, capsys):
    assert run("content.png", "style.png", "-o", "out.png", *QUICK) == 0
    assert size_of("out.png") == (64, 48)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("out.png: 64x48, ")
    assert sorted(p.name for p in folder.iterdir()) == ["content.png", "out.png", "style.png"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_what_a_command_does(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert COMMANDS[command].HELP.split(":")[0] in " ".join(printed.split())
    assert f"usage: jaxstyle {command}" in printed


def test_quiet_prints_nothing(folder, capsys):
    assert run("content.png", "style.png", "-o", "out.png", "--quiet", *QUICK) == 0
    assert "".join(capsys.readouterr()) == ""


def test_the_result_has_exactly_the_size_asked_for(folder, picture):
    images.write("odd.png", Picture(np.asarray(picture(2, 91, 37)), None))
    assert run("odd.png", "style.png", "-o", "out.png", "--size", "77", "--steps", "1") == 0
    assert size_of("out.png") == (31, 77)


def test_from_repeats_the_run_byte_for_byte(folder):
    assert run("content.png", "style.png", "-o", "out.png", "--bits", "16", *QUICK) == 0
    assert run("--from", "out.png") == 0
    assert Path("out-again.png").read_bytes() == Path("out.png").read_bytes()
    assert run("--from", "out.png", "-o", "other.png", "--style-weight", "0") == 0
    assert Path("other.png").read_bytes() != Path("out.png").read_bytes()


def test_from_finds_the_pictures_beside_the_result_from_anywhere(folder, monkeypatch, weights_path):
    start = ["--init", "style.png", "--weights", weights_path]
    assert run("content.png", "style.png", "-o", "out.png", *start, *QUICK) == 0
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    monkeypatch.delenv("JAXSTYLE_WEIGHTS")
    assert run("--from", "../out.png") == 0
    assert Path("../out-again.png").read_bytes() == Path("../out.png").read_bytes()


def test_a_picture_saved_by_the_api_holds_its_settings_but_cannot_be_repeated(folder, capsys):
    import jaxstyle

    result = jaxstyle.stylize("content.png", "style.png", size=32, steps=1)
    result.save("api.png")
    assert json.loads(images.read_description("api.png"))["settings"]["size"] == 32
    assert run("--from", "api.png") == 1
    assert "api.png: not a picture of 'jaxstyle run'" in capsys.readouterr().err


def test_flags_and_pictures_come_in_any_order(folder):
    assert run("content.png", *QUICK, "style.png", "-o", "out.png") == 0


def test_a_failing_preview_does_not_end_the_run(folder, capsys, monkeypatch):
    write = images.write

    def fails_for_previews(path, *arguments, **options):
        if "-0000" in str(path):
            raise images.ImageError(f"{path}: no space")
        write(path, *arguments, **options)

    monkeypatch.setattr(images, "write", fails_for_previews)
    assert run("content.png", "style.png", "-o", "out.png", "--save-every", "1", *QUICK) == 0
    printed = capsys.readouterr().err
    assert printed.count("no more previews") == 1
    assert size_of("out.png") == (64, 48)


@pytest.mark.parametrize("extension", ["png", "jpg", "webp", "tif"])
def test_every_format_carries_its_recipe(folder, extension):
    assert run("content.png", "style.png", "-o", f"out.{extension}", *QUICK) == 0
    assert run("--from", f"out.{extension}", "-o", "again.png", "--steps", "0") == 0
    recipe = json.loads(images.read_description("again.png"))["jaxstyle"]
    assert recipe["settings"]["seed"] == 7
    assert recipe["settings"]["steps"] == [0]
    assert recipe["styles"] == ["style.png"]


def test_report_previews_and_timelapse(folder, capsys):
    extras = ["--report", "r.json", "--save-every", "2", "--timelapse", "t.webp", "--json"]
    assert run("content.png", "style.png", "-o", "out.png", *QUICK, *extras) == 0
    report = json.loads(Path("r.json").read_text())
    assert json.loads(capsys.readouterr().out) == report
    assert [len([r for r in report["losses"] if r["scale"] == s]) for s in (0, 1)] == [3, 2]
    assert {p.name for p in folder.glob("out-*.png")} == {"out-00002.png", "out-00004.png"}
    with Image.open("t.webp") as animation:
        assert animation.n_frames > 3


def test_alpha_survives(folder, picture):
    alpha = np.zeros((48, 64), np.float32)
    alpha[:, 32:] = 1
    images.write("content.png", Picture(np.asarray(picture(0, 48, 64)), alpha))
    assert run("content.png", "style.png", "-o", "out.png", *QUICK) == 0
    written = images.read("out.png").alpha
    np.testing.assert_allclose(written, alpha, atol=0.01)


def test_several_styles_with_a_blend(folder, picture):
    images.write("other.png", Picture(np.asarray(picture(5, 40, 50)), None))
    blend = ["--style-blend", "0.3,0.7"]
    assert run("content.png", "style.png", "other.png", "-o", "out.png", *blend, *QUICK) == 0
    assert json.loads(images.read_description("out.png"))["jaxstyle"]["settings"][
        "style_blend"
    ] == [0.3, 0.7]


BAD_ARGUMENTS = [
    (["content.png"], 2, "at least one STYLE"),
    (["content.png", "style.png"], 2, "-o OUT.png"),
    (["--from", "out.png", "content.png"], 2, "takes no CONTENT"),
    (["no.png", "style.png", "-o", "out.png"], 1, "no.png"),
    ([".", "style.png", "-o", "out.png"], 1, "directory"),
    (["empty.png", "style.png", "-o", "out.png"], 1, "empty.png"),
    (["text.png", "style.png", "-o", "out.png"], 1, "text.png"),
    (["truncated.png", "style.png", "-o", "out.png"], 1, "truncated.png"),
    (["one.png", "style.png", "-o", "out.png"], 1, "content picture is 1x1"),
    (["content.png", "thin.png", "-o", "out.png"], 1, "style picture 1 is 5000x3"),
    (["content.png", "style.png", "-o", "nowhere/out.png"], 1, "nowhere"),
    (["content.png", "style.png", "-o", "out.xyz"], 1, ".xyz"),
    (["content.png", "style.png", "-o", "out.jpg", "--bits", "16"], 1, "16"),
    (["content.png", "style.png", "-o", "out.png", "--report", "no/r.json"], 1, "no"),
    (["content.png", "style.png", "-o", "out.png", "--timelapse", "t.mp4"], 1, "t.mp4"),
    (["content.png", "style.png", "-o", "out.png", "--report", "out.png"], 1, "same name"),
    (["content.png", "style.png", "-o", "out.png", "--weights", "no.h5"], 1, "no.h5"),
    (["content.png", "style.png", "-o", "out.png", "--weights", "text.png"], 1, "text.png"),
    (["content.png", "style.png", "-o", "out.png", "--init", "no.png"], 1, "no.png"),
    (["--from", "style.png"], 1, "style.png"),
    (["content.png", "style.png", "-o", "out.png", "--preset", "defualt"], 2, "default"),
    (
        ["content.png", "style.png", "-o", "out.png", "--style-layers", "rellu4_2"],
        2,
        "--style-layers VGG-19 has no layer 'rellu4_2': did you mean relu4_2?",
    ),
    (["content.png", "style.png", "-o", "out.png", "--style-weight", "-1"], 2, "--style-weight"),
    (["content.png", "style.png", "-o", "out.png", "--style-weight", "nan"], 2, "--style-weight"),
    (["content.png", "style.png", "-o", "out.png", "--tv-weight", "1e99"], 2, "--tv-weight"),
    (["content.png", "style.png", "-o", "out.png", "--size", "0"], 2, "--size"),
    (["content.png", "style.png", "-o", "out.png", "--size", "99999999"], 2, "--size"),
    (["content.png", "style.png", "-o", "out.png", "--size", "8"], 1, "result would be 8x6"),
    (["content.png", "style.png", "-o", "out.png", "--steps", "-1"], 2, "--steps"),
    (["content.png", "style.png", "-o", "out.png", "--save-every", "0"], 2, "at least 1"),
    (["content.png", "style.png", "-o", "out.png", "--style-blend", "1,2"], 2, "--style-blend"),
    (["content.png", "style.png", "-o", "content.png"], 1, "content.png: is read by this run"),
    (["content.png", "style.png", "-o", "o.png", "--report", "style.png"], 1, "is read by this"),
    (["content.png", "style.png", "-o", "out.webp", "--size", "20000"], 1, "16383"),
    (["content.png", *["style.png"] * 9000, "-o", "out.jpg"], 1, "use PNG"),
    (["content.png", "style.png", "-o", "out.png", "--siz", "64"], 2, "--siz"),
]


@pytest.mark.parametrize(("arguments", "status", "said"), BAD_ARGUMENTS)
def test_bad_input_is_one_line_and_harms_nothing(folder, capsys, arguments, status, said):
    content = Path("content.png").read_bytes()
    Path("empty.png").write_bytes(b"")
    Path("text.png").write_text("this is no picture")
    Path("truncated.png").write_bytes(content[: len(content) // 2])
    Image.new("RGB", (1, 1)).save("one.png")
    Image.new("RGB", (5000, 3)).save("thin.png")
    Path("out.png").write_bytes(content)
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    try:
        found = run(*arguments)
    except SystemExit as stop:
        found = stop.code
    printed = capsys.readouterr()
    assert found == status
    assert said in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def test_a_directory_that_cannot_be_written_is_found_before_the_run(folder, capsys, monkeypatch):
    monkeypatch.setattr(images, "read", None)  # never reached
    locked = folder / "locked"
    locked.mkdir()
    (locked / "out.png").mkdir()
    assert run("content.png", "style.png", "-o", locked / "out.png") == 1
    assert "directory" in capsys.readouterr().err


def test_a_full_disk_leaves_the_old_picture(folder, capsys, monkeypatch):
    Path("out.png").write_bytes(b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert run("content.png", "style.png", "-o", "out.png", *QUICK) == 1
    assert "space" in capsys.readouterr().err
    assert Path("out.png").read_bytes() == b"old"
    assert sorted(p.name for p in folder.iterdir()) == ["content.png", "out.png", "style.png"]


def test_divergence_saves_the_last_good_picture(folder, capsys, monkeypatch):
    minimize = solve.minimize

    def breaks(*arguments, **options):
        for report in minimize(*arguments, **options):
            yield report
            if report.state.image.shape[1] == 64:
                raise solve.DivergedError("the loss is not finite")

    monkeypatch.setattr(solve, "minimize", breaks)
    assert run("content.png", "style.png", "-o", "out.png", *QUICK) == 1
    assert "not finite: saved the picture so far (scale 2/2, step 1/2)" in capsys.readouterr().err
    assert size_of("out.png") == (64, 48)


def test_debug_shows_the_traceback(folder):
    with pytest.raises(images.ImageError):
        run("no.png", "style.png", "-o", "out.png", "--debug")


def test_weights_that_are_not_normalized_are_remarked_on(folder, capsys, weights_file):
    from dataclasses import replace

    from convert_weights.weights_file import write_weights

    write_weights(Path("raw.h5"), replace(weights_file.weights, normalized=False), dtype="float16")
    arguments = ["content.png", "style.png", "-o", "out.png", "--weights", "raw.h5", *QUICK]
    assert run(*arguments) == 0
    assert "raw.h5 is not normalized" in capsys.readouterr().err


def started(folder, *flags):
    """A run in a process of its own."""
    command = [sys.executable, "-m", "jaxstyle", "run", "content.png", "style.png", "-o", "out.png"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen(
        [*command, "--size", "64", *flags], stderr=subprocess.PIPE, text=True, env=environment
    )


def test_ctrl_c_saves_the_picture_so_far(folder):
    process = started(folder, "--steps", "100000", "--save-every", "1")
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
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored by jobs in the background
    assert run("content.png", "style.png", "-o", "out.png", *QUICK) == 130
    assert "interrupted: saved the picture so far (scale 1/2, step 1/3)" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_picture_too_long_for_its_format_is_found_before_the_run(folder, capsys, picture):
    images.write("long.png", Picture(np.zeros((16, 17000, 3), np.float32)))
    arguments = "long.png", "style.png", "-o", "out.webp", "--preset", "anishathalye"
    assert run(*arguments, "--style-layers", "relu1_1", "--content-layers", "relu1_1") == 1
    assert "16383" in capsys.readouterr().err
