"""The work that is measured: a seeded problem of any size, and the arithmetic it takes."""

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
    """What ``solve.step`` takes, and the floating-point operations of one of its steps.

    precision: that of the settings, or "tf32".
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
    """Seeded pictures of one size before their first step; ``settings`` are those of a run."""
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
    """Under which a program is traced: as a run does; or, for "tf32", which no run asks for, with
    products of float32 rounded to ten bits."""
    if precision == "tf32":
        return jax.default_matmul_precision("tensorfloat32")
    return exactness(resolve(precision=precision))


def picture(seed: int, height: int, width: int) -> Float[np.ndarray, "h w 3"]:
    """Smooth noise in [0, 1], with large and small structure, the same for every size."""
    rng = np.random.default_rng(seed)
    octaves = [rng.uniform(size=(side, side, 3)).astype(np.float32) for side in (4, 16, 64)]
    layers = [images.resize(octave, height, width, "bicubic") for octave in octaves]
    mixed = 0.6 * layers[0] + 0.3 * layers[1] + 0.1 * layers[2]
    return np.clip(mixed, 0, 1).astype(np.float32)


def channels_of(loaded: weights.Loaded) -> tuple[int, ...]:
    """Channels of the five blocks of a network."""
    return tuple(loaded.weights.layers[f"conv{b}_1"].kernel.shape[-1] for b in range(1, 6))


def weights_of(arguments: argparse.Namespace, show: Callable[[str], None]) -> weights.Loaded:
    """The weights to measure with; for a trial, seeded ones of few channels.

    Raises:
      WeightsError: there are none.
    """
    if arguments.quick and not arguments.weights:
        return few_channels()
    return weights.load(weights.find(arguments.weights, show))


def few_channels() -> weights.Loaded:
    """A network of VGG-19's depth with a sixteenth of its channels, He-initialized."""
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
    """``count`` times a problem as one: all but the network has a leading axis."""
    return replace(
        problem,
        objective=program.together([problem.objective] * count),
        rates=program.stacked([problem.rates] * count),
        state=program.init(jax.numpy.stack([problem.state.image] * count), problem.optimizer),
        flops=count * problem.flops,
    )


def compiled(problem: Problem) -> solve.Program:
    """The step of a problem, or of a batched one, compiled as a run does it."""
    compile = program.compile_batch if problem.state.image.ndim == 4 else solve.compile_program
    with rounding(problem.precision):
        return compile(problem.objective, problem.rates, problem.state, problem.optimizer)


def stepping(step: solve.Program, problem: Problem, count: int) -> Callable[..., None]:
    """A call that takes ``count`` more steps (or as many as it is told), and waits for them; it
    consumes the state of the problem."""
    state = problem.state

    def call(count: int = count) -> None:
        nonlocal state
        state, losses = step(problem.objective, problem.rates, state, count)
        jax.block_until_ready((state, losses))

    return call
