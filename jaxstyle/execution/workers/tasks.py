"""What is to be done, who does it, and what has become of it."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Task:
    """Something to be done by any one of several workers.

    Attributes:
      name: its name in dashboards and messages.
      kind: equal for tasks that share compiled programs.
      payload: what the worker is given; it can be pickled.
    """

    name: str
    kind: Hashable
    payload: Any


class Worker(Protocol):
    """Does tasks in three stages, of which ``compute`` does one at a time."""

    def prepare(self, payload: Any, /) -> Any:
        """Read what a task needs."""

    def compute(self, ready: Any, report: Callable[[Any], None], /) -> Any:
        """Do the part of a task that needs the devices, reporting how far it is."""

    def finish(self, ready: Any, computed: Any, /) -> Any:
        """Write the result of a task, and return a report on it, which can be pickled."""


@dataclass(frozen=True)
class Done:
    """A task that is done, or given up.

    Attributes:
      task: the task, or a part of it.
      report: what the worker's ``finish`` has returned; None if it was given up.
      worker: name of the worker; empty for this process.
      reason: why it was given up.
    """

    task: Task
    report: Any
    worker: str = ""
    reason: str = ""
