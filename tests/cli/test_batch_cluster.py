"""``batch --cluster`` on real Ray nodes of this machine: lost nodes, killed drivers, bad input."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.nodes import cluster
from tests.cli.conftest import ONE_SCALE, save
from tests.processes import process_environment

pytest.importorskip("ray")
pytestmark = pytest.mark.slow

SHAPES = [(16, 24), (18, 24), (20, 24), (22, 24), (24, 24), (24, 20)]
CORRUPT = ("003.png", "031.png", "058.png")
ENVIRONMENT = {"XDG_CACHE_HOME": "cache", "PJRT_NPROC": "1"}
"""As the workers compute with one processor, so does the machine they are compared with."""


@pytest.fixture
def photos(folder, picture, weights_path):
    """Write 60 pictures of 6 shapes, 3 of them corrupt, and go to their parent."""
    shutil.copy(weights_path, "vgg.h5")
    for name in ("photos", "styles"):
        (folder / name).mkdir()
    for index in range(60):
        save(f"photos/{index:03}.png", picture(index, *SHAPES[index % 6]))
    for name in CORRUPT:
        path = folder / "photos" / name
        path.write_bytes(path.read_bytes()[:200])
    save("styles/s.png", picture(500, 24, 24))
    return folder


@pytest.fixture
def nodes(photos):
    """A cluster of two nodes, of one processor each."""
    own = {**ENVIRONMENT, "XDG_CACHE_HOME": str(photos / "cache")}
    with cluster(process_environment(**own)) as nodes:
        nodes.add()
        yield nodes


def started(*more, out="out"):
    """Start a batch in a process of its own."""
    given = ["batch", "--contents", "photos", "--styles", "styles", "-o", out, *ONE_SCALE]
    given += ["--weights", "vgg.h5", "--batch-size", "2", *more]
    return subprocess.Popen(
        [sys.executable, "-m", "jaxstyle", *given],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=process_environment(**ENVIRONMENT),
    )


class Watched:
    """The pictures of a folder, of which none may be written twice."""

    def __init__(self, folder="out"):
        self.folder, self.seen = Path(folder), {}

    def look(self):
        """Return the number of pictures that are there."""
        found = list(self.folder.glob("*.png"))
        for path in found:
            about = path.stat()
            written = about.st_ino, about.st_mtime_ns
            assert self.seen.setdefault(path.name, written) == written, "written twice"
        return len(found)

    def wait(self, process, count=1000):
        """Look until there are so many pictures or the process has ended."""
        while self.look() < count and process.poll() is None:
            time.sleep(0.02)


def check_result(process, *more):
    """Check what a batch has said at its end, and that it made what one machine makes."""
    said = process.communicate()[1]
    assert process.returncode == 1 and "3 of 60 could not be made" in said, said
    alone = started(*more, out="alone")
    alone.communicate()
    assert alone.returncode == 1
    made, expected = (sorted(Path(name).glob("*.png")) for name in ("out", "alone"))
    assert [path.name for path in made] == [path.name for path in expected]
    assert len(made) == 57
    for path, other in zip(made, expected, strict=True):
        assert path.read_bytes() == other.read_bytes()
    entries = [json.loads(line) for line in Path("out/log.jsonl").read_text().splitlines()]
    failed = {entry["content"] for entry in entries if entry["status"] == "failed"}
    assert failed == {f"photos/{name}" for name in CORRUPT}
    assert not list(Path("out").glob(".jaxstyle*")) and not list(Path("out").glob(".token*"))
    return said, entries


def test_a_cluster_that_loses_a_node_and_gets_another(nodes):
    third, steps, pictures = nodes.add(), ("--steps", "40"), Watched()
    process = started("--cluster", nodes.address, *steps)
    pictures.wait(process, 10)
    nodes.remove(third)
    nodes.add()
    pictures.wait(process)
    said, entries = check_result(process, *steps)
    assert "is lost: " in said
    assert len({entry["host"] for entry in entries if entry["status"] == "done"}) == 4, said


def test_a_driver_that_is_killed_again_and_again(nodes):
    rng, pictures = random.Random(0), Watched()
    for _ in range(5):
        process = started("--cluster", nodes.address)
        pictures.wait(process, pictures.look() + rng.randint(1, 6))
        assert process.poll() is None
        process.kill()
        process.communicate()
    process = started("--cluster", nodes.address)
    pictures.wait(process)
    check_result(process)


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_driver_that_is_told_to_end(nodes, number, status):
    pictures, given = Watched(), ("--cluster", nodes.address, "--steps", "400")
    process = started(*given)
    pictures.wait(process, 1)
    process.send_signal(number)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == status, said
    assert said.endswith(": run the same command again to continue from here\n")
    assert list(Path("out/.checkpoints").glob("*/checkpoint.npz"))
    assert not list(Path("out").glob(".token*"))
