"""Checkpoints of processes that are killed at any moment."""

import os
import subprocess
import sys

import numpy as np
import pytest

from jaxstyle.runs.checkpoint import load
from tests.processes import process_environment

pytestmark = pytest.mark.slow

KILLED = """
import itertools, os, random, signal, sys, time
from pathlib import Path

import numpy as np

from jaxstyle.runs.checkpoint import load, save

directory = Path(sys.argv[1])


def tree(number):
    return {"number": number, "array": np.full(200_000, number, np.int32)}


def write():
    found = load(directory)
    first = found["number"] if found else 0
    if found and not (found["array"] == first).all():
        os._exit(3)
    for number in itertools.count(first + 1):
        save(directory, tree(number))
        os.write(1, b"%d\\n" % number)


def child(work):
    process = os.fork()
    if process:
        return process
    try:
        work()
    except BaseException as error:
        os.write(2, repr(error).encode())
        os._exit(4)
    os._exit(0)


for seed in range(10):
    process = child(write)
    time.sleep(random.Random(seed).uniform(0.1, 0.5))
    os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    if os.WIFEXITED(status):
        sys.exit(os.WEXITSTATUS(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills processes that it forks")
def test_a_checkpoint_is_whole_whenever_the_process_is_killed(tmp_path):
    """Ten times, at random moments: what was said to be kept is there, or something newer."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", KILLED, str(tmp_path / "c")],
        capture_output=True,
        text=True,
        env=process_environment(),
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    said = [int(line) for line in done.stdout.split()]
    assert said == sorted(set(said))
    found = load(tmp_path / "c")
    assert found["number"] in (said[-1], said[-1] + 1)
    np.testing.assert_array_equal(found["array"], found["number"])
