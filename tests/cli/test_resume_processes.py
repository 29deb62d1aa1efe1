"""Runs as processes of their own: ended and killed, they lose nothing."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jaxstyle.network import machine, tuning
from tests.cli.conftest import KEPT, PAIR, SHALLOW, newest_checkpoint, rgb_of, run
from tests.processes import SMALL_COMMAND, process_environment

LONG = [*PAIR, "--size", "64", "--smallest-size", "64", *SHALLOW]
LONG += ["--optimizer", "lbfgs", "--history", "5"]
KEEP = ["--resume", "--checkpoint-every", "0.05"]


@pytest.fixture
def start(folder):
    """A function that starts a command; in the cache nothing is left to be measured."""
    cache = folder / "cache"
    measured = cache / "jaxstyle" / f"convolutions-{machine.fingerprint()}.json"
    measured.parent.mkdir(parents=True)
    measured.write_text(tuning.remembered_path().read_text())

    def start(command, *flags, **variables):
        return subprocess.Popen(
            [sys.executable, *command, "run", *LONG, *flags],
            stderr=subprocess.PIPE,
            text=True,
            env=process_environment(XDG_CACHE_HOME=str(cache), **variables),
        )

    return start


def wait_for_another(process, than):
    """Until there is a newer checkpoint; the process must not have ended before."""
    deadline = time.monotonic() + 120
    while newest_checkpoint() <= than:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def end(process):
    """End a process that has just begun, and check that it keeps what it reached."""
    wait_for_another(process, than=0)
    process.send_signal(signal.SIGTERM)
    _, printed = process.communicate(timeout=60)
    assert process.returncode == 143, printed
    assert printed.splitlines()[0] == f"{KEPT}: no checkpoint: starting from the beginning"
    assert printed.splitlines()[1].startswith("jaxstyle: terminated: saved a checkpoint (step ")
    assert not Path("out.png").exists()


def kill(process):
    """Kill a process that goes on, once it has kept more than it found."""
    wait_for_another(process, than=newest_checkpoint())
    process.kill()
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert not Path("out.png").exists()


def check_it_is_whole(printed):
    """Check the picture against an untouched one, and that nothing is left behind."""
    assert printed.splitlines()[0].startswith(f"{KEPT}: continuing from step ")
    assert rgb_of("out.png").tobytes() == rgb_of("untouched.png").tobytes()
    assert not KEPT.exists()
    assert not list(Path().glob(".jaxstyle-*"))


def test_processes_that_are_ended_and_killed_lose_nothing(start, capsys):
    """SIGTERM, kill -9, and the rest in this process, against a run that was left alone."""
    steps = "--steps", "120"
    for stop in (end, kill):
        stop(start(["-c", SMALL_COMMAND], "-o", "out.png", *steps, *KEEP))
    capsys.readouterr()
    assert run(*LONG, *steps, "-o", "out.png", "--resume") == 0
    printed = capsys.readouterr().err
    assert run(*LONG, *steps, "-o", "untouched.png") == 0
    check_it_is_whole(printed)


@pytest.mark.slow
def test_processes_with_a_network_of_full_size_lose_nothing(start, weights_path):
    """SIGTERM, kill -9, and the rest, against one process that was left alone."""

    def process(*flags):
        command, environment = ["-m", "jaxstyle"], {"JAXSTYLE_WEIGHTS": str(weights_path)}
        return start(command, "--steps", "300", *flags, **environment)

    alone = process("-o", "untouched.png")
    alone.communicate(timeout=120)
    assert alone.returncode == 0
    for stop in (end, kill):
        stop(process("-o", "out.png", *KEEP))
    last = process("-o", "out.png", *KEEP)
    _, printed = last.communicate(timeout=120)
    assert last.returncode == 0
    check_it_is_whole(printed)
