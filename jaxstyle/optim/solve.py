"""The solver: the optimization loop, its reports, and its retries when a step fails.

``init`` and ``step`` are pure and can be used alone; ``compile_program`` compiles the step.
``minimize`` is the loop of a run: it yields reports, and retries with a smaller learning rate when
the loss or the image is not finite.
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
"""Number of times in a row that the learning rate is halved before a run fails."""

PATIENCE = 20
"""Number of steps over which the improvement of the loss is measured for early stopping."""


@dataclass(frozen=True)
class Course:
    """The progress of the optimization at one scale.

    Attributes:
      step: number of steps taken.
      seconds: running time, without compilation.
      mark, total_at_mark: the step from which improvement is measured, and the loss there.
      over: whether the improvement was too small, so that the run stops early.
    """

    step: int = 0
    seconds: float = 0.0
    mark: int = 0
    total_at_mark: float = np.inf
    over: bool = False

    def after(self, count: int, total: float, seconds: float, tolerance: float) -> "Course":
        """Return the progress after further steps.

        Args:
          count: number of further steps.
          total: the loss after them.
          seconds: their running time.
          tolerance: least relative improvement over ``PATIENCE`` steps; 0 never stops early.
        """
        later = replace(self, step=self.step + count, seconds=self.seconds + seconds)
        if self.mark and later.step - self.mark < PATIENCE:
            return later
        least = (1 - tolerance) * self.total_at_mark
        over = bool(self.mark and tolerance and total >= least)
        return replace(later, mark=later.step, total_at_mark=total, over=over)


START = Course()
"""The progress before the first step."""


@dataclass(frozen=True)
class Report:
    """A report of the optimization after some steps.

    Attributes:
      course: the progress so far.
      steps: number of steps to take in all.
      total, terms: total loss, and weighted losses by name, of the image before the last step.
      rates: hyperparameters of the last step.
      state: state after the last step.
      best: whether ``image`` is the one of least loss instead of the average of the iterates.
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
        """Return a report to start from: before the first step, or resumed after ``course``."""
        return cls(course, 0, np.nan, {}, rates, state, best)

    @property
    def step(self) -> int:
        """Return the number of steps taken."""
        return self.course.step

    @property
    def seconds(self) -> float:
        """Return the running time in seconds, without compilation."""
        return self.course.seconds

    @property
    def image(self) -> Float[np.ndarray, "h w 3"]:
        """Return the resulting image, copied to the host."""
        shown = best_picture(self.state) if self.best else picture(self.state)
        if not shown.is_fully_addressable:  # sharded over several hosts
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
    """Yield a report after every ``every`` steps and after the last one.

    If the loss or the image is not finite, the steps since the last report are taken back and the
    learning rate is halved. With the rates, the state and the course of a report, the optimization
    resumes there and yields the reports that would have followed.

    Args:
      program: the compiled step.
      objective: the objective it was compiled for.
      rates: hyperparameters of the steps.
      state: the state to start from.
      steps: number of steps in all, those of ``course`` included.
      every: number of steps between reports.
      course: progress of ``state``.
      tolerance: stop early if the loss decreased by a smaller share than this over ``PATIENCE``
        steps; 0 never stops early.
      best: whether reports show the image of least loss instead of the average of the iterates.

    Raises:
      DivergedError: halving the learning rate ``RETRIES`` times in a row did not help.
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
        f"the loss is not finite {where} at step {step}, even after halving the learning rate "
        f"{RETRIES} times: lower the learning rate or the weights"
    )
