"""The solver: one state, one step, many steps, and what to do when a step goes wrong.

``init`` and ``step`` are pure and can be used alone; ``compile_program`` compiles the step.
``minimize`` is the loop a run uses: it reports as it goes, and recovers from steps that leave the
finite numbers.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxstyle.objective import Objective
from jaxstyle.program import PROGRAMS, Program, compile_program, forget_programs, traced
from jaxstyle.step import Losses, Rates, State, averaged, init, picture, step

__all__ = [
    "PATIENCE",
    "PROGRAMS",
    "RETRIES",
    "DivergedError",
    "Losses",
    "Program",
    "Rates",
    "Report",
    "State",
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


class DivergedError(RuntimeError):
    """The optimization left the finite numbers, and smaller steps did not help."""


@dataclass(frozen=True)
class Report:
    """What is known after some steps.

    step: steps taken of ``steps``. total, terms: losses (weighted) of the image before the last
    step. seconds: running, without compiling. rates, state: what they were reached with.
    best: whether the picture is the one of least loss, and not the average.
    """

    step: int
    steps: int
    total: float
    terms: dict[str, float]
    seconds: float
    rates: Rates
    state: State
    best: bool = False

    @classmethod
    def before(cls, rates: Rates, state: State) -> "Report":
        """The report of no step at all."""
        return cls(0, 0, np.nan, {}, 0.0, rates, state)

    @property
    def image(self) -> Float[np.ndarray, "h w 3"]:
        """The picture reached, on the host."""
        shown = jnp.clip(self.state.best, 0.0, 1.0) if self.best else picture(self.state)
        return np.asarray(shown)


def minimize(
    program: Program,
    objective: Objective,
    rates: Rates,
    state: State,
    steps: int,
    every: int,
    *,
    tolerance: float = 0.0,
    best: bool = False,
) -> Iterator[Report]:
    """Take ``steps`` steps, yielding a report after each ``every`` of them and after the last.

    Where the loss or the image is not finite, the steps since the last report are taken back and
    the learning rate is halved. It ends early once ``PATIENCE`` steps have lessened the loss by a
    smaller share than ``tolerance``. ``best`` is for the reports.

    Raises:
      DivergedError: when halving the rate ``RETRIES`` times in a row does not help.
    """
    failures, seconds = 0, 0.0
    done, mark, total_at_mark = 0, 0, np.inf
    while done < steps:
        count = min(every, steps - done)
        start = time.perf_counter()
        after, losses = program(objective, rates, state, count)
        losses = jax.device_get(losses)  # waits for the device
        seconds += time.perf_counter() - start
        if not losses.finite:
            failures += 1
            if failures > RETRIES:
                raise DivergedError(_diverged(losses, done + count))
            rates = replace(rates, learning_rate=rates.learning_rate / 2)
            state = program.restarted(state)
            continue
        state, failures, done = after, 0, done + count
        terms = {name: float(value) for name, value in losses.terms.items()}
        total = float(losses.total)
        yield Report(done, steps, total, terms, seconds, rates, state, best)
        if mark and tolerance and done - mark >= PATIENCE:
            if total >= (1 - tolerance) * total_at_mark:
                return
            mark = 0
        if not mark:
            mark, total_at_mark = done, total


def _diverged(losses: Losses, step: int) -> str:
    bad = [name for name, value in losses.terms.items() if not np.isfinite(value)]
    where = f"in {', '.join(bad)}" if bad else "in the image"
    return (
        f"the loss is not finite {where} at step {step}, even with the learning rate halved "
        f"{RETRIES} times: lower the learning rate or the weights"
    )
