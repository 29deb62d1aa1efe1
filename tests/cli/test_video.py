"""python -m jaxstyle video: what it makes of a clip, how it goes on, and what it refuses."""

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from jaxstyle import images
from jaxstyle.__main__ import main
from jaxstyle.cli import video as command
from jaxstyle.images.video import Clip, ClipWriter, open_clip
from jaxstyle.images.video.flow import write_flo
from jaxstyle.runs.video import stylize as method
from jaxstyle.runs.video.folder import Folder
from tests.cli.conftest import SHALLOW, files_in, json_of, names_in, save
from tests.processes import SMALL_COMMAND, process_environment

SMALL = ["--size", "48", "--smallest-size", "48", "--steps", "4", "--later-steps", "2", *SHALLOW]
MADE = ["video", "clip.mov", "style.png", "-o", "out.mp4", *SMALL]
KEPT = Path("out.mp4.frames")
FRAMES = 5


def write_clip(path, frames, fps=12, **more):
    """Write arrays of pixels as a clip."""
    height, width, _ = frames[0].shape
    with ClipWriter(path, height, width, Fraction(fps), **more) as writer:
        for frame in frames:
            writer.write(np.ascontiguousarray(frame))


def panned(picture, seed=0, count=FRAMES, height=36, width=64):
    """Frames of a window that moves over a picture, two pixels a frame."""
    wide = np.rint(np.asarray(picture(seed, height, width + 2 * count)) * 255).astype(np.uint8)
    return [wide[:, 2 * i : 2 * i + width] for i in range(count)]


@pytest.fixture
def clip(folder, picture):
    """A current folder with a clip and a style picture; the network has few channels."""
    write_clip("clip.mov", panned(picture), codec="png")
    Path("content.png").unlink()
    return folder


def pixels_of(path):
    return [frame for _, frame in open_clip(path).frames()]


def test_it_makes_a_clip_of_the_same_length_and_rate_and_says_so(clip, capsys):
    assert main([*MADE, "--report", "r.json"]) == 0
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines()[-1].startswith("out.mp4: 5 frames, 48x28, ")
    made = open_clip("out.mp4")
    assert (made.height, made.width, made.fps, made.count) == (28, 48, 12, FRAMES)
    assert names_in() == ["clip.mov", "out.mp4", "r.json", "style.png"]
    report = json_of("r.json")
    assert [one["steps"] for one in report["made"]] == [4, 2, 2, 2, 2]
    assert (report["compilations"], report["scenes"], report["frames"]) == (1, [1], FRAMES)
    assert "temporal" in report["made"][1]["terms"]


def test_the_temporal_loss_makes_a_clip_steadier(clip, capsys):
    errors = []
    for weight in ("0", "1000"):
        more = ["--temporal-weight", weight, "--learning-rate", "0.1", "--later-steps", "5"]
        assert main([*MADE, "--codec", "png", "-o", "out.mov", *more]) == 0
        capsys.readouterr()
        given = ["--content", "clip.mov", "--style", "style.png", "--json", *SHALLOW]
        assert main(["score", "out.mov", *given]) == 0
        errors.append(json.loads(capsys.readouterr().out)["warping_error"])
    free, held = errors
    assert held < 0.7 * free


def test_save_frames_keeps_the_frames_of_the_clip_and_nothing_else(clip):
    assert main([*MADE, "--save-frames", "kept"]) == 0
    assert names_in("kept") == [f"frame-{n:06}.png" for n in range(1, FRAMES + 1)]
    assert not KEPT.exists()
    described = json.loads(images.read_description("kept/frame-000001.png"))
    assert described["clip"]["later_steps"] == 2


def test_a_part_at_another_rate(clip):
    assert main([*MADE, "--start", "0.1", "--end", "0.35", "--fps", "24"]) == 0
    made = open_clip("out.mp4")
    assert (made.count, made.fps) == (6, 24)


