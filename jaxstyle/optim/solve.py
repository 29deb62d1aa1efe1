"""The solver: one state, one step, many steps, and what to do when a step goes wrong.

``init`` and ``step`` are pure and can be used alone; ``compile_program`` compiles the step.
``minimize`` is the loop a run uses: it reports as it goes, and recovers from steps that leave the
finite numbers.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jaxtyping import Float

from jaxstyle.errors import DivergedError
from jaxstyle.optim.program import (
    PROGRAMS,
    Program,
    Steps,
    compile_program,
    forget_programs,
    traced,
)
from jaxstyle.optim.step import (
    Hyperparameters,
    Losses,
    State,
    averaged,
    best_picture,
    init,
    picture,
    step,
)

__all__ = [
    "PATIENCE",
    "PROGRAMS",
    "RETRIES",
    "Course",
    "DivergedError",
    "Losses",
    "Program",
    "Hyperparameters",
    "Report",
    "State",
    "Steps",
    "averaged",
    "compile_program",
    "forget_programs",
    "init",
    "minimize",
    "picture",
    "step",
    "traced",
]

RETRIES = 5

PATIENCE = 20
"""Steps over which a run that may stop early looks for an improvement."""


@dataclass(frozen=True)
class Course:
    """How far a scale has come.

    step: steps taken. seconds: running, without compiling. mark, total_at_mark: the step, and the
    loss there, from which improvement is measured. over: there was too little of it.
    """

    step: int = 0
    seconds: float = 0.0
    mark: int = 0
    total_at_mark: float = np.inf
    over: bool = False

    def after(self, count: int, total: float, seconds: float, tolerance: float) -> "Course":
        """``count`` steps later, where the loss is ``total``."""
        later = replace(self, step=self.step + count, seconds=self.seconds + seconds)
        if self.mark and later.step - self.mark < PATIENCE:
            return later
        least = (1 - tolerance) * self.total_at_mark
        over = bool(self.mark and tolerance and total >= least)
        return replace(later, mark=later.step, total_at_mark=total, over=over)


START = Course()
"""Of no step at all."""


@dataclass(frozen=True)
class Report:
    """What is known after some steps.

    course: how many of ``steps`` were taken, and in which time. total, terms: losses (weighted) of
    the image before the last step. rates, state: what they were reached with. best: whether the
    picture is the one of least loss, and not the average.
    """

    course: Course
    steps: int
    total: float
    terms: dict[str, float]
    rates: Hyperparameters
    state: State
    best: bool = False

    @classmethod
    def before(
        cls, rates: Hyperparameters, state: State, course: Course = START, best: bool = False
    ) -> "Report":
        """The report from which to go on: of no step at all, or of those of an earlier process."""
        return cls(course, 0, np.nan, {}, rates, state, best)

    @property
    def step(self) -> int:
        """Steps taken."""
        return self.course.step

    @property
    def seconds(self) -> float:
        """Running, without compiling."""
        return self.course.seconds

    @property
    def image(self) -> Float[np.ndarray, "h w 3"]:
        """The picture reached, on the host."""
        shown = best_picture(self.state) if self.best else picture(self.state)
        if not shown.is_fully_addressable:  # other hosts have parts of it
            return multihost_utils.process_allgather(shown, tiled=True)
        return np.asarray(shown)


def minimize(
    program: Steps,
    objective: Any,
    rates: Hyperparameters,
    state: State,
    steps: int,
    every: int,
    *,
    course: Course = START,
    tolerance: float = 0.0,
    best: bool = False,
) -> Iterator[Report]:
    """Take ``steps`` steps, yielding a report after each ``every`` of them and after the last.

    Where the loss or the image is not finite, the steps since the last report are taken back and
    the learning rate is halved. It ends early once ``PATIENCE`` steps have lessened the loss by a
    smaller share than ``tolerance``. ``best`` is for the reports. With the rates, the state and the
    ``course`` of a report it goes on from there, and yields those that would have followed.

    Raises:
      DivergedError: when halving the rate ``RETRIES`` times in a row does not help.
    """
    failures, seconds = 0, 0.0
    while course.step < steps and not course.over:
        count = min(every, steps - course.step)
        start = time.perf_counter()
        after, losses = program(objective, rates, state, count)
        losses = jax.device_get(losses)  # waits for the device
        seconds += time.perf_counter() - start
        if not losses.finite:
            failures += 1
            if failures > RETRIES:
                raise DivergedError(_diverged(losses, course.step + count))
            rates = replace(rates, update_scale=rates.update_scale / 2)
            state = program.restarted(state)
            continue
        terms = {name: float(value) for name, value in losses.terms.items()}
        total = float(losses.total)
        course = course.after(count, total, seconds, tolerance)
        state, failures, seconds = after, 0, 0.0
        yield Report(course, steps, total, terms, rates, state, best)


def _diverged(losses: Losses, step: int) -> str:
    bad = [name for name, value in losses.terms.items() if not np.isfinite(value)]
    where = f"in {', '.join(bad)}" if bad else "in the image"
    return (
        f"the loss is not finite {where} at step {step}, even with the learning rate halved "
        f"{RETRIES} times: lower the learning rate or the weights"
    )
