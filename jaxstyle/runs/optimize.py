"""The method: the optimization of one picture, or of many together, from coarse to fine.

At each scale an Optax transformation takes gradient steps on a weighted sum of content, style and
total variation losses, measured on the features of a fixed VGG-19 (Gatys, Ecker, Bethge, CVPR
2016). The result of one scale, enlarged, starts the next. Start reading at ``optimize``.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from jax.sharding import Mesh

from jaxstyle.errors import CheckpointError, DivergedError
from jaxstyle.execution.batched import Batched
from jaxstyle.execution.choice import choose
from jaxstyle.execution.compilation import counted, in_turn, one_ahead
from jaxstyle.execution.factories import (
    matmul_precision,
    optimizer_of,
    rates_of,
    report_every,
    tuned_network,
)
from jaxstyle.execution.inputs import (
    NO_LAYERS,
    Layers,
    LossInputs,
    inputs_at,
    layers_of,
    looking_at,
)
from jaxstyle.execution.plan import Image, Scale
from jaxstyle.execution.strategy import Strategy, do_not_pause
from jaxstyle.guidance.masks import Regions, everywhere
from jaxstyle.images.transparency import have_alpha
from jaxstyle.machine.host import give_memory_back
from jaxstyle.machine.programs import make_room
from jaxstyle.network import weights
from jaxstyle.network.vgg import VGG19
from jaxstyle.optim import solve
from jaxstyle.optim.solve import Course, Hyperparameters, Reached, StepProgram
from jaxstyle.runs.inputs import Inputs, cached_resize
from jaxstyle.runs.preprocessing import enlarged, finished, first_image
from jaxstyle.runs.regions import regions_of
from jaxstyle.runs.result import Progress, Result, ScaleReport, Trace
from jaxstyle.runs.run_checkpoint import RunCheckpoint
from jaxstyle.settings import Settings

OTHER_RUN = "the checkpoint is damaged, or of another run: delete it, or run without --resume"


@dataclass(frozen=True)
class Hooks:
    """Functions that a run calls while it works. They may raise to end it.

    Attributes:
      report: called at each report with the progress, and a checkpoint to resume from. The
        checkpoint must be written before the function returns, or not at all: the next step
        donates its buffers.
      pause: called while a scale is compiled, and after every tile, at scales computed in tiles.
      every: number of steps between two reports; if None, chosen for the device.
    """

    report: Callable[[Progress, RunCheckpoint], None] = lambda progress, saved: None
    pause: Callable[[], None] = do_not_pause
    every: int | None = None


NO_HOOKS = Hooks()


def optimize(
    loaded: weights.Loaded,
    pictures: Sequence[Inputs],
    hooks: Hooks = NO_HOOKS,
    saved: RunCheckpoint | None = None,
    *,
    mesh: Mesh | None = None,
    layers: Layers | None = None,
    network: VGG19 | None = None,
) -> list[Result | DivergedError]:
    """Run style transfer, from the coarsest scale to the finest.

    Args:
      loaded: weights of the network.
      pictures: what to make. If there are several, their scales have the same sides and steps, and
        one program takes the steps of all.
      hooks: functions to call on the way.
      saved: checkpoint of the same pictures to resume from. The results are identical, byte for
        byte, to those of a run that was never interrupted.
      mesh: devices to shard the pictures over; their number must divide that of the pictures.
      layers: layers to measure. Batches that are given the same layers share their program. By
        default those of ``pictures``.
      network: the network for these layers, if there is one already.

    Returns:
      The result of each picture, or why it was given up.

    Raises:
      SettingError, MaskError, ImageError, PictureSizeError: the inputs do not fit together.
      DivergedError: all pictures were given up.
      CheckpointError: the checkpoint is of another run.
    """
    make_room()
    saved = saved or RunCheckpoint()
    start = time.perf_counter() - saved.seconds
    problem = Problem.of(loaded, pictures, mesh, layers, network)
    if saved.scale not in range(len(problem.scales)):
        raise CheckpointError(OTHER_RUN)
    trace = Trace.of(saved.losses, saved.scales, problem.settings)
    images, reached = problem.first_images(), None

    for index, stage in problem.stages(saved.scale, hooks.pause):  # coarse to fine
        started = saved.started if saved.reached else problem.enlarged(stage, images)
        reached = problem.begin(index, stage, started, reached, saved.reached)
        stage = stage.begun(started)
        saved = RunCheckpoint()  # only the first scale resumes; the solver donates its buffers
        give_memory_back()  # that of the compiler, and of the scale before
        for now in stage.minimize(reached, hooks.every):
            trace.note(index, before=reached, now=now)
            reached, seconds = now, time.perf_counter() - start
            kept = RunCheckpoint(index, reached, trace.scales, trace.losses, seconds)
            if stage.waited:
                kept = replace(kept, started=started)
            hooks.report(stage.progress(problem.scales, index, reached, seconds), kept)
        images = stage.images(reached)
        trace.scales.append(stage.scale_report(reached))

    return problem.results(images, reached, trace, time.perf_counter() - start)


class Stage(NamedTuple):
    """A scale made ready to run: its targets computed, its step compiled.

    Attributes:
      scale: the scale.
      settings: settings of each picture.
      strategy: how it is computed.
      objective: the losses of all pictures.
      program: the compiled optimizer step.
      compile_seconds: time of all compilations for the scale.
      compilations: number of programs that were compiled for the step.
      target_compilations: number of programs that were compiled for the targets.
      waited: whether some targets depend on the images that the scale begins with.
    """

    scale: Scale
    settings: Sequence[Settings]
    strategy: Strategy
    objective: Any
    program: StepProgram
    compile_seconds: float
    compilations: int
    target_compilations: int
    waited: bool = False

    def begun(self, images: Sequence[Image]) -> "Stage":
        """Return the stage with the targets of a scale that begins with these images."""
        if not self.waited:
            return self
        with counted(here=True) as finding:
            objective = jax.block_until_ready(self.strategy.begun(self.objective, images))
        return self._replace(
            objective=objective,
            compile_seconds=self.compile_seconds + finding.seconds,
            target_compilations=self.target_compilations + finding.count,
        )

    def minimize(self, begin: Reached, every: int | None) -> Iterator[Reached]:
        """Take the steps of the scale: see ``jaxstyle.optim.solve.minimize``."""
        first = self.settings[0]
        usual = report_every(first)
        # Where pictures may stop early, they do so at the same steps in a batch as alone.
        together = len(self.settings) > 1 and first.tolerance
        return solve.minimize(
            self.program,
            self.objective,
            begin,
            steps=self.scale.steps,
            every=every or (usual if together else self.strategy.report_every(usual)),
            tolerance=first.tolerance,
            carry=first.carry,
        )

    def images(self, reached: Reached) -> list[Image]:
        """Return the resulting images."""
        return self.strategy.images(reached.state, self.scale, self._best())

    def progress(
        self, scales: list[Scale], index: int, reached: Reached, seconds: float
    ) -> Progress:
        """Return a progress report."""
        return Progress(
            scales, index, reached.without_optimizer, self.strategy, self._best(), seconds
        )

    def scale_report(self, reached: Reached) -> ScaleReport:
        """Return the timings of the finished scale."""
        return ScaleReport(
            self.scale.height,
            self.scale.width,
            reached.step,
            self.compile_seconds,
            reached.seconds,
            self.compilations,
            self.target_compilations,
            str(self.strategy),
        )

    def _best(self) -> list[bool]:
        return [each.keep_best for each in self.settings]


@dataclass(frozen=True)
class Problem:
    """The pictures of a run, with all that is computed before the first scale.

    Attributes:
      loaded: weights of the network.
      pictures: what to make.
      mesh: devices to shard the pictures over, if any.
      layers: layers to measure, besides those of the settings.
      network: the network.
      settings: settings of each picture; those that decide the program are equal.
      schedules: scales of each picture, coarse to fine; of equal sides and steps.
      colored: pixels of content and styles of each picture, after color matching.
      regions: guidance regions of each picture, if any; if any picture has some, all have.
      optimizer: the optimizer.
      precision: matmul precision, as JAX names it.
    """

    loaded: weights.Loaded
    pictures: Sequence[Inputs]
    mesh: Mesh | None
    layers: Layers
    network: VGG19
    settings: list[Settings]
    schedules: list[list[Scale]]
    colored: list[tuple[Image, list[Image]]]
    regions: list[Regions | None]
    optimizer: optax.GradientTransformation
    precision: str | None

    @classmethod
    def of(
        cls,
        loaded: weights.Loaded,
        pictures: Sequence[Inputs],
        mesh: Mesh | None,
        layers: Layers | None,
        network: VGG19 | None,
    ) -> "Problem":
        """Return the problem of these arguments of ``optimize``."""
        settings = [picture.settings for picture in pictures]
        if layers is None:
            layers = layers_of(settings) if len(pictures) > 1 else NO_LAYERS
        regions: list[Regions | None] = [
            one.regions or regions_of(loaded, one.content.pixels, one.styles, one.settings)
            for one in pictures
        ]
        if any(regions):  # one program is for all
            regions = [
                own or everywhere(len(one.styles))
                for own, one in zip(regions, pictures, strict=True)
            ]
        return cls(
            loaded=loaded,
            pictures=pictures,
            mesh=mesh,
            layers=layers,
            schedules=[picture.scales() for picture in pictures],
            network=network or tuned_network(loaded, looking_at(layers, settings[0])),
            settings=settings,
            colored=[picture.recolored() for picture in pictures],
            regions=regions,
            optimizer=optimizer_of(settings[0]),
            precision=matmul_precision(settings[0]),
        )

    @property
    def scales(self) -> list[Scale]:
        """The scales of the first picture, whose sides and steps are those of all."""
        return self.schedules[0]

    def first_images(self) -> list[Image]:
        """Return the images that the optimization starts from."""
        first, found = self.scales[0], []
        for one, (photo, styles), own in zip(
            self.pictures, self.colored, self.regions, strict=True
        ):
            content = one.sized.get((first.height, first.width), photo)
            given = content, styles, own, first, self.network, one.settings
            found.append(first_image(*given) if one.start is None else one.start)
        return found

    def stages(self, first: int, pause: Callable[[], None]) -> Iterator[tuple[int, Stage]]:
        """Yield each scale from the ``first`` on, ready to run; the next is prepared meanwhile."""
        each = range(first, len(self.scales))
        if self.settings[0].shard == "space":
            return in_turn(lambda index: self.stage(index, pause), each)
        return one_ahead(lambda index: self.stage(index, pause), each, pause)

    def stage(self, index: int, pause: Callable[[], None]) -> Stage:
        """Compute the targets of a scale and compile its step."""
        scale = self.scales[index]
        with counted(here=True) as preparing:
            strategy = self.strategy(scale)
            objective = strategy.objective(self._inputs(index), pause)
            program = strategy.program(self.optimizer, self.precision)
            rates, state = self.rates(strategy, scale), strategy.state_shape(scale, self.optimizer)
            begun = strategy.begun_shape(objective, scale)
            with counted(here=True) as compiling:
                program.compile(begun, rates, state)
            jax.block_until_ready(objective)  # so that the steps find that memory free
        return Stage(
            scale,
            self.settings,
            strategy,
            objective,
            program,
            compile_seconds=preparing.seconds,
            compilations=compiling.count,
            target_compilations=preparing.count - compiling.count,
            waited=begun is not objective,
        )

    def strategy(self, scale: Scale) -> Strategy:
        """Return how a scale is computed."""
        if len(self.pictures) > 1 or self.mesh:
            return Batched(len(self.pictures), self.mesh)
        styles = self.pictures[0].styles
        return choose(scale, self.network, styles, self.settings[0], self.regions[0])

    def rates(self, strategy: Strategy, scale: Scale) -> Hyperparameters:
        """Return the hyperparameters of all pictures at a scale."""
        return strategy.rates([rates_of(each, scale.steps) for each in self.settings])

    def _inputs(self, index: int) -> list[LossInputs]:
        resized = cached_resize(self.pictures)
        each = zip(self.pictures, self.schedules, self.colored, self.regions, strict=True)
        return [
            inputs_at(
                scales[index],
                self.network,
                *colored,
                one.settings,
                regions,
                layers=self.layers,
                weighted=have_alpha([photo for photo, _ in self.colored]),
                resized=resized,
                precision=self.precision,
                earlier=one.earlier,
                temporal_weight=one.temporal_weight,
            )
            for one, scales, colored, regions in each
        ]

    def enlarged(self, stage: Stage, images: Sequence[Image]) -> list[Image]:
        """Return the images that a scale begins with, from those of the scale before."""
        resized = cached_resize(self.pictures)
        each = zip(images, self.colored, self.settings, strict=True)
        return [
            enlarged(image, photo, stage.scale, own, resized) for image, (photo, _), own in each
        ]

    def begin(
        self,
        index: int,
        stage: Stage,
        started: Sequence[Image],
        before: Reached | None,
        saved: Reached | None,
    ) -> Reached:
        """Return what a scale starts from.

        Args:
          index: index of the scale.
          stage: the scale.
          started: the images it begins with.
          before: what was reached at the scale before, None for the first one. If the settings ask
            for it, the optimizer's moments are resized from it.
          saved: what was reached at this scale, from a checkpoint.
        """
        scale, strategy = stage.scale, stage.strategy
        if saved:
            restored = strategy.restored(saved, scale)
            self._check(restored, stage, started)
            return restored
        state = strategy.begin(started, self.optimizer)
        if before and self.settings[0].carry:
            state = strategy.carried(before.state, state, self.scales[index - 1], scale)
        earlier = before.courses if before else (Course(),) * len(self.pictures)
        courses = tuple(Course(diverged=course.diverged) for course in earlier)  # given up for good
        return Reached(self.rates(strategy, scale), state, courses)

    def _check(self, restored: Reached, stage: Stage, started: Sequence[Image]) -> None:
        """Raise CheckpointError if what a checkpoint holds is not of these pictures and scale."""
        steps = range(stage.scale.steps + 1)
        wanted = stage.strategy.state_shape(stage.scale, self.optimizer)
        if (
            [course.step in steps for course in restored.courses] != [True] * len(self.pictures)
            or _shapes(restored.state) != _shapes(wanted)
            or list(map(np.shape, jax.tree.leaves(restored.rates)))
            != list(map(np.shape, jax.tree.leaves(self.rates(stage.strategy, stage.scale))))
            or list(map(np.shape, started))
            != [(*stage.scale[:2], 3)] * (len(self.pictures) if stage.waited else 0)
        ):
            raise CheckpointError(OTHER_RUN)

    def results(
        self, images: Sequence[Image], reached: Reached | None, trace: Trace, seconds: float
    ) -> list[Result | DivergedError]:
        """Return the result of each picture, or why it was given up."""
        return [
            DivergedError(reached.courses[index].diverged)
            if reached and reached.courses[index].diverged
            else self._result(index, images[index], trace, seconds)
            for index in range(len(self.pictures))
        ]

    def _result(self, index: int, image: Image, trace: Trace, seconds: float) -> Result:
        one = self.pictures[index]
        done = finished(image, one.content, self.scales[-1], one.settings, one.styles)
        return Result(
            done.image,
            done.alpha,
            settings=one.settings,
            weights=self.loaded,
            computation=self.network.computation(),
            scales=trace.scales,
            losses=trace.losses[index],
            seconds=seconds,
            maps=done.maps,
            dpi=one.content.dpi,
        )


def _shapes(state: solve.State) -> list[tuple[tuple[int, ...], np.dtype]]:
    return [(x.shape, x.dtype) for x in jax.tree.leaves(state)]