def test_folders_and_patterns_of_frames_are_clips(clip, picture):
    for name in ("frames", "odd"):
        Path(name).mkdir()
    for number, frame in enumerate(panned(picture, count=3), start=9):  # 10 comes after 9
        save(f"frames/f{number}.png", frame.astype(np.float32) / 255)
    assert main(["video", "frames", "style.png", "-o", "a.mp4", *SMALL]) == 0
    assert main(["video", "frames/f*.png", "style.png", "-o", "b.mp4", *SMALL]) == 0
    assert Path("a.mp4").read_bytes() == Path("b.mp4").read_bytes()
    assert (open_clip("a.mp4").count, open_clip("a.mp4").fps) == (3, 24)


def test_preview_makes_some_frames_alone(clip, capsys):
    assert main([*MADE, "--preview", "2"]) == 0
    assert names_in() == ["clip.mov", "out-preview-1.png", "out-preview-2.png", "style.png"]
    assert "out-preview-2.png: frame 4 of 5" in capsys.readouterr().err
    assert images.read("out-preview-1.png").rgb.shape == (28, 48, 3)


def test_plan_makes_nothing_and_tells_frames_time_and_disk(clip, capsys):
    assert main([*MADE, "--plan", "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert (planned["frames"], planned["width"], planned["height"]) == (FRAMES, 48, 28)
    assert planned["compilations"] == 1
    assert planned["disk_bytes"] > 48 * 28 * FRAMES
    assert main([*MADE, "--plan"]) == 0
    assert "5 frames of 48x28, 1 compilation, " in capsys.readouterr().out
    assert names_in() == ["clip.mov", "style.png"]


def test_flow_of_the_user_is_used(clip):
    Path("flow").mkdir()
    for one in range(1, FRAMES):
        forth = np.broadcast_to(np.float32([-1.5, 0]), (28, 48, 2))
        write_flo(f"flow/forward_{one}_{one + 1}.flo", forth)
        write_flo(f"flow/backward_{one + 1}_{one}.flo", -forth)
    before = files_in("flow")
    assert main([*MADE, "--flow", "flow", "--save-frames", "given"]) == 0
    assert files_in("flow") == before
    assert main([*MADE, "--save-frames", "found"]) == 0
    given, found = (files_in(name) for name in ("given", "found"))
    assert given[Path("given/frame-000001.png")] == found[Path("found/frame-000001.png")]
    assert given[Path("given/frame-000005.png")] != found[Path("found/frame-000005.png")]


def test_a_mask_may_be_a_clip(clip, picture):
    left = [np.zeros((36, 64, 3), np.uint8) for _ in range(FRAMES)]
    for index, frame in enumerate(left):
        frame[:, : 16 + 4 * index] = 255
    write_clip("mask.mov", left, codec="png")
    save("half.png", np.where(np.arange(40)[None, :, None] < 20, 1.0, np.zeros((40, 40, 3))))
    masks = ["--content-mask", "mask.mov", "--style-mask", "half.png"]
    assert main([*MADE, *masks, "--save-frames", "masked", "--report", "r.json"]) == 0
    assert "style/relu1_1/inside" in json_of("r.json")["made"][-1]["terms"]
    assert len(names_in("masked")) == FRAMES


def test_a_preview_takes_the_mask_at_its_frame(clip, picture):
    shown = [np.full((36, 64, 3), 255 * (index >= 3), np.uint8) for index in range(FRAMES)]
    write_clip("mask.mov", shown, codec="png")
    save("white.png", np.ones((40, 40, 3)))
    save("all.png", np.ones((36, 64, 3)))
    masks = ["--content-mask", "mask.mov", "--style-mask", "white.png"]
    assert main([*MADE, "--preview", "2", *masks]) == 0
    assert main([*MADE, "--preview", "2", "--content-mask", "all.png", *masks[2:]]) == 0
    made = [images.read(path).rgb for path in sorted(Path().glob("out-preview-2*.png"))]
    np.testing.assert_array_equal(*made)
    assert not KEPT.exists()


def test_original_colors_keep_the_hue_of_the_content(clip):
    assert main([*MADE, "--original-colors", "--save-frames", "kept"]) == 0
    content = images.resize(pixels_of("clip.mov")[-1].astype(np.float32) / 255, 28, 48)
    made = images.read(f"kept/frame-{FRAMES:06}.png").rgb
    difference = (made - content).mean((0, 1))
    assert np.ptp(difference) < 0.02  # brightness alone


# --- ends -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("passes", ["1", pytest.param("3", marks=pytest.mark.slow)])
def test_after_an_end_the_same_command_goes_on_to_the_same_frames(
    clip, capsys, monkeypatch, passes
):
    more = ["--passes", passes, "--history", "1,2"]
    assert main([*MADE, *more, "--save-frames", "whole"]) == 0
    shutil.copy("out.mp4", "whole.mp4")
    make, left = method.make_frame, [3]

    def failing(*arguments):
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        make(*arguments)

    monkeypatch.setattr(method, "make_frame", failing)
    status, ends = 130, 0
    while status == 130:
        left[0], ends = 3, ends + 1
        capsys.readouterr()
        status = main([*MADE, *more])
        if status == 130:
            said = capsys.readouterr().err.splitlines()[-1]
            assert f"are kept in {KEPT}: the same command goes on" in said
            monkeypatch.setattr(method, "make_frame", failing)
        if ends > 3 * FRAMES:
            monkeypatch.setattr(method, "make_frame", make)
    assert Path("out.mp4").read_bytes() == Path("whole.mp4").read_bytes()
    assert not KEPT.exists()


def test_other_settings_do_not_go_on_with_frames_that_are_there(clip, capsys, monkeypatch):
    make, frames = method.make_frame, []

    def failing(*arguments):
        if len(frames) == allowed:
            raise OSError(errno.ENOSPC, "no space")
        frames.append(arguments)
        make(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(method, "make_frame", failing)
        allowed = 0
        assert main(MADE) == 1
        allowed = 2  # nothing was made: nothing is lost by other settings
        assert main([*MADE, "--later-steps", "1"]) == 1
        assert "no space" in capsys.readouterr().err
    before = files_in(KEPT)
    assert main([*MADE, "--later-steps", "3"]) == 1
    assert "made with another later_steps" in capsys.readouterr().err
    assert files_in(KEPT) == before


def test_two_processes_do_not_work_on_one_clip(clip, capsys):
    with Folder(KEPT).locked():
        assert main(MADE) == 1
    said = capsys.readouterr().err
    assert f"{KEPT}: another process (pid {os.getpid()} on " in said
    assert "wait for it to end, or name another output" in said
    assert main(MADE) == 0
    assert not KEPT.exists()


@pytest.mark.slow
def test_ten_kills_change_no_byte(clip, picture):
    """kill -9 at random moments, and the same command each time."""
    write_clip("clip.mov", panned(picture, count=24), codec="png")
    command = [sys.executable, "-c", SMALL_COMMAND, *MADE, "--quiet"]
    command[command.index("48")] = "64"
    environment = process_environment(XDG_CACHE_HOME=str(clip / "cache"))
    subprocess.run([*command, "--save-frames", "whole"], env=environment, check=True)
    shutil.move("out.mp4", "whole.mp4")
    moments, kills = random.Random(0), 0
    while kills < 10:
        process = subprocess.Popen([*command, "--save-frames", "kept"], env=environment)
        done = len(list(Path("kept").glob("frame-*")))
        deadline = time.monotonic() + 120
        # Not before it has begun, and somewhere within the next frames.
        while len(list(Path("kept").glob("frame-*"))) <= done and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(moments.random() * 0.1)
        if process.poll() is not None:
            break
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        kills += 1
    if Path("kept/clip.json").exists():  # a fast machine may be done before the tenth
        subprocess.run([*command, "--save-frames", "kept"], env=environment, check=True)
    assert kills >= 5
    kept, whole = (sorted(Path(name).glob("frame-*")) for name in ("kept", "whole"))
    assert [path.name for path in kept] == [path.name for path in whole]
    assert [path.read_bytes() for path in kept] == [path.read_bytes() for path in whole]
    assert Path("out.mp4").read_bytes() == Path("whole.mp4").read_bytes()


@pytest.mark.slow
def test_scenes_over_two_devices_are_the_same_clip(clip, picture):
    scenes = [panned(picture, seed, count=4) for seed in (0, 5, 9)]
    write_clip("clip.mov", [frame for scene in scenes for frame in scene], codec="png")
    command = [sys.executable, "-c", SMALL_COMMAND, *MADE, "--quiet"]
    for devices in (1, 2):
        environment = process_environment(devices, XDG_CACHE_HOME=str(clip / "cache"))
        own = ["--save-frames", f"on-{devices}", "--report", f"{devices}.json"]
        subprocess.run([*command, *own], env=environment, check=True, timeout=300)
    assert json_of("1.json")["scenes"] == [1, 5, 9]
    assert json_of("2.json")["compilations"] == 2  # one for each device
    assert [*files_in("on-1").values()] == [*files_in("on-2").values()]


# --- scores ---------------------------------------------------------------------------------------


def test_score_tells_how_well_a_clip_holds_still(clip, picture, capsys):
    noise = np.random.default_rng(0).integers(0, 30, (FRAMES, 36, 64, 3), dtype=np.uint8)
    frames = panned(picture)
    write_clip("steady.mov", frames, codec="png")
    flickering = [
        np.clip(f.astype(int) + n, 0, 255).astype(np.uint8)
        for f, n in zip(frames, noise, strict=True)
    ]
    write_clip("flickering.mov", flickering, codec="png")
    found = []
    for name in ("steady.mov", "flickering.mov"):
        given = ["score", name, "--content", "clip.mov", "--style", "style.png", "--json", *SHALLOW]
        assert main(given) == 0
        found.append(json.loads(capsys.readouterr().out))
    steady, flickers = found
    assert steady["frames"] == FRAMES
    assert steady["warping_error"] < 1e-3
    # The variance of the noise, twice, less what interpolation takes away.
    assert 2e-3 < flickers["warping_error"] < 2 * 30**2 / 12 / 255**2
    assert set(steady["terms"]) == {"content/relu1_1", "style/relu1_1", "tv"}


def test_score_refuses_a_clip_of_another_length(clip, picture, refused):
    write_clip("short.mov", panned(picture, count=3), codec="png")
    given = "score short.mov --content clip.mov --style style.png"
    refused(given.split() + SHALLOW, 1, "short.mov: has about 3 frames")


# --- refusals -------------------------------------------------------------------------------------


def test_a_note_tells_if_the_disk_may_become_full(clip, capsys, monkeypatch):
    monkeypatch.setattr(command, "disk_usage", lambda path: SimpleNamespace(free=1000))
    assert main(MADE) == 0
    assert "note: out.mp4.frames may need" in capsys.readouterr().err


def test_a_note_tells_that_sound_is_lost(clip, monkeypatch):
    monkeypatch.setattr(Clip, "audio", [object()])
    assert command._silent(Path("a.mp4"), open_clip("clip.mov")) == []
    assert command._silent(Path("a.gif"), open_clip("clip.mov")) == [
        "a.gif: has no sound, as GIF has none"
    ]


def test_bad_input_is_refused_in_one_line(clip, picture, refused):
    Path("text.mp4").write_text("no clip")
    Path("gap").mkdir()
    for number in (1, 2, 4):
        save(f"gap/{number}.png", picture(0, 36, 64))
    Path("mixed").mkdir()
    save("mixed/1.png", picture(0, 36, 64))
    save("mixed/2.png", picture(0, 40, 64))
    Path("flow").mkdir()
    write_clip("mask.mov", panned(picture), codec="png")
    write_clip("short.mov", panned(picture, count=3), codec="png")
    Path("w.h5").touch()
    Path("out.mp4.frames/content").mkdir(parents=True)
    save("out.mp4.frames/content/1.png", picture(0, 36, 64))
    Path("animations").mkdir()
    for number in (1, 2):
        images.write(f"animations/{number}.webp", images.Picture(picture(0, 36, 64)))
    full = Path("full.mp4.frames")
    full.mkdir()
    (full / "mine.txt").write_text("mine")
    for arguments, status, said in (
        ("clip.mov", 2, "at least one STYLE"),
        ("clip.mov style.png", 2, "-o OUT.mp4"),
        ("no.mp4 style.png -o out.mp4", 1, "no.mp4"),
        ("text.mp4 style.png -o out.mp4", 1, "text.mp4"),
        ("gap style.png -o out.mp4", 1, "gap"),
        ("mixed style.png -o out.mp4", 1, "2.png"),
        ("clip.mov style.png -o out.mp4 --start 9", 1, "clip.mov"),
        ("clip.mov style.png -o out.mp4 --start 0.2 --end 0.1", 1, "clip.mov"),
        ("clip.mov style.png -o out.xyz", 1, ".xyz"),
        ("clip.mov style.png -o no/out.mp4", 1, "no"),
        ("clip.mov style.png -o out.mp4 --codec prores", 1, "prores"),
        ("clip.mov style.png -o clip.mov", 1, "clip.mov"),
        ("clip.mov style.png -o mask.mov --content-mask mask.mov", 1, "mask.mov: is read"),
        ("clip.mov style.png -o out.mp4 --report w.h5 --weights w.h5", 1, "w.h5: is read"),
        ("animations style.png -o animations/2.webp", 1, "animations/2.webp: is read"),
        ("clip.mov style.png -o out.mp4 --content-mask short.mov", 1, "short.mov: has 3 frames"),
        ("clip.mov style.png -o out.mp4 --quality 101", 2, "from 0 to 100"),
        ("clip.mov style.png -o out.mp4 --flow no", 2, "no such folder"),
        ("clip.mov style.png -o out.mp4 --flow flow --save-frames flow", 2, "is in flow, where"),
        ("out.mp4.frames/content style.png -o out.mp4", 2, "is in out.mp4.frames, where"),
        ("clip.mov style.png -o out.mp4 --later-steps -1", 2, "--later-steps must be at least 0"),
        ("clip.mov style.png -o out.mp4 --history 0", 2, "--history must be at least 1"),
        ("clip.mov style.png -o out.mp4 --auto-masks 2", 2, "--content-mask"),
        ("clip.mov style.png -o out.mp4 --padding circular", 2, "does not go with clips"),
        ("clip.mov style.png -o full.mp4", 1, "is not empty"),
    ):
        refused(["video", *arguments.split(), *SHALLOW], status, said)


def test_flow_of_another_size_or_missing_is_refused(clip, capsys):
    Path("flow").mkdir()
    assert main([*MADE, "--flow", "flow"]) == 1
    assert "backward_2_1.flo" in capsys.readouterr().err
    shutil.rmtree(KEPT)
    write_flo("flow/backward_2_1.flo", np.zeros((10, 12, 2), np.float32))
    write_flo("flow/forward_1_2.flo", np.zeros((10, 12, 2), np.float32))
    assert main([*MADE, "--flow", "flow"]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert (
        "flow/backward_2_1.flo: is a flow of 12x10, and the frames of the result are 48x28" in said
    )


def test_a_damaged_clip_is_made_as_far_as_it_can_be_read(clip, picture, capsys):
    write_clip("long.mp4", panned(picture, count=12))
    whole = Path("long.mp4").read_bytes()
    Path("cut.mp4").write_bytes(whole[: int(len(whole) * 0.95)])
    assert main(["video", "cut.mp4", "style.png", "-o", "out.mp4", *SMALL]) == 0
    assert "note: cut.mp4" in capsys.readouterr().err
    assert 0 < open_clip("out.mp4").count < 12


def test_without_the_packages_it_says_what_to_install(clip, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    assert main(MADE) == 1
    assert "pip install 'jaxstyle[video]'" in capsys.readouterr().err
    monkeypatch.undo()
    os.chdir(clip)
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert main(MADE) == 1
    assert "pip install 'jaxstyle[video]'" in capsys.readouterr().err
