"""Output folders: complete, without partial files or repeated work, even after a kill."""

import json
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from jaxstyle import images
from jaxstyle.__main__ import main
from jaxstyle.batch import retry
from jaxstyle.batch import worker as workers
from jaxstyle.batch.folder import missing_outputs, run_jobs
from jaxstyle.batch.jobs import product
from jaxstyle.batch.ledger import Ledger
from jaxstyle.batch.storage import Folder
from jaxstyle.batch.worker import Options, Worker, undescribed
from jaxstyle.errors import LedgerError, StorageError, WouldReplaceError
from jaxstyle.execution.workers.local import Local
from jaxstyle.images import Picture
from jaxstyle.network import weights
from jaxstyle.runs.inputs import Inputs
from jaxstyle.runs.stylize import run
from jaxstyle.settings import resolve
from tests.processes import SMALL_COMMAND, process_environment

SETTINGS = resolve(
    size=32, smallest_size=32, steps=2, style_layers="relu1_1", content_layers="relu1_1"
)


@pytest.fixture
def pictures(tmp_path, picture):
    """Write contents of several shapes, one of them unreadable, and two styles."""
    for index, (height, width) in enumerate([(24, 32), (24, 32), (32, 24), (24, 32)]):
        content = Picture(np.asarray(picture(index, height, width)))
        images.write(tmp_path / f"c{index}.png", content)
    (tmp_path / "c1.png").write_bytes(b"no picture")
    for index in range(2):
        images.write(tmp_path / f"s{index}.png", Picture(np.asarray(picture(9 + index, 30, 30))))
    contents = [str(tmp_path / f"c{index}.png") for index in range(4)]
    return product(contents, [str(tmp_path / f"s{index}.png") for index in range(2)], SETTINGS)


@pytest.fixture
def do(tmp_path, small_weights):
    """Return a function that runs jobs into a folder."""

    def run(jobs, options=None, watch=lambda status: None, force=False):
        workers.forget_pictures()
        out = Folder(str(tmp_path / "out"))
        on = Local(Worker(small_weights, out, options or Options(batch_size=2)))
        with Ledger.open(out, {}, force) as ledger:
            missing = missing_outputs(jobs, out, ledger, undescribed)
            return run_jobs(jobs, missing, out, ledger, on, watch)

    return run


