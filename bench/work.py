"""Create the seeded problems that the benchmarks measure, and count their arithmetic."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from convert_weights.weights_file import Convolution, Weights
from jaxstyle import images
from jaxstyle.execution.arithmetic import step_flops
from jaxstyle.execution.batched import Batched, stacked_objective
from jaxstyle.execution.factories import matmul_precision, optimizer_of, rates_of, tuned_network
from jaxstyle.execution.inputs import inputs_of
from jaxstyle.execution.strategy import WHOLE, Strategy
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
      program: the compiled step: a ``solve.Program``, or its counterpart for tiles.
      settings: the settings of a run that they come from.
      flops: floating-point operations per step.
    """

    objective: Any
    rates: solve.Hyperparameters
    state: solve.State
    program: Any
    settings: Settings
    flops: float


def problem(
    loaded: weights.Loaded,
    height: int,
    width: int,
    *,
    precision: str = "auto",
    strategy: Strategy = WHOLE,
    style: int | None = None,
    **settings: Any,
) -> Problem:
    """Create the problem of a seeded content and a seeded style picture.

    Args:
      loaded: the network's weights.
      height: of the content picture, in pixels.
      width: of the content picture, in pixels.
      precision: a value of the setting, or "tf32", which is not a setting: it rounds the operands
        of float32 products to a mantissa of ten bits.
      strategy: how the picture is computed.
      style: size of the style picture, which is square; if None, it is as large as the content.
      **settings: other settings of a run.
    """
    chosen = resolve(**settings, precision="float32" if precision == "tf32" else precision)
    rounding = "tensorfloat32" if precision == "tf32" else matmul_precision(chosen)
    content, painting = picture(0, height, width), picture(1, style or height, style or width)
    inputs = inputs_of(tuned_network(loaded, chosen), content, [painting], chosen)
    optimizer = optimizer_of(chosen)
    return Problem(
        strategy.objective([replace(inputs, precision=rounding)]),
        strategy.rates([rates_of(chosen)]),
        strategy.begin([content], optimizer),
        strategy.program(optimizer, rounding),
        chosen,
        step_flops(height, width, chosen, channels_of(loaded)),
    )


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
    many, alone = Batched(count), problem.program
    return replace(
        problem,
        objective=stacked_objective([problem.objective] * count),
        rates=many.rates([problem.rates] * count),
        state=many.begin([np.asarray(problem.state.image)] * count, alone.optimizer),
        program=many.program(alone.optimizer, alone.precision),
        flops=count * problem.flops,
    )


def stepping(problem: Problem, count: int) -> Callable[..., None]:
    """Return a function that takes more steps and blocks until they are done.

    It takes ``count`` steps unless called with another number, and donates the problem's state.
    """
    state = problem.state

    def call(count: int = count) -> None:
        nonlocal state
        state, losses = problem.program(problem.objective, problem.rates, state, count)
        jax.block_until_ready((state, losses))

    return call
