"""A scale made ready by a strategy, as a run does it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from jax import monitoring

from jaxstyle.execution.factories import matmul_precision, optimizer_of, rates_of
from jaxstyle.execution.inputs import inputs_at
from jaxstyle.execution.plan import Scale
from jaxstyle.execution.strategy import Strategy
from jaxstyle.losses.temporal import Earlier
from jaxstyle.network.vgg import VGG19
from jaxstyle.optim import solve
from jaxstyle.settings import Settings, resolve


@dataclass(frozen=True)
class Prepared:
    """What there is of a scale before its first step."""

    strategy: Strategy
    scale: Scale
    network: VGG19
    settings: Settings
    styles: Sequence[np.ndarray]
    starts: Sequence[np.ndarray]
    waiting: Any
    objective: Any
    program: solve.StepProgram
    rates: solve.Hyperparameters

    def begin(self, scale=None):
        """The state before the first step, of the starting images or of their corners."""
        height, width, *_ = scale or self.scale
        corners = [start[:height, :width] for start in self.starts]
        return self.strategy.begin(corners, self.program.optimizer)

    def steps(self, count, state=None):
        """The state after so many steps, and the losses before the last."""
        return self.program(self.objective, self.rates, state or self.begin(), count)

    def minimized(self, steps):
        """All that is reached on the way, step by step."""
        courses = (solve.Course(),) * len(self.starts)
        begin = solve.Reached(self.rates, self.begin(), courses)
        return list(solve.minimize(self.program, self.objective, begin, steps, 1))

    def sabotaged(self, limit):
        """The same scale, but steps fail while the learning rate is above a limit."""
        return replace(self, program=Sabotaged(self.program, limit))

    def compile(self):
        """Compile the step for the shapes of its arguments."""
        shape = self.strategy.state_shape(self.scale, self.program.optimizer)
        return self.program.compile(self.objective, self.rates, shape)

    def footprint(self):
        """Compile from shapes alone."""
        return self.strategy.footprint(self.scale, self.network, self.styles, self.settings)


class Sabotaged:
    """A step that is not finite while the learning rate is above a limit, from the third on."""

    def __init__(self, program, limit):
        self.program, self.limit, self.calls = program, limit, 0
        self.optimizer, self.compile = program.optimizer, program.compile
        self.restarted = program.restarted

    def __call__(self, objective, rates, state, count):
        self.calls += 1
        state, losses = self.program(objective, rates, state, count)
        if self.calls > 2 and (rates.learning_rate > self.limit).all():
            nothing_finite = jnp.zeros_like(losses.finite)
            return replace(state, image=state.image * jnp.nan), replace(
                losses, finite=nothing_finite
            )
        return state, losses


def earlier_frames(seed, height, width):
    """Two earlier frames of a clip, of any reliability."""
    rng = np.random.default_rng(seed)
    images, each = (rng.uniform(size=(height, width, 2, *more)) for more in ((3,), ()))
    return Earlier(images.astype(np.float32), each.astype(np.float32))


@pytest.fixture
def prepared(network, picture):
    """A function from a strategy and settings to a scale of pictures, one for each seed."""

    def prepare(strategy, sides=(75, 49), seeds=None, temporal_weight=None, **settings):
        chosen = resolve(**{"content_layers": "relu1_1", "style_layers": "relu1_1", **settings})
        seeds = seeds or range(getattr(strategy, "count", 1))
        pictures, starts = (
            [[np.asarray(picture(3 * seed + n, *each)) for n, each in shown] for seed in seeds]
            for shown in ([(0, sides), (1, (60, 40))], [(2, sides)])
        )
        scale = Scale(*sides, max(sides), 4)
        each = [
            inputs_at(
                *(scale, network, content, [style], chosen),
                earlier=None if temporal_weight is None else earlier_frames(seed, *sides),
                temporal_weight=temporal_weight or 0.0,
            )
            for seed, (content, style) in zip(seeds, pictures, strict=True)
        ]
        starts = [start for (start,) in starts]
        waiting = strategy.objective(each)
        return Prepared(
            strategy,
            scale,
            network,
            chosen,
            pictures[0][1:],
            starts,
            waiting,
            strategy.begun(waiting, starts),
            strategy.program(optimizer_of(chosen), matmul_precision(chosen)),
            strategy.rates([rates_of(chosen)] * len(pictures)),
        )

    return prepare


@pytest.fixture
def compiled():
    """The names of all functions that the test compiles, to look into or to clear."""
    names = []

    def listen(event, seconds, **details):
        if event == "/jax/core/compile/backend_compile_duration":
            names.append(details["fun_name"].removeprefix("jit(").removesuffix(")"))

    monitoring.register_event_duration_secs_listener(listen)
    yield names
    monitoring.unregister_event_duration_listener(listen)