def log_of(tmp_path):
    lines = (tmp_path / "out" / "log.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def files_in(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_picture_equals_its_single_run(tmp_path, pictures, do, small_weights):
    status = do(pictures)
    assert (status.total, status.made, status.failed, status.found) == (8, 6, 2, 0)
    for job in pictures:
        path = tmp_path / "out" / job.output
        assert path.exists() is ("c1" not in job.content)
        if path.exists():
            styles = [images.read(style).rgb for style in job.styles]
            content = images.read(job.content)
            alone = run(small_weights, Inputs(content, styles, SETTINGS))
            np.testing.assert_allclose(images.read(path).rgb, alone.image, atol=1.01 / 255)
    failed = [line for line in log_of(tmp_path) if line["status"] == "failed"]
    assert {line["output"] for line in failed} == {"c1__s0.png", "c1__s1.png"}
    assert all("c1.png" in line["reason"] for line in failed)


def test_existing_outputs_are_not_made_again(tmp_path, pictures, do):
    do(pictures)
    before = {
        p.name: (p.stat().st_mtime_ns, p.read_bytes()) for p in (tmp_path / "out").glob("*.png")
    }
    status = do(pictures)
    assert (status.made, status.found, status.failed) == (0, 6, 2)
    (tmp_path / "out" / "c0__s1.png").unlink()
    status = do(pictures)
    assert (status.made, status.found) == (1, 5)
    for path in (tmp_path / "out").glob("*.png"):
        time_before, data = before[path.name]
        assert path.read_bytes() == data
        assert (path.stat().st_mtime_ns == time_before) is (path.name != "c0__s1.png")
    assert do(pictures, force=True).made == 6


def test_changed_settings_are_run_only_where_that_is_forced(tmp_path, pictures, do):
    do(pictures)
    before = files_in(tmp_path)
    changed = [replace(job, settings=replace(SETTINGS, style_weight=9.0)) for job in pictures]
    with pytest.raises(WouldReplaceError):
        do(changed)
    assert files_in(tmp_path) == before
    assert do(changed, force=True).made == 6
    assert do(changed).found == 6


def test_a_program_for_each_shape_and_no_more(pictures, do):
    unseen = replace(SETTINGS, size=36, smallest_size=36, content_weight=0.0)
    assert do([replace(job, settings=unseen) for job in pictures]).compilations == 2


def test_sizes_that_go_into_a_bucket_come_out_exact(tmp_path, picture, do):
    style = tmp_path / "s.png"
    images.write(style, Picture(np.asarray(picture(50, 30, 30))))
    contents = []
    for index in range(8):
        path = tmp_path / f"photo{index}.png"
        images.write(path, Picture(np.asarray(picture(index, 20 + index, 32))))
        contents.append(str(path))
    unseen = replace(SETTINGS, size=64, smallest_size=64, content_weight=0.0)
    status = do(product(contents, [str(style)], unseen), Options(batch_size=4))
    assert status.made == 8
    assert status.compilations <= 2
    for index in range(8):
        made = images.read(tmp_path / "out" / f"photo{index}__s.png")
        assert made.rgb.shape == (40 + 2 * index, 64, 3)


def test_running_out_of_memory_halves_the_batch(tmp_path, pictures, do, monkeypatch):
    run_together, sizes = retry.run_together, []

    def scarce(loaded, cells, *arguments, **options):
        sizes.append(len(cells))
        if len(cells) > 1:
            raise MemoryError
        return run_together(loaded, cells, *arguments, **options)

    monkeypatch.setattr(retry, "run_together", scarce)
    assert do(pictures, Options(batch_size=4)).made == 6
    assert sizes[:3] == [4, 2, 1]
    sizes.clear()
    assert do(pictures, Options(batch_size=2), force=True).made == 6
    assert sizes.count(2) == 2  # once for each shape: from then on single pictures are tried


BAD_ROWS = {
    "init": {"init": "nowhere.png"},
    "fine style": {"fine_style": "nowhere.png"},
    "precision": {"precision": "float64"},
}


@pytest.mark.parametrize("bad", BAD_ROWS.values(), ids=BAD_ROWS)
def test_one_bad_row_does_not_stop_the_others(tmp_path, pictures, do, bad):
    rows = [job for job in pictures if "c1" not in job.content]
    rows[2] = replace(rows[2], settings=replace(SETTINGS, **bad))
    status = do(rows)
    assert (status.made, status.failed) == (5, 1)
    (line,) = [line for line in log_of(tmp_path) if line["status"] == "failed"]
    assert line["output"] == rows[2].output
    assert line["reason"]


def test_a_batch_of_which_nothing_can_be_read_is_not_run(pictures, do, monkeypatch):
    do(pictures)
    monkeypatch.setattr(workers, "run_in_halves", None)
    assert do(pictures).failed == 2


def test_pictures_that_may_stop_early_are_made_together(pictures, do):
    early = [replace(job, settings=replace(SETTINGS, tolerance=0.5)) for job in pictures]
    status = do(early)
    assert (status.made, status.failed) == (6, 2)
    assert status.slots == 2


def test_a_full_disk_stops_with_one_line(pictures, do, monkeypatch):
    def full(self, name, data):
        raise StorageError(f"{name}: cannot be written: No space left on device")

    monkeypatch.setattr(Folder, "write", full)
    with pytest.raises(StorageError, match="No space left"):
        do(pictures)


def test_an_interrupt_leaves_whole_pictures_and_the_rest_for_later(tmp_path, pictures, do):
    def stop(status):
        if status.made + status.failed >= 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        do(pictures, watch=stop)
    there = list((tmp_path / "out").glob("*.png"))
    assert 0 < len(there) < 6
    assert do(pictures).made == 6 - len(there)


COMMAND = (
    "batch --contents photos --styles styles -o {} --size 32 --smallest-size 32 --steps 2 "
    "--style-layers relu1_1 --content-layers relu1_1 --batch-size {} --quiet"
)


def command(out, batch_size=2):
    return COMMAND.format(out, batch_size).split()


def write_photos(folder, picture, count, shapes):
    """Write ``count`` contents, cycling through the shapes, and a style."""
    for index in range(count):
        rgb = np.asarray(picture(index, *shapes[index % len(shapes)]))
        path = folder / "photos" / f"{index:03}.png"
        path.parent.mkdir(exist_ok=True)
        images.write(path, Picture(rgb))
    (folder / "styles").mkdir()
    images.write(folder / "styles" / "style.png", Picture(np.asarray(picture(500, 24, 24))))


def pngs(folder):
    """When and where each picture of a folder was written, and its bytes, by name."""
    found = {path.name: (path.stat(), path.read_bytes()) for path in folder.glob("*.png")}
    return {name: (stat.st_ino, stat.st_mtime_ns, data) for name, (stat, data) in found.items()}


WAITS_IN_A_WRITE = (
    """
import os, stat, sys
from pathlib import Path
sync = os.fsync
def fsync(file):
    if stat.S_ISREG(os.fstat(file).st_mode) and len(list(Path("out").glob("*.png"))) == 3:
        print("in the middle", flush=True)
        sys.stdin.read()
    sync(file)
os.fsync = fsync
"""
    + SMALL_COMMAND
)
"""The command, blocked in the middle of writing the file after its third picture."""


def test_a_killed_batch_is_completed_by_the_next_and_nothing_is_made_twice(
    tmp_path, picture, small_weights, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(weights, "find", lambda path, tell: path)
    monkeypatch.setattr(weights, "load", lambda path: small_weights)
    write_photos(tmp_path, picture, 12, [(24, 32), (32, 24)])
    assert main(command("unkilled")) == 0
    with subprocess.Popen(
        [sys.executable, "-c", WAITS_IN_A_WRITE, *command("out")],
        env=process_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"in the middle\n"
        with pytest.raises(LedgerError) as refused, Ledger.open(Folder("out"), {}):
            pass
        process.kill()
    assert f"another process (pid {process.pid} on " in str(refused.value)
    assert "is working in out: wait for it" in str(refused.value)
    before, (half,) = pngs(tmp_path / "out"), (tmp_path / "out").glob(".jaxstyle-*.tmp")
    assert len(before) == 3 and half.stat().st_size > 0
    assert main(command("out")) == 0
    after, expected = pngs(tmp_path / "out"), pngs(tmp_path / "unkilled")
    assert before.items() <= after.items()
    assert {name: data for name, (*_, data) in after.items()} == {
        name: data for name, (*_, data) in expected.items()
    }
    assert len(after) == 12 and not half.exists()


def run_process(out, seconds=None):
    """Run the command, and kill it after ``seconds``; return its exit status and stderr."""
    process = subprocess.Popen(
        [sys.executable, "-c", SMALL_COMMAND, *command(out, batch_size=16)],
        stderr=subprocess.PIPE,
        text=True,
        env=process_environment(XDG_CACHE_HOME="cache"),
    )
    try:
        _, said = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return -signal.SIGKILL, ""
    return process.returncode, said


@pytest.mark.slow
def test_killed_at_any_moment_nothing_is_lost(tmp_path, picture, monkeypatch):
    """200 pictures of 7 shapes, 3 of them damaged, and 20 processes killed with SIGKILL."""
    monkeypatch.chdir(tmp_path)
    shapes = [(16, 24), (18, 24), (20, 24), (22, 24), (24, 24), (24, 22), (24, 20)]
    write_photos(tmp_path, picture, 200, shapes)
    for index in (3, 77, 150):
        path = tmp_path / "photos" / f"{index:03}.png"
        path.write_bytes(path.read_bytes()[:200])
    status, said = run_process("first")
    assert status == 1, said
    assert "3 of 200 could not be made" in said
    start = time.monotonic()
    assert run_process("unkilled")[0] == 1
    whole = time.monotonic() - start  # with the programs compiled before
    rng, seen, kills, out = random.Random(0), {}, 0, tmp_path / "out"
    while kills < 20:
        status, _ = run_process("out", seconds=rng.uniform(0.3, 0.9) * whole)
        kills += status == -signal.SIGKILL
        for name, written in pngs(out).items():
            assert seen.setdefault(name, written) == written, "written twice"
        if status != -signal.SIGKILL:  # it was quicker than the kill: another folder's worth
            for path in out.iterdir():
                path.unlink()
            seen.clear()
    assert run_process("out")[0] == 1
    made, expected = pngs(out), pngs(tmp_path / "unkilled")
    assert seen.items() <= made.items()
    assert {name: data for name, (*_, data) in made.items()} == {
        name: data for name, (*_, data) in expected.items()
    }
    assert len(expected) == 197
    for path in out.glob("*.png"):
        images.read(path)
    assert not list(out.glob(".jaxstyle-*"))


def test_a_picture_that_a_worker_wrote_elsewhere_is_not_done(tmp_path, pictures, do, monkeypatch):
    write, lost = Folder.write, "c0__s0.png"

    def unmounted(self, name, data):
        if name != lost:
            write(self, name, data)

    monkeypatch.setattr(Folder, "write", unmounted)
    status = do(pictures)
    assert (status.made, status.failed) == (5, 3)
    (line,) = [line for line in log_of(tmp_path) if line["output"] == lost][-1:]
    assert line["status"] == "failed" and "is not here, although a worker" in line["reason"]
    monkeypatch.undo()
    assert do(pictures).made == 1
