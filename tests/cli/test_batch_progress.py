"""The progress table of a batch: its content, and no output without a terminal."""

import pytest
from rich.console import Console

from jaxstyle.batch.folder import Status
from jaxstyle.cli import batch_progress
from jaxstyle.cli.batch_progress import rows
from jaxstyle.execution.batched import Batched
from jaxstyle.execution.plan import Scale
from jaxstyle.execution.workers.cluster import Attempt, Member
from jaxstyle.execution.workers.tasks import Task
from jaxstyle.optim.solve import Course, Hyperparameters, Reached, State
from jaxstyle.runs.result import Progress

SCALES = [Scale(10, 10, 10, 100), Scale(20, 20, 20, 50)]  # of 30000 pixels times steps


def running(scale, step):
    nothing = State(None, None, None, None, None, None)
    reached = Reached(Hyperparameters(), nothing, (Course(step, total=0.0),) * 4)
    return Progress(SCALES, scale, reached, Batched(4), [False] * 4, 1.0)


def test_the_table_has_all_figures():
    status = Status(total=48, found=2, made=9, failed=1, slots=4, seconds=60.0, capacity=60.0)
    status.waited = 0.6
    status.running = running(1, 25)  # two thirds of it are done
    assert rows(status) == {
        "done": "11 of 48, 2 of them by earlier runs",
        "failed": "1",
        "left": "36",
        "running": "4 of 20x20: scale 2 of 2, step 25 of 50",
        "speed": "700 pictures per hour, 2:51 left",
        "waiting": "1.0% of the time for files",
    }


def test_the_table_of_a_cluster_has_its_workers():
    busy = Attempt(Task("cat__s.png and 3 more", "", None))
    members = [Member(None, None, devices="4 x TPU v6e", busy={1: busy}) for _ in range(2)]
    status = Status(48, 2, made=9, failed=1, seconds=60.0, capacity=120.0, waited=1.2)
    status.members, status.lost = members, 1
    assert rows(status) == {
        "done": "11 of 48, 2 of them by earlier runs",
        "failed": "1",
        "left": "36",
        "workers": "2 with 4 x TPU v6e; 1 lost",
        "running": "cat__s.png and 3 more, cat__s.png and 3 more",
        "speed": "540 pictures per hour, 4:00 left",
        "waiting": "1.0% of the time for files",
    }
    status.members = []
    assert rows(status)["workers"] == "none: waiting for one; 1 lost"


@pytest.mark.parametrize(
    "status",
    [
        Status(0, 0),
        Status(8, 0),
        Status(8, 8, seconds=1.0),
        Status(8, 0, failed=8, seconds=1.0),
        Status(2, 0, slots=4, running=running(0, 1)),
        Status(2, 0, made=2, slots=4, running=running(1, 50), seconds=3.0),
    ],
    ids=str,
)
def test_the_table_can_always_be_made(status):
    assert len(rows(status)) == 6 and all(rows(status).values())


def test_off_a_terminal_there_is_a_line_a_minute(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(batch_progress.time, "monotonic", lambda: now[0])
    with batch_progress.batch_progress() as show:
        for now[0] in (1.0, 59.0, 61.0, 62.0, 122.0):
            show(Status(8, 0, made=4, failed=1, seconds=now[0]))
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == [
        "4 of 8 done, failed 1, 236.1 pictures per hour, 0:46 left",
        "4 of 8 done, failed 1, 118 pictures per hour, 1:32 left",
    ]


def test_on_a_terminal_it_is_shown_and_goes_away(capsys, monkeypatch):
    def terminal(stderr):
        return Console(stderr=stderr, force_terminal=True, width=60)

    monkeypatch.setattr(batch_progress, "Console", terminal)
    with batch_progress.batch_progress() as show:
        show(Status(8, 3, failed=1))
    shown = capsys.readouterr().err
    for text in ("getting ready", "3 of 8, 3 of them by earlier runs", "failed", "left"):
        assert text in shown
    assert shown.endswith("\x1b[2K")  # the last of its lines is wiped
    with batch_progress.batch_progress(hidden=True) as show:
        show(Status(8, 3))
    assert capsys.readouterr().err == ""
