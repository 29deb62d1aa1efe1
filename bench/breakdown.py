"""Break down the time of a step by timing nested programs, each of which adds one part.

- network: forward and backward pass of the network;
- losses: plus the losses and their gradients with respect to the features;
- optimizer: plus the rest of a step;
- host: plus the reports of a run.

The time of a part is the difference between two programs, timed in alternation.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from bench import timing
from bench.work import Problem, stepping
from jaxstyle.execution.factories import report_every
from jaxstyle.losses import objective as objectives
from jaxstyle.losses.objective import Objective
from jaxstyle.optim import solve

PARTS = ("network", "losses", "optimizer", "host")
ENDLESS = 10**9

COLUMNS = ("size", "precision", *PARTS, "step")


def measure(problem: Problem, rounds: int) -> dict[str, float]:
    """Return the milliseconds of each part, and of a whole step of a run ("step")."""
    scored, image = problem.objective, problem.state.image
    count = report_every(problem.settings)
    shapes = jax.eval_shape(features, scored, image)
    ones = jax.tree.map(lambda shape: jnp.ones(shape.shape, shape.dtype), shapes)
    fresh = replace(problem, state=problem.program.restarted(problem.state))
    calls = {
        "network": repeated(through_network, (scored, ones), image, count),
        "losses": repeated(through_losses, (scored,), image, count),
        "optimizer": stepping(fresh, count),
        "host": in_a_run(problem, count),
    }
    with jax.default_matmul_precision(problem.program.precision):
        seconds = timing.interleaved(calls, rounds)
    ms = [1000 * timing.spread(seconds[part])["median"] / count for part in PARTS]
    spans = [ms[0], *(after - before for before, after in pairwise(ms))]
    return dict(zip(PARTS, spans, strict=True)) | {"step": ms[-1]}


def features(scored: Objective, image: Float[Array, "h w 3"]) -> dict[str, Array]:
    """Compute the features of all layers that the losses use."""
    layers = [term.layer for term in scored.terms.values() if term.layer != objectives.IMAGE]
    return scored.network(image, layers)


def through_network(
    scored: Objective, cotangents: PyTree, image: Float[Array, "h w 3"]
) -> Float[Array, "h w 3"]:
    """Backpropagate cotangents of the features to the image."""
    return jax.vjp(partial(features, scored), image)[1](cotangents)[0]


def through_losses(scored: Objective, image: Float[Array, "h w 3"]) -> Float[Array, "h w 3"]:
    """Compute the gradient of the objective with respect to the image."""
    return jax.grad(scored, has_aux=True)(image)[0]


def repeated(
    gradient: Callable[..., Array],
    arguments: tuple[PyTree, ...],
    image: Float[Array, "h w 3"],
    count: int,
) -> Callable[[], object]:
    """Return a function that computes the gradient ``count`` times, the way a run takes its steps.

    That is in one dispatch on accelerators, and in a Python loop on CPU. Every gradient depends on
    the one before, so that the compiler cannot eliminate any.
    """

    @jax.jit
    def moved(arguments: PyTree, rate: Array, image: Array) -> Array:
        return image - rate * gradient(*arguments, image)

    @jax.jit
    def loop(arguments: PyTree, rate: Array, image: Array, count: Array) -> Array:
        return jax.lax.fori_loop(0, count, lambda _, x: moved(arguments, rate, x), image)

    rate = jnp.zeros(())
    if solve.in_a_loop():
        return lambda: jax.block_until_ready(loop(arguments, rate, image, count))

    def from_python() -> None:
        x = image
        for _ in range(count):
            x = moved(arguments, rate, x)
        jax.block_until_ready(x)

    return from_python


def in_a_run(problem: Problem, count: int) -> Callable[[], object]:
    """Return a function that takes ``count`` steps and reports once, as a run does."""
    begin = solve.Reached(problem.rates, problem.state)
    running = solve.minimize(problem.program, problem.objective, begin, ENDLESS, count)
    return lambda: next(running)
