"""A worker for tests of a cluster: its tasks are to write a file, and what goes wrong meanwhile."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Errand:
    """A task of several parts, each a file that gets a line.

    Attributes:
      folder: where to write.
      parts: names of the files; one of the name "deadly" kills the worker, "faulty" raises.
      seconds: how long it takes.
    """

    folder: str
    parts: tuple[str, ...]
    seconds: float = 0.0


@dataclass
class Runner:
    """Does errands; see ``jaxstyle.batch.tasks``."""

    notes: list[str]
    check: Callable[[], None]

    def devices(self) -> str:
        return "1 x pen"

    def double(self, value: int) -> int:
        return 2 * value

    def prepare(self, errand: Errand) -> Errand:
        Path(errand.folder, "begun").touch()
        return errand

    def compute(self, errand: Errand, report: Callable[[Any], None]) -> str:
        del report
        end = time.monotonic() + errand.seconds
        while time.monotonic() < end:
            self.check()
            time.sleep(0.01)
        if "deadly" in errand.parts:
            os.kill(os.getpid(), signal.SIGKILL)
        if "faulty" in errand.parts:
            raise ZeroDivisionError("a device is broken")
        return " ".join(errand.parts)

    def finish(self, errand: Errand, computed: str) -> str:
        for part in errand.parts:
            with Path(errand.folder, part).open("a") as file:
                file.write("x")
        self.notes.append(f"written: {computed}")
        return computed


def runner(notes: list[str], check: Callable[[], None], cores: int | None) -> Runner:
    """Set up a worker."""
    notes.append(f"{cores} cores")
    return Runner(notes, check)


def dying(notes: list[str], check: Callable[[], None], cores: int | None) -> Runner:
    """Die instead of setting up a worker."""
    os._exit(1)


def refusing(notes: list[str], check: Callable[[], None], cores: int | None) -> Runner:
    """Fail instead of setting up a worker."""
    raise RuntimeError("there are no such weights")
