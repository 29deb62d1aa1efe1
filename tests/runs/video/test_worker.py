"""The worker of a clip on a cluster: what it makes, what is sent to it, and what it has to see."""

import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from jaxstyle.errors import DivergedError
from jaxstyle.execution.workers.process import Process
from jaxstyle.runs.video import stylize, worker
from jaxstyle.runs.video.folder import Folder
from jaxstyle.runs.video.worker import Needs, Scene, Worker, needs_of, with_absolute_paths
from tests.runs.video.clips import moving

SCENES = Scene(1, 3), Scene(4, 6)


def go_on():
    pass


@pytest.fixture
def ready(job, make):
    """A clip that was made, and the same job in a folder where only its frames are ready."""
    made, left = job("made", passes=2), job("left", passes=2)
    make(made, [*moving(3), *moving(3, seed=9)])
    ignored = shutil.ignore_patterns("frame-*", "[12]-*")
    shutil.copytree(made.folder.path, left.folder.path, ignore=ignored)
    return made, left


def test_it_makes_scenes_in_any_order_and_goes_on_with_what_is_there(ready):
    made, left = ready
    first = stylize.ClipHooks(lambda report: None)
    stylize.make_frame(left, 1, 4, 4, 4, first)
    one = Worker(left, go_on)
    reports = [one.finish(each, one.compute(one.prepare(each), print)) for each in SCENES[::-1]]
    assert [len(each.frames) for each in reports] == [5, 6]
    assert not any(each.problem for each in reports)
    assert pickle.loads(pickle.dumps(reports)) == reports
    for expected in made.folder.frames():
        assert (left.folder.path / expected.name).read_bytes() == expected.read_bytes()
    assert all(scene.is_made(left) for scene in SCENES)


def test_what_no_worker_could_do_better_is_reported(ready, monkeypatch):
    def failing(*arguments):
        raise DivergedError("frame 1: left the finite numbers")

    monkeypatch.setattr(stylize, "make_frame", failing)
    made = Worker(ready[1], go_on).compute(SCENES[0], print)
    assert (made.frames, made.problem) == ((), "frame 1: left the finite numbers")
    assert not SCENES[0].is_made(ready[1])


def test_a_job_is_sent_without_its_weights_and_with_absolute_paths(job, small_weights, monkeypatch):
    given = replace(job(), folder=Folder(Path("frames"), Path("flow")))
    masks = {"content_mask": ("masks/a.png",), "style_mask": ("/b.png",)}
    given = replace(given, settings=replace(given.settings, **masks))
    away = with_absolute_paths(given)
    set_up = worker.worker_of(away, Process(None, small_weights.sha256, False, None))
    monkeypatch.setattr(Process, "begin", lambda self, notes, cores: small_weights)
    monkeypatch.setattr(worker, "persist", go_on)
    sent = pickle.dumps(set_up)
    assert len(sent) < 100_000
    found = pickle.loads(sent)([], go_on, None).job
    assert found.loaded is small_weights
    assert found.folder == Folder(Path.cwd() / "frames", Path.cwd() / "flow")
    assert found.settings.content_mask == (f"{Path.cwd()}/masks/a.png",)
    assert found.settings.style_mask == ("/b.png",)


def test_a_machine_that_does_not_see_everything(ready, tmp_path):
    needs = needs_of(ready[1], list(SCENES), ("vgg.h5", 7, "advice"))
    assert [Path(path).name for path, *_ in needs.files] == ["000006.png", "vgg.h5"]
    assert needs.problem() == "does not see vgg.h5: advice"
    needs = replace(needs, files=needs.files[:1])
    assert needs.problem() == ""
    left = ready[1].folder.path
    assert replace(needs, record=b"[]").problem().startswith(f"does not see {left}: give a path")
    elsewhere = Needs(tmp_path / "no", needs.record, ())
    assert elsewhere.problem().startswith(f"does not see {tmp_path}/no: give a path that all")
    assert not (tmp_path / "no").exists()
