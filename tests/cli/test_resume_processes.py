"""Runs as processes of their own: ended and killed, they lose nothing."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from jaxstyle import image as images
from jaxstyle import machine, tuning
from jaxstyle.image import Picture

KEPT = Path("out.png.checkpoint")
LAYERS = ["--content-layers", "relu2_2", "--style-layers", "relu1_1,relu2_1"]
LONG = ["--size", "64", "--smallest-size", "64", "--steps", "300", *LAYERS]


@pytest.fixture
def real(tmp_path, picture, weights_path, monkeypatch):
    """A folder for whole processes, and a cache in which nothing is left to be measured."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAXSTYLE_WEIGHTS", str(weights_path))
    images.write("content.png", Picture(np.asarray(picture(0, 48, 64))))
    images.write("style.png", Picture(np.asarray(picture(1, 40, 40))))
    cache = tmp_path / "cache" / "jaxstyle"
    cache.mkdir(parents=True)
    measured = cache / f"convolutions-{machine.fingerprint()}.json"
    measured.write_text(tuning.remembered_path().read_text())
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }

    def start(*flags):
        command = [sys.executable, "-m", "jaxstyle", "run", "content.png", "style.png"]
        return subprocess.Popen(
            [*command, *flags, *LONG], stderr=subprocess.PIPE, text=True, env=environment
        )

    return start


def newest():
    """The number of the newest checkpoint that is whole, or 0."""
    names = [path.name for path in KEPT.glob("*") if "." not in path.name]
    return max((int(name.partition("-")[0]) for name in names), default=0)


def wait_for_another(process, than):
    """Until there is a newer checkpoint; the process must not have ended before."""
    deadline = time.monotonic() + 120
    while newest() <= than:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_real_processes_that_are_killed_lose_nothing(real):
    """SIGTERM, kill -9, and the rest, against one process that was left alone."""
    alone = real("-o", "untouched.png", "--optimizer", "lbfgs", "--history", "5")
    alone.communicate(timeout=120)
    assert alone.returncode == 0

    def start():
        flags = "--optimizer", "lbfgs", "--history", "5", "--resume", "--checkpoint-every", "0.1"
        return real("-o", "out.png", *flags)

    process = start()
    wait_for_another(process, than=0)
    process.send_signal(signal.SIGTERM)
    _, printed = process.communicate(timeout=60)
    assert process.returncode == 143
    assert printed.splitlines()[0] == f"{KEPT}: no checkpoint: starting from the beginning"
    assert printed.splitlines()[1].startswith("jaxstyle: terminated: kept the run (step ")
    assert not Path("out.png").exists()

    process = start()
    wait_for_another(process, than=newest())
    process.kill()
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert not Path("out.png").exists()

    process = start()
    _, printed = process.communicate(timeout=120)
    assert process.returncode == 0
    assert printed.splitlines()[0].startswith(f"{KEPT}: going on from step ")
    assert images.read("out.png").rgb.tobytes() == images.read("untouched.png").rgb.tobytes()
    assert not KEPT.exists()
    assert not list(Path().glob(".jaxstyle-*"))
