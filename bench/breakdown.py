"""Where the time of a step goes: programs that each hold the one before, timed in turns.

- network: the features of the image, and from them back to its gradient;
- losses: and what is made of the features and their gradients;
- optimizer: and the rest of a step;
- host: and a run's reports.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from bench import timing
from bench.work import Problem, rounding, stepping
from jaxstyle.execution.factories import report_every
from jaxstyle.losses import objective as objectives
from jaxstyle.losses.objective import Objective
from jaxstyle.optim import solve
from jaxstyle.optim.program import in_a_loop

PARTS = ("network", "losses", "optimizer", "host")
ENDLESS = 10**9

COLUMNS = ("size", "precision", *PARTS, "step")


def measure(problem: Problem, rounds: int) -> dict[str, float]:
    """Milliseconds of each part, and of a whole step of a run."""
    scored, image = problem.objective, problem.state.image
    count = report_every(problem.settings)
    shapes = jax.eval_shape(features, scored, image)
    ones = jax.tree.map(lambda shape: jnp.ones(shape.shape, shape.dtype), shapes)
    fresh = replace(problem, state=solve.init(image, problem.optimizer))
    with rounding(problem.precision):
        compiled = solve.compile_program(scored, problem.rates, problem.state, problem.optimizer)
    calls = {
        "network": repeated(through_network, (scored, ones), image, count),
        "losses": repeated(through_losses, (scored,), image, count),
        "optimizer": stepping(compiled, fresh, count),
        "host": in_a_run(compiled, problem, count),
    }
    with rounding(problem.precision):  # some are traced when first called
        seconds = timing.interleaved(calls, rounds)
    ms = [1000 * timing.spread(seconds[part])["median"] / count for part in PARTS]
    spans = [ms[0], *(after - before for before, after in pairwise(ms))]
    return dict(zip(PARTS, spans, strict=True)) | {"step": ms[-1]}


def features(scored: Objective, image: Float[Array, "h w 3"]) -> dict[str, Array]:
    """All that the losses look at."""
    layers = [term.layer for term in scored.terms.values() if term.layer != objectives.IMAGE]
    return scored.network(image, layers)


def through_network(
    scored: Objective, above: PyTree, image: Float[Array, "h w 3"]
) -> Float[Array, "h w 3"]:
    """What comes down to the image where ``above`` is the gradient to its features."""
    return jax.vjp(partial(features, scored), image)[1](above)[0]


def through_losses(scored: Objective, image: Float[Array, "h w 3"]) -> Float[Array, "h w 3"]:
    """The gradient of the objective."""
    return jax.grad(scored, has_aux=True)(image)[0]


def repeated(
    gradient: Callable[..., Array],
    arguments: tuple[PyTree, ...],
    image: Float[Array, "h w 3"],
    count: int,
) -> Callable[[], object]:
    """A call that computes the gradient ``count`` times, as a run takes its steps: in one dispatch,
    or on CPU from Python. Each needs the one before, so that none is left out."""

    @jax.jit
    def moved(arguments: PyTree, rate: Array, image: Array) -> Array:
        return image - rate * gradient(*arguments, image)

    @jax.jit
    def loop(arguments: PyTree, rate: Array, image: Array, count: Array) -> Array:
        return jax.lax.fori_loop(0, count, lambda _, x: moved(arguments, rate, x), image)

    rate = jnp.zeros(())
    if in_a_loop():
        return lambda: jax.block_until_ready(loop(arguments, rate, image, count))

    def from_python() -> None:
        x = image
        for _ in range(count):
            x = moved(arguments, rate, x)
        jax.block_until_ready(x)

    return from_python


def in_a_run(compiled: solve.Program, problem: Problem, count: int) -> Callable[[], object]:
    """A call that takes ``count`` steps with a report after them, as a run does."""
    scored, rates, state = problem.objective, problem.rates, problem.state
    running = solve.minimize(compiled, scored, rates, state, ENDLESS, count)
    return lambda: next(running)
