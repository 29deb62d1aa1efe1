"""The method: the optimization of one picture, or of many together, from coarse to fine.

At each scale an Optax transformation takes gradient steps on a weighted sum of content, style and
total variation losses, measured on the features of a fixed VGG-19 (Gatys, Ecker, Bethge, CVPR
2016). The result of one scale, enlarged, starts the next.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
from jax.sharding import Mesh

from jaxstyle.errors import DivergedError
from jaxstyle.execution.batched import Batched
from jaxstyle.execution.choice import choose
from jaxstyle.execution.compilation import Compilations, counted, in_turn, one_ahead
from jaxstyle.execution.factories import (
    matmul_precision,
    optimizer_of,
    rates_of,
    report_every,
    tuned_network,
)
from jaxstyle.execution.inputs import NO_LAYERS, Layers, inputs_at, layers_of, looking_at
from jaxstyle.execution.plan import Image, Scale
from jaxstyle.execution.strategy import Strategy, do_not_pause
from jaxstyle.guidance.masks import Regions
from jaxstyle.network import weights
from jaxstyle.network.machine import give_memory_back
from jaxstyle.network.vgg import VGG19
from jaxstyle.optim import solve
from jaxstyle.optim.solve import Course, Reached, StepProgram
from jaxstyle.runs.inputs import Inputs, cached_resize
from jaxstyle.runs.preprocessing import enlarged, finished, first_image
from jaxstyle.runs.regions import regions_of
from jaxstyle.runs.result import Progress, Result, ScaleReport, loss_records
from jaxstyle.runs.run_checkpoint import RunCheckpoint


@dataclass(frozen=True)
class Hooks:
    """Functions that a run calls while it works. They may raise to end it.

    Attributes:
      report: called at each report with the progress, and a checkpoint to resume from. The
        checkpoint must be written before the function returns, or not at all: the next step
        donates its buffers.
      pause: called after every tile, at scales computed in tiles.
      every: number of steps between two reports; if None, chosen for the device.
    """

    report: Callable[[Progress, RunCheckpoint], None] = lambda progress, saved: None
    pause: Callable[[], None] = do_not_pause
    every: int | None = None


NO_HOOKS = Hooks()


class Stage(NamedTuple):
    """A scale made ready to run: its targets computed, its step compiled.

    Attributes:
      strategy: how it is computed.
      objective: the losses of all pictures.
      program: the compiled optimizer step.
      preparing: count and duration of all compilations for the scale.
      compilations: number of programs that were compiled for the step.
    """

    strategy: Strategy
    objective: Any
    program: StepProgram
    preparing: Compilations
    compilations: int


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
    """
    saved = saved or RunCheckpoint()
    start = time.perf_counter() - saved.seconds
    settings = [picture.settings for picture in pictures]
    schedules = [picture.scales() for picture in pictures]
    scales = schedules[0]
    if layers is None:
        layers = layers_of(settings) if len(pictures) > 1 else NO_LAYERS
    network = network or tuned_network(loaded, looking_at(layers, settings[0]))
    colored = [picture.recolored() for picture in pictures]
    regions = [_regions(loaded, picture) for picture in pictures]
    precision = matmul_precision(settings[0])
    optimizer, rates = optimizer_of(settings[0]), [rates_of(each) for each in settings]
    images = [
        first_image(
            _content_at(scales[0], one, photo), styles, own, scales[0], network, one.settings
        )
        for one, (photo, styles), own in zip(pictures, colored, regions, strict=True)
    ]

    def prepare(index: int) -> Stage:
        scale = scales[index]
        with counted(here=True) as preparing:
            resized = cached_resize(pictures)
            shared = {"layers": layers, "resized": resized, "precision": precision}
            inputs = [
                inputs_at(own[index], network, *both, each, of, **shared)
                for own, both, each, of in zip(schedules, colored, settings, regions, strict=True)
            ]
            strategy = (
                Batched(len(pictures), mesh)
                if len(pictures) > 1 or mesh
                else choose(scale, network, pictures[0].styles, settings[0], regions[0])
            )
            objective = strategy.objective(inputs, hooks.pause)
            program = strategy.program(optimizer, precision)
            shapes = strategy.rates(rates), strategy.state_shape(scale, optimizer)
            with counted(here=True) as compiled:
                program.compile(objective, *shapes)
            jax.block_until_ready(objective)  # what computing it takes is free for the steps
        return Stage(strategy, objective, program, preparing, compiled.count)

    def enlarge(scale: Scale) -> list[Image]:
        resized = cached_resize(pictures)
        each = zip(images, colored, settings, strict=True)
        return [enlarged(image, photo, scale, own, resized) for image, (photo, _), own in each]

    losses, reports = [list(of) for of in saved.losses] or [[] for _ in pictures], [*saved.scales]
    reached, best = None, [each.keep_best for each in settings]
    ahead = in_turn if settings[0].shard == "space" else one_ahead
    for index, stage in ahead(prepare, range(saved.scale, len(scales))):
        scale, strategy = scales[index], stage.strategy
        if saved.reached:
            reached = replace(saved.reached, state=strategy.restored(saved.reached.state, scale))
        else:
            state = strategy.begin(enlarge(scale), optimizer)
            if reached and settings[0].carry:
                state = strategy.carried(reached.state, state, scales[index - 1], scale)
            reached = Reached(strategy.rates(rates), state, (Course(),) * len(pictures))
        give_memory_back()  # of the compiler, and of the scale before
        running = solve.minimize(
            stage.program,
            stage.objective,
            reached,
            scale.steps,
            hooks.every or strategy.report_every(report_every(settings[0])),
            tolerance=settings[0].tolerance,
        )
        saved = RunCheckpoint()
        for now in running:
            for own, record in zip(
                losses, loss_records(index, reached, now, settings), strict=True
            ):
                own += record
            reached, seconds = now, time.perf_counter() - start
            progress = Progress(scales, index, now.pictures, strategy, best, seconds)
            hooks.report(progress, RunCheckpoint(index, now, reports, losses, seconds))
        images = strategy.images(reached.state, scale, best)
        reports.append(
            ScaleReport(
                scale.height,
                scale.width,
                reached.step,
                stage.preparing.seconds,
                reached.seconds,
                stage.compilations,
                stage.preparing.count - stage.compilations,
                str(strategy),
            )
        )
    seconds = time.perf_counter() - start

    def result(index: int) -> Result | DivergedError:
        if reached and (reason := reached.courses[index].diverged):
            return DivergedError(reason)
        one = pictures[index]
        image, alpha, maps = finished(images[index], one.content, scales[-1], one.settings)
        made_by = one.settings, loaded, network.computation()
        return Result(image, alpha, *made_by, reports, losses[index], seconds, maps)

    return [result(index) for index in range(len(pictures))]


def _regions(loaded: weights.Loaded, picture: Inputs) -> Regions | None:
    return picture.regions or regions_of(
        loaded, picture.content.rgb, picture.styles, picture.settings
    )


def _content_at(scale: Scale, picture: Inputs, photo: Image) -> Image:
    """Return the content already resized to a scale if there is one, else the photo."""
    return picture.sized.get((scale.height, scale.width), photo)
