"""How a scale is computed: the strategies, which trade memory against time.

    Strategy      the whole picture at once: every feature map is kept for the backward pass
    Checkpointed  every block of the network is recomputed in the backward pass
    Tiled         tile by tile, in ``jaxstyle.execution.tiles.tiled``
    Sharded       over several devices by rows, in ``jaxstyle.execution.sharded``
    Batched       many pictures in one program, in ``jaxstyle.execution.batched``

A strategy makes the objective, the state and the compiled step of a scale, puts back a state from a
checkpoint, and predicts the memory. All give the same picture, except for rounding, and a run does
not ask which one it is: ``jaxstyle.execution.choice`` chose it.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from jaxstyle.execution.factories import optimizer_of, rates_of
from jaxstyle.execution.inputs import LossInputs, inputs_of
from jaxstyle.execution.memory import Footprint, network_bytes, peak_bytes, shapes
from jaxstyle.execution.plan import Scale, blank, style_size
from jaxstyle.guidance.masks import Regions
from jaxstyle.losses import JOINT, matting, targets
from jaxstyle.losses.objective import Objective, build
from jaxstyle.machine.programs import jit
from jaxstyle.network.vgg import VGG19
from jaxstyle.optim import optimizers, solve
from jaxstyle.optim.solve import (
    Hyperparameters,
    Losses,
    OnePicture,
    Program,
    Reached,
    State,
    StepProgram,
)
from jaxstyle.settings import Settings

Image = Float[np.ndarray, "_ _ _"]


def do_not_pause() -> None:
    """Do nothing: the default of ``pause``."""


@dataclass(frozen=True)
class Strategy(OnePicture):
    """One picture on one device, every feature map kept for the backward pass."""

    def __str__(self) -> str:
        return "whole"

    def cost(self, settings: Settings) -> float:
        """Return the approximate cost of a step relative to the whole picture at once.

        A forward pass is taken as one third of a step, the backward pass as two thirds.
        """
        del settings
        return 1.0

    def network(self, network: VGG19) -> VGG19:
        """Return the network in the form that the step uses."""
        return network

    def objective(
        self, inputs: Sequence[LossInputs], pause: Callable[[], None] = do_not_pause
    ) -> Any:
        """Build the objective of a scale, with its targets.

        Args:
          inputs: those of each picture; one, except in a batch.
          pause: called after each tile; may raise to end the run.
        """
        del pause
        (one,) = inputs
        content, *styles = jax.device_put([one.content, *one.styles])
        local = matting.target(one.content) if one.photorealistic else None
        return self.build(one, content, styles, local)

    def build(
        self,
        inputs: LossInputs,
        content: Any,
        styles: Sequence[Any],
        local_colors: matting.LocalColors | None,
    ) -> Objective:
        """Build the objective from pictures on the device; may be traced."""
        with jax.default_matmul_precision(inputs.precision):
            return build(
                self.network(inputs.network),
                content,
                styles,
                inputs.spec,
                guides=inputs.guides,
                local_colors=local_colors,
                earlier=inputs.earlier,
            )

    def begun(self, objective: Any, images: Sequence[Image]) -> Any:
        """Return the objective of a scale that begins with images, one for each picture.

        Some targets depend on them: see ``jaxstyle.losses.joint``.
        """
        if not isinstance(objective, Objective) or not objective.waits:
            return objective
        (image,) = images
        return objective.begun(jax.device_put(np.asarray(image)))

    def begun_shape(self, objective: Any, scale: Scale) -> Any:
        """Return the objective that ``begun`` will return, with shapes in place of new arrays."""
        if not isinstance(objective, Objective) or not objective.waits:
            return objective
        image = jax.ShapeDtypeStruct((scale.height, scale.width, 3), jnp.float32)
        return jax.eval_shape(Objective.begun, objective, image)

    def step(
        self,
        objective: Any,
        rates: Hyperparameters,
        state: State,
        optimizer: optax.GradientTransformation,
    ) -> tuple[State, Losses]:
        """Take one step, with the random numbers of that step."""
        if isinstance(objective, Objective):
            objective = objective.at(state.step)
        return super().step(objective, rates, state, optimizer)

    def losses(self, objective: Any, image: Image) -> tuple[Array, dict[str, Array]]:
        """Return the total loss of an image and its weighted terms, without a gradient."""
        return losses_of(objective, jax.device_put(image))

    def program(
        self, optimizer: optax.GradientTransformation, precision: str | None
    ) -> StepProgram:
        """Return the optimizer step, to be compiled by its ``compile``."""
        return Program(optimizer, self, precision)

    def begin(self, images: Sequence[Image], optimizer: optax.GradientTransformation) -> State:
        """Return the solver state before the first step."""
        (image,) = images
        return solve.init(jax.device_put(image), optimizer)

    def carried(self, before: State, fresh: State, earlier: Scale, scale: Scale) -> State:
        """Return a fresh state with the optimizer's moments resized from the scale before.

        Args:
          before: final state of the earlier scale.
          fresh: state before the first step of ``scale``.
          earlier: the scale before.
          scale: the scale that begins.
        """
        del earlier, scale
        moments = optimizers.resize_moments(before.optimizer, fresh.optimizer)
        return replace(fresh, optimizer=moments)

    def state_shape(self, scale: Scale, optimizer: optax.GradientTransformation) -> State:
        """Return the shapes of the state at a scale."""
        image = jax.ShapeDtypeStruct((scale.height, scale.width, 3), jnp.float32)
        return jax.eval_shape(partial(solve.init, optimizer=optimizer), image)

    def restored(self, saved: Reached, scale: Scale) -> Reached:
        """Return what a checkpoint holds, moved to where this strategy stores it."""
        del scale
        return saved

    def rates(self, each: Sequence[Hyperparameters]) -> Hyperparameters:
        """Return the hyperparameters of all pictures together."""
        (one,) = each
        return one

    def report_every(self, steps: int) -> int:
        """Return the number of steps between two reports, given that of a single picture."""
        return steps

    def images(self, state: State, scale: Scale, best: Sequence[bool]) -> list[Image]:
        """Return the resulting images on the host.

        Args:
          state: the state, with or without the optimizer's.
          scale: its scale.
          best: for each picture, whether to take the image of least loss instead of the average.
        """
        del scale
        return [np.asarray(solve.result(state, best[0]))]

    # --- prediction of memory and time, before a run ----------------------------------------------

    def footprint(
        self,
        scale: Scale,
        network: VGG19,
        styles: Sequence[Image],
        settings: Settings,
        regions: Regions | None = None,
    ) -> Footprint:
        """Predict the memory of a scale by compiling its programs from shapes alone.

        Args:
          scale: the scale.
          network: the network.
          styles: style pictures at full size; only their shapes matter.
          settings: settings of the run.
          regions: guidance regions, if any.
        """
        start = time.perf_counter()
        sizes = [style_size(style, i, scale, settings) for i, style in enumerate(styles)]
        pictures = blank(scale.height, scale.width), [blank(*size) for size in sizes]
        loss = scale.style_loss
        inputs = inputs_of(network, *pictures, settings, regions, style_loss=loss)
        optimizer, rates = optimizer_of(settings), rates_of(settings)
        scored = self.objective_shape(inputs)
        program = self.program(optimizer, inputs.precision)
        step = program.compile(scored, rates, self.state_shape(scale, optimizer))
        in_targets = [peak_bytes(each) for each in self._compile_targets(inputs)]
        # XLA drops unused arguments, such as kernels of deeper layers.
        direct = network_bytes(network.direct(), settings)
        return Footprint(
            targets=max(in_targets, default=direct) - direct,
            steps=peak_bytes(step) - network_bytes(network, settings),
            fixed=0,
            seconds=time.perf_counter() - start,
            step_seconds=partial(self._step_seconds, program, scored, inputs.network, scale, rates),
        )

    def objective_shape(self, inputs: LossInputs) -> Any:
        """Return the objective with shapes instead of arrays."""
        local = matting.blank_target(*inputs.content.shape[:2]) if inputs.photorealistic else None

        def scored(network: VGG19) -> Any:
            given = replace(inputs, network=network)
            found = self.build(given, given.content, given.styles, local)
            return found.begun(jnp.zeros_like(given.content))

        return shapes(scored, inputs.network)

    def _compile_targets(self, inputs: LossInputs) -> list[jax.stages.Compiled]:
        """Compile the programs that compute the targets of content and styles.

        Not those on several layers, which need less than a step.
        """
        network, spec = inputs.network.direct(), inputs.spec
        if spec.content_loss in JOINT or spec.style_loss in JOINT:
            return []
        content, styles = jax.tree.map(solve.shape_of, (inputs.content, list(inputs.styles)))
        shares = targets.shares_of(spec.style_blend or [1.0] * len(styles), inputs.guides)
        guides = [dict(of) for of in inputs.guides.styles] if inputs.guides else None
        with jax.default_matmul_precision(inputs.precision):
            of_content = targets.content_targets.lower(
                network,
                content,
                targets.seen_by(inputs.guides),
                layers=tuple(spec.content_weights),
                loss=spec.content_loss,
            )
            of_styles = targets.style_targets.lower(
                network,
                styles,
                shares,
                guides,
                layers=tuple(spec.style_weights),
                loss=spec.style_loss,
                sum_styles=spec.sum_styles,
            )
            return [of_content.compile(), of_styles.compile()]

    def _step_seconds(
        self, program: Any, scored: Any, network: VGG19, scale: Scale, rates: Hyperparameters
    ) -> float:
        """Measure the seconds of one step, by running a few with arbitrary targets."""
        arbitrary = self._arbitrary(scored, network)
        image = np.asarray(jax.random.uniform(jax.random.key(0), (*scale[:2], 3)))
        state = self.begin([image], program.optimizer)
        count = 20 if program.loop else 2
        state, _ = jax.block_until_ready(program(arbitrary, rates, state, 1))
        start = time.perf_counter()
        jax.block_until_ready(program(arbitrary, rates, state, count))
        return (time.perf_counter() - start) / count

    def _arbitrary(self, scored: Any, network: VGG19) -> Any:
        """Return an objective of the given shapes, whose targets are ones."""
        ones = jax.tree.map(lambda x: np.ones(x.shape, x.dtype), scored)
        return replace(ones, network=self.network(network))


@jit()
def losses_of(objective: Any, image: Array) -> tuple[Array, dict[str, Array]]:
    """Return the total loss of an image and its weighted terms, of any strategy's objective."""
    return objective(image)


WHOLE = Strategy()


@dataclass(frozen=True)
class Checkpointed(Strategy):
    """One picture on one device, every block of the network recomputed in the backward pass."""

    def __str__(self) -> str:
        return "checkpointed"

    def cost(self, settings: Settings) -> float:
        """Return the approximate cost of a step relative to the whole picture at once."""
        del settings
        return 4 / 3

    def network(self, network: VGG19) -> VGG19:
        """Return the network with checkpoints between its blocks."""
        return network.with_checkpoints()
