"""``video --cluster`` on real Ray nodes of this machine: scenes shared out, a worker killed."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from bench.nodes import cluster
from tests.cli.conftest import SHALLOW, files_in, json_of, save
from tests.cli.test_video import panned, write_clip
from tests.processes import process_environment

STEPS = ["--size", "48", "--smallest-size", "48", "--steps", "4", "--later-steps", "2", *SHALLOW]
MADE = ["video", "clip.mov", "style.png", "--weights", "vgg.h5", *STEPS]
ENVIRONMENT = {"XDG_CACHE_HOME": "cache", "PJRT_NPROC": "1"}
"""As the workers compute with one processor, so does the machine they are compared with."""


@pytest.fixture
def scenes(folder, picture, weights_path):
    """A current folder with a clip of three scenes of four frames, a style and weights."""
    pytest.importorskip("ray")
    frames = [frame for seed in (0, 5, 9) for frame in panned(picture, seed, count=4)]
    write_clip("clip.mov", frames, codec="png")
    shutil.copy(weights_path, "vgg.h5")
    return folder


@pytest.fixture
def nodes(scenes):
    """A cluster of two nodes, of one processor each."""
    own = {**ENVIRONMENT, "XDG_CACHE_HOME": str(scenes / "cache")}
    with cluster(process_environment(**own)) as nodes:
        nodes.second = nodes.add()
        yield nodes


def started(name, *more):
    """Start the making of a clip in a process of its own."""
    own = ["-o", f"{name}.mp4", "--save-frames", name, "--report", f"{name}.json"]
    return subprocess.Popen(
        [sys.executable, "-m", "jaxstyle", *MADE, *own, *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=process_environment(**ENVIRONMENT),
    )


def ended(process):
    """Wait for the end of a command; return what it has said."""
    said = process.communicate(timeout=240)[1]
    assert process.returncode == 0, said
    return said


def same(one, other):
    """Return whether two clips and their frames are equal, byte for byte."""
    frames = [[*files_in(name).values()] for name in (one, other)]
    clips = [Path(f"{name}.mp4").read_bytes() for name in (one, other)]
    return frames[0] == frames[1] and clips[0] == clips[1]


@pytest.mark.slow
def test_scenes_over_two_workers_are_the_clip_of_one_machine(nodes):
    ended(started("alone"))
    ended(started("shared", "--cluster", nodes.address))
    report = json_of("shared.json")
    assert report["scenes"] == [1, 5, 9]
    assert sorted(each["scenes"] for each in report["workers"]) == [1, 2]
    assert sorted(each["number"] for each in report["made"]) == [*range(1, 13)]
    assert same("alone", "shared")


@pytest.mark.slow
@pytest.mark.parametrize("passes", ["1", "2"])
def test_the_scene_of_a_lost_node_is_made_by_another(nodes, passes):
    more = ["--passes", passes, "--steps", "40", "--later-steps", "40"]
    ended(started("alone", *more))
    process = started("shared", "--cluster", nodes.address, *more)
    deadline = time.monotonic() + 200
    while len(list(Path("shared/results").glob("1-*.png"))) < 5 and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    nodes.remove(nodes.second)
    said = ended(process)
    assert " is lost: " in said
    assert json_of("shared.json")["lost_workers"] == 1
    assert same("alone", "shared")


@pytest.mark.slow
def test_one_scene_is_made_too_and_a_failure_is_one_line(nodes, picture):
    write_clip("clip.mov", panned(picture, count=3), codec="png")
    said = ended(started("one", "--cluster", nodes.address))
    assert "the clip is one scene, made by one worker: there is nothing to spread" in said
    save("black.png", np.zeros((36, 64, 3)))
    masks = "--content-mask", "black.png", "--style-mask", "black.png"
    process = started("bad", "--cluster", nodes.address, *masks)
    said = process.communicate(timeout=240)[1]
    assert process.returncode == 1
    assert said.splitlines()[-1].startswith("jaxstyle: frames 1 to 3: ")
    assert "black.png: 64x36 mask for a 40x40 picture" in said.splitlines()[-1]
    assert said.splitlines()[-1].endswith("the same command goes on")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("--retries 1", "--retries needs --cluster"),
        ("--cluster auto --devices 2", "--devices is for this machine, not for --cluster: give "),
        ("--cluster auto --preview 2", "--preview is for this machine, not for --cluster"),
        ("--cluster auto --plan", "--plan is for this machine, not for --cluster"),
        ("--cluster auto --wait 9", "--wait needs --worker-resources"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(folder, refused, given, said):
    refused(["video", "clip.mov", "style.png", "-o", "out.mp4", *given.split()], 2, said)
