"""Limits of the process are told in one line: of memory, address space and threads."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jaxstyle import images
from jaxstyle.cli import memory
from jaxstyle.errors import OutOfMemoryError
from jaxstyle.images import Picture
from jaxstyle.machine import resources
from jaxstyle.machine.resources import Limit
from tests.processes import ROOT, SMALL_COMMAND, process_environment

MB = 2**20


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        (Limit(600 * MB, 550 * MB, "ulimit -v"), "52 MB are left to this process by ulimit -v,"),
        (
            Limit(600 * MB, 700 * MB, "the limit of its control group"),
            "0 MB are left to this process by",
        ),
        (Limit(100 * MB, 0, ""), "105 MB are left to this process, and even the smallest"),
    ],
)
def test_too_little_memory_to_start_is_told(monkeypatch, limit, said):
    monkeypatch.setattr(resources, "memory_limit", lambda: limit)
    with pytest.raises(OutOfMemoryError, match=said) as refused:
        memory.check_start()
    assert "\n" not in str(refused.value)


def test_too_few_threads_to_start_are_told(monkeypatch):
    monkeypatch.setattr(resources, "free_threads", lambda: 3)
    with pytest.raises(OutOfMemoryError, match="too few threads: 3 are left"):
        memory.check_start()
    monkeypatch.setattr(resources, "free_threads", lambda: 10_000)
    memory.check_start()


LIMITED = """
import resource
for name, value in {limits}:
    resource.setrlimit(getattr(resource, name), (value, value))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
@pytest.mark.parametrize("megabytes", [600, 700, 850, 1000])
def test_a_limit_of_address_space_gives_one_line_or_a_picture(tmp_path, megabytes, picture):
    for name in ("a.png", "b.png"):
        images.write(tmp_path / name, Picture(np.asarray(picture(0, 48, 48))))
    limits = [("RLIMIT_AS", megabytes * 10**6)]
    code = SMALL_COMMAND.replace("entry()\n", LIMITED.format(limits=limits) + "entry()\n")
    command = ["run", "a.png", "b.png", "--size", "48", "--steps", "1", "-o", "o.png", "--quiet"]
    done = subprocess.run(
        [sys.executable, "-c", code, *command],
        cwd=tmp_path,
        env=process_environment() | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        assert (tmp_path / "o.png").exists()
    else:
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1, done.stderr
        assert done.stderr.startswith("jaxstyle: out of memory: ")


GROUPS = Path("/sys/fs/cgroup/memory")


@pytest.fixture
def group():
    """A control group of our own, below that of this process; needs the superuser, version 1."""
    lines = Path("/proc/self/cgroup").read_text().splitlines() if GROUPS.exists() else []
    own = [line.split(":", 2)[2] for line in lines if ":memory:" in line]
    try:
        folder = GROUPS / own[0].lstrip("/") / f"jaxstyle-test-{os.getpid()}"
        folder.mkdir()
    except (IndexError, OSError):
        pytest.skip("no control group can be made here")
    yield folder
    folder.rmdir()


@pytest.mark.slow
@pytest.mark.parametrize("megabytes", [350, 450, 600, 1500])
def test_a_plan_stays_within_a_container_and_tells_the_truth(group, tmp_path, megabytes, picture):
    for name in ("a.png", "b.png"):
        images.write(tmp_path / name, Picture(np.asarray(picture(0, 96, 96))))
    (group / "memory.limit_in_bytes").write_text(str(megabytes * 10**6))
    inside = f"import os; open({str(group / 'cgroup.procs')!r}, 'w').write(str(os.getpid()))\n"

    def done(*more):
        return subprocess.run(
            [sys.executable, "-c", inside + SMALL_COMMAND, "run", "a.png", "b.png", *more],
            cwd=tmp_path,
            env=process_environment() | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )

    sizes = ["--size", "96", "--steps", "2"]
    plan = done(*sizes, "--plan", "--quiet")
    run = done(*sizes, "-o", "o.png", "--quiet")
    assert plan.returncode in (0, 1), plan.stderr  # not killed
    fits = plan.returncode == 0 and plan.stdout.splitlines()[-1].startswith("fits: ")
    assert fits == (run.returncode == 0), run.stderr
    assert fits == (tmp_path / "o.png").exists()
    assert fits or (run.returncode == 1 and run.stderr.startswith("jaxstyle: out of memory: "))
