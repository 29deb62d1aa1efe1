"""The line of work: one thing is done at a time, in the order it was asked for."""

import asyncio
import secrets
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from queue import Queue
from typing import Any

from jaxstyle.errors import JaxstyleError, UsageError, message_of, one_line
from jaxstyle.execution.memory import out_of_memory
from jaxstyle.studio.view import View

MOST_WAITING = 20
"""Pieces of work that may wait; with more, a browser is asked to try again later."""

MOST_KEPT = 30
"""Finished pieces of work whose last view is kept, for browsers that come back."""

PAUSE = 0.1
"""Seconds between two looks at a job."""

STOPPED = "before there was anything to keep"


class Stopped(Exception):
    """Somebody has pressed Stop."""


class Asked(Exception):
    """Work is so large that a person is to decide. The message says how large."""


class Job:
    """A piece of work that a browser has asked for.

    Attributes:
      id: a name that nobody can guess.
      view: what browsers are shown; replaced as a whole, from the thread that works.
      version: number of views so far.
      large: the work to do if somebody agrees that it is large.
      key: what is equal for equal work.
    """

    def __init__(
        self,
        work: Callable[["Job"], None],
        view: View,
        large: Callable[["Job"], None] | None = None,
        key: object = None,
    ):
        self.id = secrets.token_urlsafe(12)
        self.view = view
        self.version = 0
        self.large, self.key = large, key
        self._work = work
        self._stopping = threading.Event()
        self._lock = threading.RLock()

    def show(self, **changes: Any) -> None:
        """Change what browsers are shown: see `View`."""
        with self._lock:
            self.view = replace(self.view, **changes)
            self.version += 1

    def stop(self) -> None:
        """Ask the work to end; what there is will be kept."""
        self._stopping.set()
        with self._lock:
            if self.view.state == "waiting":
                self.show(state="stopped", text=STOPPED)

    @property
    def stopping(self) -> bool:
        """Whether the work has been asked to end."""
        return self._stopping.is_set()

    def check(self) -> None:
        """Raise `Stopped` if the work has been asked to end."""
        if self.stopping:
            raise Stopped

    def do(self, folder: Path | None = None) -> None:
        """Do the work; a failure is shown in words, without the name of the folder."""
        try:
            self.check()
            self.show(state="running", text="starting")
            self._work(self)
        except Stopped:
            self.show(state="stopped", text=STOPPED)
        except Asked as question:
            self.show(state="asking", text=str(question))
        except Exception as error:  # whatever it is, the line goes on
            self.show(state="failed", text=failure(error, folder))
        finally:
            # What the work holds may be large; the last view is kept for a while.
            self._work = lambda job: None


class Line:
    """Work that is done one after the other in a thread of its own.

    Args:
      most: pieces of work that may wait.
      folder: the folder of results, of which messages do not tell the place.
    """

    def __init__(self, most: int = MOST_WAITING, folder: Path | None = None):
        self.most, self.folder = most, folder
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._lock = threading.Lock()
        self._queue: Queue[Job] = Queue()
        threading.Thread(target=self._go_on, name="studio", daemon=True).start()

    def ask(
        self,
        work: Callable[[Job], None],
        view: View,
        large: Callable[[Job], None] | None = None,
        key: object = None,
    ) -> Job:
        """Put work at the end of the line, unless equal work waits there or is being done.

        Args:
          work: called with its job, to show how it goes and to be told to stop.
          view: what browsers are shown at first.
          large: the work to do if somebody agrees that it is large.
          key: what is equal for equal work; None if none is.

        Raises:
          UsageError: too much is waiting already.
        """
        job = Job(work, replace(view, state="waiting", text="waiting"), large, key)
        with self._lock:
            for other in self._jobs.values():
                if key is not None and other.key == key and not (other.view.over or other.stopping):
                    return other  # as of a double click
            if len(self._waiting()) >= self.most:
                raise UsageError(f"{self.most} pictures are waiting already: try again later")
            self._jobs[job.id] = job
            over = [each for each in self._jobs.values() if each.view.over]
            for each in over[: max(0, len(over) - MOST_KEPT)]:
                del self._jobs[each.id]
        self._queue.put(job)
        return job

    def job(self, id: Any) -> Job | None:
        """Return a piece of work by its name, if it is one and still known."""
        with self._lock:
            return self._jobs.get(id) if isinstance(id, str) else None

    def current(self) -> Job | None:
        """Return the work that is being done, or will be next."""
        with self._lock:
            return next((job for job in self._jobs.values() if not job.view.over), None)

    def place(self, job: Job) -> int:
        """Return how many pieces of work will be done before this one."""
        with self._lock:
            ahead = [each for each in self._jobs.values() if not each.view.over]
        return ahead.index(job) if job in ahead else 0

    def _waiting(self) -> list[Job]:
        return [job for job in self._jobs.values() if job.view.state == "waiting"]

    def stop(self) -> None:
        """Ask all work to end."""
        with self._lock:
            for job in self._jobs.values():
                job.stop()

    def finish(self, seconds: float) -> None:
        """Wait until nothing is left to do, but not longer than this."""
        end = time.monotonic() + seconds
        while self.current() and time.monotonic() < end:
            time.sleep(0.05)

    def _go_on(self) -> None:
        while True:
            job = self._queue.get()
            with suppress(Exception):
                job.do(self.folder)
            del job  # or it would be kept until the next one comes


def without(folder: Path | None, words: str) -> str:
    """Return words without the place of the folder of results and of its inputs."""
    for each in (f"{folder}/inputs/", f"{folder}/uploads/", f"{folder}/") if folder else ():
        words = words.replace(each, "")
    return words


async def views(job: Job, place: Callable[[], int] = lambda: 0) -> AsyncIterator[View]:
    """Yield the view of a job whenever it has changed, until the job is over.

    Args:
      job: the job.
      place: returns how many jobs will be done before it.
    """
    shown = None
    while True:
        view, ahead = job.view, place()
        if shown != (job.version, ahead):
            shown = job.version, ahead
            words = f"waiting: {ahead} before this one" if ahead else "waiting"
            yield replace(view, text=words) if view.state == "waiting" else view
        if view.over:
            return
        await asyncio.sleep(PAUSE)


def failure(error: Exception, folder: Path | None = None) -> str:
    """Return a failure in words; what nobody expected is printed in full on standard error.

    Args:
      error: the failure.
      folder: the folder of results, of which strangers need not know the place.
    """
    if isinstance(error, JaxstyleError):
        words = ": ".join([message_of(error), *getattr(error, "__notes__", ())])
        return without(folder, words)
    if out_of_memory(error):
        return "out of memory: choose a smaller size"
    if isinstance(error, OSError):
        return f"a file cannot be read or written: {error.strerror or type(error).__name__}"
    traceback.print_exception(error)
    return f"unexpected {type(error).__name__}: {one_line(error)}"
