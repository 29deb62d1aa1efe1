"""Checkpoints of real processes: killed at any moment, and several at once."""

import os
import signal
import socket
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
import orbax.checkpoint

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
    time.sleep(random.Random(seed).uniform(0.3, 0.9))
    os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    if os.WIFEXITED(status):
        sys.exit(os.WEXITSTATUS(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills processes that it forks")
def test_it_is_whole_whenever_the_process_is_killed(tmp_path):
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


def test_processes_do_not_wait_for_each_other(tmp_path):
    """Two processes of one program, each with a checkpoint of its own that the other has not."""
    script = """
import sys
import jax
jax.distributed.initialize(sys.argv[1], 2, int(sys.argv[2]))
import jax.numpy as jnp
from pathlib import Path
from jaxstyle.runs.checkpoint import load, save
own = Path(sys.argv[3])
if jax.process_index() == 1:
    save(own, {"a": jnp.arange(3) + jax.process_index()})
    assert load(own)["a"].tolist() == [1, 2, 3]
assert jax.process_count() == 2
"""
    address = f"localhost:{free_port()}"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, address, str(index), str(tmp_path / str(index))],
            env=process_environment(),
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]
    try:
        said = [process.communicate(timeout=120)[1] for process in processes]
    finally:
        for process in processes:
            process.send_signal(signal.SIGKILL)
    assert [process.returncode for process in processes] == [0, 0], said
    assert load(tmp_path / "1")["a"].tolist() == [1, 2, 3]
    assert not (tmp_path / "0").exists()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listening:
        listening.bind(("localhost", 0))
        return listening.getsockname()[1]
