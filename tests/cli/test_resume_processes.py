"""Runs as processes of their own: ended and killed, they lose nothing."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jaxstyle.machine import host
from jaxstyle.network import tuning
from tests.cli.conftest import KEPT, PAIR, SHALLOW, newest_checkpoint, rgb_of, run
from tests.processes import SMALL_COMMAND, process_environment

LONG = [*PAIR, "--size", "64", "--smallest-size", "64", *SHALLOW]
LONG += ["--optimizer", "lbfgs", "--history", "5"]
KEEP = ["--resume", "--checkpoint-every", "0.05"]


@pytest.fixture
def start(folder):
    """A function that starts a command; in the cache nothing is left to be measured."""
    cache = folder / "cache"
    measured = cache / "jaxstyle" / f"convolutions-{host.fingerprint()}.json"
    measured.parent.mkdir(parents=True)
    measured.write_text(tuning.remembered_path().read_text())

    def start(command, *flags, stderr=subprocess.PIPE, **variables):
        return subprocess.Popen(
            [sys.executable, *command, "run", *LONG, *flags],
            stderr=stderr,
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


STUCK = f"""
import ctypes, os
from jaxstyle.optim import solve
minimize = solve.minimize
def stuck(*arguments, **options):
    for index, report in enumerate(minimize(*arguments, **options)):
        yield report
        if index == 1:
            os.kill(os.getpid(), {signal.SIGTERM:d})
            for _ in range(1200):  # in C, as in XLA
                ctypes.CDLL(None).usleep(100_000)
solve.minimize = stuck
{SMALL_COMMAND}"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "saved"),
    [
        ([], "the picture so far (scale 1/1, step 2/9) as out-interrupted.png"),
        (["--resume"], f"a checkpoint (step 2 of scale 1) in {KEPT}: continue with --resume"),
    ],
    ids=["picture", "checkpoint"],
)
def test_a_run_that_is_busy_is_left_where_it_is(start, flags, saved):
    begin = time.monotonic()
    process = start(["-c", STUCK], "-o", "out.png", "--steps", "9", *flags)
    _, printed = process.communicate(timeout=110)
    assert process.returncode == 143
    assert printed.splitlines()[-2:] == ["stopping...", f"jaxstyle: terminated: saved {saved}"]
    assert time.monotonic() - begin < 60  # of the 120 for which it is busy
    if not flags:
        assert rgb_of("out-interrupted.png").shape == (48, 64, 3)


OTHERS = {
    "reconstruct content.png -o new/out.png": "terminated",
    "batch --contents content.png --styles style.png -o new": (
        "terminated: run the same command again to continue from here"
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("command", OTHERS, ids=lambda command: command.split()[0])
def test_other_commands_that_are_busy_are_left_too(folder, command):
    Path("new").mkdir()
    begin = time.monotonic()
    process = subprocess.run(
        [sys.executable, "-c", STUCK, *command.split(), "--size", "64", *SHALLOW],
        stderr=subprocess.PIPE,
        text=True,
        env=process_environment(XDG_CACHE_HOME=str(folder / "cache")),
    )
    assert process.returncode == 143, process.stderr
    assert process.stderr.splitlines()[-2:] == ["stopping...", f"jaxstyle: {OTHERS[command]}"]
    assert time.monotonic() - begin < 60  # of the 120 for which it is busy


@pytest.mark.slow
@pytest.mark.skipif("CI" in os.environ, reason="depends on how busy the machine is")
@pytest.mark.skipif(not hasattr(os, "openpty"), reason="terminals of Unix")
def test_a_terminal_that_is_closed_ends_a_run_with_all_of_it_kept(start):
    terminal, inside = os.openpty()
    process = start(
        ["-c", SMALL_COMMAND], "-o", "out.png", "--steps", "999999", *KEEP, stderr=inside
    )
    os.close(inside)
    wait_for_another(process, than=0)
    os.close(terminal)
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=60) == 129
    assert newest_checkpoint()
