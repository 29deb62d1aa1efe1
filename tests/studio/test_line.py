"""The line of work."""

import asyncio
import threading
import time

import pytest

from jaxstyle.errors import SettingError, UsageError
from jaxstyle.studio.line import MOST_KEPT, Job, Line, failure, views
from jaxstyle.studio.view import View


def until(condition):
    """Wait until a condition holds."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def gate():
    """An event that ends the work of a test, also of one that has failed."""
    event = threading.Event()
    yield event
    event.set()


def waiting_for(gate):
    def work(job):
        gate.wait(60)
        job.show(state="done")

    return work


def test_work_is_done_in_order_and_each_knows_its_place(gate):
    line, order = Line(), []
    first = line.ask(waiting_for(gate), View())
    others = [line.ask(lambda job, n=n: order.append(n), View()) for n in range(3)]
    until(lambda: first.view.state == "running")
    assert [line.place(job) for job in (first, *others)] == [0, 1, 2, 3]
    assert line.current() is first
    gate.set()
    until(lambda: len(order) == 3)
    assert order == [0, 1, 2]


def test_a_long_line_is_refused(gate):
    line = Line(most=2)
    running = line.ask(waiting_for(gate), View())
    until(lambda: running.view.state == "running")
    for _ in range(2):
        line.ask(lambda job: job.show(state="done"), View())
    with pytest.raises(UsageError, match="2 pictures are waiting already"):
        line.ask(lambda job: None, View())


def test_work_that_waits_can_be_stopped(gate):
    line, done = Line(), []
    line.ask(waiting_for(gate), View())
    job = line.ask(lambda job: done.append(job), View())
    job.stop()
    assert job.view.state == "stopped"
    gate.set()
    until(lambda: line.current() is None)
    assert not done


def test_work_that_runs_is_told_to_stop(gate):
    def work(job):
        while True:
            job.check()
            time.sleep(0.001)

    line = Line()
    job = line.ask(work, View())
    until(lambda: job.view.state == "running")
    job.stop()
    until(lambda: job.view.state == "stopped")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (SettingError("size", "must be at least 1"), "size: must be at least 1"),
        (MemoryError(), "out of memory: choose a smaller size"),
    ],
)
def test_a_failure_is_told_in_words_and_the_line_goes_on(error, words):
    def fail(job):
        raise error

    line = Line()
    failed = line.ask(fail, View())
    done = line.ask(lambda job: job.show(state="done"), View())
    until(lambda: done.view.over)
    assert (failed.view.state, failed.view.text) == ("failed", words)
    assert done.view.state == "done"


def test_an_unexpected_failure_is_printed_in_full(capsys):
    assert failure(ZeroDivisionError("by zero")) == "unexpected ZeroDivisionError: by zero"
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_only_the_last_finished_jobs_are_kept():
    line = Line()
    jobs = [line.ask(lambda job: job.show(state="done"), View()) for _ in range(3)]
    until(lambda: jobs[-1].view.over)
    for _ in range(MOST_KEPT + 5):
        job = line.ask(lambda job: job.show(state="done"), View())
        until(lambda: job.view.over)  # noqa: B023
    assert line.job(jobs[0].id) is None
    assert line.job(job.id) is job


def test_equal_work_is_done_once_while_it_is_not_over(gate):
    line = Line()
    first = line.ask(waiting_for(gate), View(), key=("photo", 3))
    assert line.ask(waiting_for(gate), View(), key=("photo", 3)) is first
    assert line.ask(waiting_for(gate), View(), key=("photo", 4)) is not first
    gate.set()
    until(lambda: line.current() is None)
    assert line.ask(waiting_for(gate), View(), key=("photo", 3)) is not first


def test_messages_do_not_tell_where_the_folder_is(tmp_path):
    error = SettingError("init", f"{tmp_path}/inputs/photo.png is damaged")
    assert failure(error, tmp_path) == "init: photo.png is damaged"


def test_a_full_disk_is_told_in_words():
    assert "No space left on device" in failure(OSError(28, "No space left on device"))


def test_nobody_guesses_the_name_of_a_job():
    names = {Job(lambda job: None, View()).id for _ in range(100)}
    assert len(names) == 100 and min(map(len, names)) >= 16


def test_views_are_yielded_when_they_change_until_the_job_is_over():
    job = Job(lambda job: None, View("waiting"))

    async def watch():
        seen = []
        async for view in views(job, lambda: 2):
            seen.append(view.text)
            if view.state == "waiting":
                job.show(state="running", text="step 1")
            elif view.text == "step 1":
                job.show(state="done", text="done")
        return seen

    assert asyncio.run(watch()) == ["waiting: 2 before this one", "step 1", "done"]
