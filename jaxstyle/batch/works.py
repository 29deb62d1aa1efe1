"""Works, done one after another in this process; ``jaxstyle.batch.cluster`` does them on many.

A worker does a work in three stages, so that it can read the next and write the previous one while
the devices compute. Nothing here knows what the works are.
"""

import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from jaxstyle.execution.compilation import one_ahead


@dataclass(frozen=True)
class Work:
    """Something to be done by any one of several workers.

    Attributes:
      name: its name in dashboards and messages.
      kind: equal for works that share compiled programs.
      payload: what the worker is given; it can be pickled.
    """

    name: str
    kind: Hashable
    payload: Any


class Worker(Protocol):
    """Does works in three stages, of which ``compute`` does one at a time."""

    def prepare(self, payload: Any, /) -> Any:
        """Read what a work needs."""

    def compute(self, ready: Any, report: Callable[[Any], None], /) -> Any:
        """Do the part of a work that needs the devices, reporting how far it is."""

    def finish(self, ready: Any, computed: Any, /) -> Any:
        """Write the result of a work, and return a report on it, which can be pickled."""


@dataclass(frozen=True)
class Done:
    """A work that is done, or given up.

    Attributes:
      work: the work, or a part of it.
      report: what the worker's ``finish`` has returned; None if it was given up.
      worker: name of the worker; empty for this process.
      reason: why it was given up.
    """

    work: Work
    report: Any
    worker: str = ""
    reason: str = ""


class Local:
    """One worker, in this process.

    Args:
      worker: the worker.

    Attributes:
      members: workers of other processes: none.
      lost: number of them lost.
      idle: seconds in which the devices waited for reading or writing.
      running: what the worker has reported last of the work that it computes; None of none.
    """

    members: Sequence[Any] = ()
    lost = 0

    def __init__(self, worker: Any):
        self.worker = worker
        self.idle = 0.0
        self.running: Any = None
        self._start = time.perf_counter()

    @property
    def capacity(self) -> float:
        """Seconds of all workers so far."""
        return time.perf_counter() - self._start

    def ask(self, method: str, *arguments: Any) -> Any:
        """Call a method of the worker."""
        return getattr(self.worker, method)(*arguments)

    def run_jobs(
        self,
        works: Sequence[Work],
        done: Callable[[Done], None],
        watch: Callable[[], None] = lambda: None,
        again: Callable[[Any, bool], list[Any]] | None = None,
    ) -> None:
        """Do works in their order.

        Args:
          works: the works.
          done: called with each work that is done, in any thread; may raise to end it all.
          watch: called between works; may raise to end it all.
          again: only for works of which a worker may be lost: see ``Pool.run_jobs``.
        """
        del again
        watch()
        with ThreadPoolExecutor(1) as writer:
            written: Future[None] | None = None

            def finish(work: Work, ready: Any, computed: Any) -> None:
                done(Done(work, self.worker.finish(ready, computed)))

            def report(running: Any) -> None:
                self.running = running
                watch()

            reading = one_ahead(self._prepared, works) if works else iter(())
            while True:
                with self._waiting():
                    found = next(reading, None)
                if found is None:
                    break
                computed = self.worker.compute(found[1], report)
                self.running = None  # it would keep images on the devices
                with self._waiting():
                    if written:
                        written.result()
                written = writer.submit(finish, *found, computed)
            if written:
                written.result()
        watch()

    def _prepared(self, work: Work) -> Any:
        return self.worker.prepare(work.payload)

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        self.idle += time.perf_counter() - begin
