"""Create the seeded problems that the benchmarks measure, and count their arithmetic."""

import argparse
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
from jaxtyping import Float

from convert_weights.weights_file import Convolution, Weights
from jaxstyle import images
from jaxstyle.batch import program
from jaxstyle.execution.arithmetic import step_flops
from jaxstyle.execution.factories import exactness, optimizer_of, rates_of, tuned_network
from jaxstyle.execution.formulation import objective_of
from jaxstyle.losses.objective import Objective
from jaxstyle.network import vgg, weights
from jaxstyle.optim import solve
from jaxstyle.settings import Settings, resolve

FEW_CHANNELS = tuple(channels // 16 for channels in vgg.CHANNELS_PER_BLOCK)


@dataclass(frozen=True)
class Problem:
    """A problem to solve, before its first step.

    Attributes:
      objective: the losses.
      rates: hyperparameters of the optimizer.
      state: the initial state.
      optimizer: the optimizer.
      settings: the settings of a run that they come from.
      flops: floating-point operations per step.
      precision: the setting of that name, or "tf32".
    """

    objective: Objective
    rates: solve.Hyperparameters
    state: solve.State
    optimizer: optax.GradientTransformation
    settings: Settings
    flops: float
    precision: str


def problem(
    loaded: weights.Loaded, height: int, width: int, *, precision: str = "auto", **settings: Any
) -> Problem:
    """Create the problem of seeded pictures of one size.

    Args:
      loaded: the network's weights.
      height: of both pictures, in pixels.
      width: of both pictures, in pixels.
      precision: a value of the setting, or "tf32".
      **settings: other settings of a run.
    """
    chosen = resolve(**settings, precision="float32" if precision == "tf32" else precision)
    content, style = picture(0, height, width), picture(1, height, width)
    optimizer = optimizer_of(chosen)
    with rounding(precision):
        objective = objective_of(tuned_network(loaded, chosen), content, [style], chosen)
    return Problem(
        objective,
        rates_of(chosen),
        solve.init(jax.numpy.asarray(content), optimizer),
        optimizer,
        chosen,
        step_flops(height, width, chosen, channels_of(loaded)),
        precision,
    )


def rounding(precision: str) -> AbstractContextManager:
    """Return a context manager that sets the matmul precision while a program is traced.

    It is that of a run with this precision setting. "tf32" is not a setting: it rounds the operands
    of float32 products to a mantissa of ten bits.
    """
    if precision == "tf32":
        return jax.default_matmul_precision("tensorfloat32")
    return exactness(resolve(precision=precision))


def picture(seed: int, height: int, width: int) -> Float[np.ndarray, "h w 3"]:
    """Create smooth seeded noise in [0, 1]; a seed gives the same structure at every size."""
    rng = np.random.default_rng(seed)
    octaves = [rng.uniform(size=(side, side, 3)).astype(np.float32) for side in (4, 16, 64)]
    layers = [images.resize(octave, height, width, "bicubic") for octave in octaves]
    mixed = 0.6 * layers[0] + 0.3 * layers[1] + 0.1 * layers[2]
    return np.clip(mixed, 0, 1).astype(np.float32)


def channels_of(loaded: weights.Loaded) -> tuple[int, ...]:
    """Return the number of channels in each of a network's five blocks."""
    return tuple(loaded.weights.layers[f"conv{b}_1"].kernel.shape[-1] for b in range(1, 6))


def weights_of(arguments: argparse.Namespace, show: Callable[[str], None]) -> weights.Loaded:
    """Load the weights to measure with; for a trial, create a seeded network of few channels.

    Raises:
      WeightsError: there are no weights, or they cannot be read.
    """
    if arguments.quick and not arguments.weights:
        return few_channels()
    return weights.load(weights.find(arguments.weights, show))


def few_channels() -> weights.Loaded:
    """Create a He-initialized network like VGG-19 with a sixteenth of its channels."""
    rng = np.random.default_rng(0)
    layers, fan_in = {}, 3
    for name in vgg.CONVOLUTIONS:
        fan_out = FEW_CHANNELS[int(name[4]) - 1]
        kernel = rng.normal(0, np.sqrt(2 / (9 * fan_in)), (3, 3, fan_in, fan_out))
        layers[name] = Convolution(kernel.astype(np.float32), np.zeros(fan_out, np.float32))
        fan_in = fan_out
    made = Weights(layers, "RGB", 255.0, (116.0, 116.0, 116.0), (58.0, 58.0, 58.0), True, "seeded")
    return weights.Loaded(made, Path("seeded"), "")


def batched(problem: Problem, count: int) -> Problem:
    """Repeat a problem ``count`` times as a batch: all but the network gets a leading axis."""
    return replace(
        problem,
        objective=program.together([problem.objective] * count),
        rates=program.stacked([problem.rates] * count),
        state=program.init(jax.numpy.stack([problem.state.image] * count), problem.optimizer),
        flops=count * problem.flops,
    )


def compiled(problem: Problem) -> solve.Program:
    """Compile the step of a problem, batched or not, as a run does."""
    compile = program.compile_batch if problem.state.image.ndim == 4 else solve.compile_program
    with rounding(problem.precision):
        return compile(problem.objective, problem.rates, problem.state, problem.optimizer)


def stepping(step: solve.Program, problem: Problem, count: int) -> Callable[..., None]:
    """Return a function that takes more steps and blocks until they are done.

    It takes ``count`` steps unless called with another number, and donates the problem's state.
    """
    state = problem.state

    def call(count: int = count) -> None:
        nonlocal state
        state, losses = step(problem.objective, problem.rates, state, count)
        jax.block_until_ready((state, losses))

    return call
