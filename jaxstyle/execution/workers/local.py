"""Tasks done one after another in this process."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from jaxstyle.execution.compilation import one_ahead
from jaxstyle.execution.workers.tasks import Done, Task


class Local:
    """One worker, in this process.

    Args:
      worker: the worker.

    Attributes:
      members: workers of other processes: none.
      lost: number of them lost.
      idle: seconds in which the devices waited for reading or writing.
      running: what the worker has reported last of the task that it computes; None between tasks.
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
        """Seconds in which it had tasks."""
        return time.perf_counter() - self._start

    def ask(self, method: str, *arguments: Any) -> Any:
        """Call a method of the worker."""
        return getattr(self.worker, method)(*arguments)

    def run_jobs(
        self,
        tasks: Sequence[Task],
        done: Callable[[Done], None],
        watch: Callable[[], None] = lambda: None,
        again: Callable[[Any, bool, str], list[Any]] | None = None,
    ) -> None:
        """Do tasks in their order.

        Args:
          tasks: the tasks.
          done: called with each task that is done, in any thread; may raise to end it all.
          watch: called between tasks; may raise to end it all.
          again: only for tasks of which a worker may be lost: see ``Pool.run_jobs``.
        """
        del again
        watch()
        with ThreadPoolExecutor(1) as writer:
            written: Future[None] | None = None

            def finish(task: Task, ready: Any, computed: Any) -> None:
                done(Done(task, self.worker.finish(ready, computed)))

            def report(running: Any) -> None:
                self.running = running
                watch()

            reading = one_ahead(self._prepared, tasks) if tasks else iter(())
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

    def _prepared(self, task: Task) -> Any:
        return self.worker.prepare(task.payload)

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        self.idle += time.perf_counter() - begin
