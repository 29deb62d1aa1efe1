"""Memory footprint of a scale, and the choice of the execution strategy that makes it fit.

The footprint is XLA's memory analysis of the programs, which are compiled from shapes alone.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxstyle.execution import sharding
from jaxstyle.execution.arithmetic import maps
from jaxstyle.execution.factories import exactness, optimizer_of, rates_of
from jaxstyle.execution.formulation import mesh_of_all, objective_of, state_shape
from jaxstyle.execution.memory import device_bytes, nbytes, optimizer_bytes, peak_bytes, shapes
from jaxstyle.execution.plan import PERIOD, Image, blank, style_size
from jaxstyle.execution.pyramid import Scale
from jaxstyle.execution.strategy import WHOLE, Strategy, asked_for, candidates, untileable
from jaxstyle.execution.tiles.footprint import TilePrograms, compile_tiles
from jaxstyle.guidance.masks import Regions
from jaxstyle.guidance.propagate import guides as guides_of
from jaxstyle.losses import targets
from jaxstyle.losses.matting import blank_target
from jaxstyle.losses.objective import Objective
from jaxstyle.network import vgg
from jaxstyle.optim import solve
from jaxstyle.settings import Settings

Sides = tuple[int, int]
"""Height and width of a picture."""

TRANSIENTS = 6
"""Number of temporary maps, each as large as the largest layer, that ``rough_bytes`` assumes."""

NEAR = 0.5
"""Share of the memory up to which ``rough_bytes`` is trusted: it may be wrong by a third."""

SCORING_TILE = 512
"""Side of the tiles in which a large picture is scored: without a gradient they need little."""

FAR = 3.0
"""Multiple of the memory above which a strategy is rejected by ``rough_bytes`` alone, without
compiling: checkpoints save about half."""

ROOM = 0.7
"""Share of the free memory that a strategy may take if another one is left to try. The rest is for
the pictures themselves, and for the targets of the next scale, computed in the background."""


class Programs(NamedTuple):
    """The compiled programs of one scale.

    Attributes:
      targets: programs that compute the targets of content and styles.
      step: program of an optimizer step.
      objective: the objective, with shapes instead of arrays.
      shape: shape of the image.
      seconds: time of compiling.
      mesh: devices that the picture is split over, None if it is not split.
    """

    targets: tuple[jax.stages.Compiled, ...]
    step: solve.Program
    objective: Objective
    shape: tuple[int, int, int]
    seconds: float
    mesh: Mesh | None = None

    def peaks(self, network: vgg.VGG19, settings: Settings) -> tuple[int, int]:
        """Return the peak bytes while targets are computed, and while steps are taken."""
        # XLA drops unused arguments, such as kernels of deeper layers; they take memory anyway.
        whole, in_step = nbytes(network), network_bytes(network, settings)
        in_targets = network_bytes(network.direct(), settings)
        step = whole - in_step + peak_bytes(self.step.compiled)
        targets = max(map(peak_bytes, self.targets), default=in_targets)
        return targets - in_targets, step

    def fixed(self, network: vgg.VGG19, settings: Settings) -> int:
        """Return the bytes that do not grow with the picture."""
        return fixed_bytes(network, settings)

    def step_seconds(self, network: vgg.VGG19, rates: solve.Hyperparameters) -> float:
        """Measure the seconds of one step, by running a few with arbitrary targets."""
        arbitrary = jax.tree.map(lambda x: np.ones(x.shape, x.dtype), self.objective)
        scored, step = replace(arbitrary, network=network), self.step
        image = jax.random.uniform(jax.random.key(0), self.shape)
        if self.mesh is None:
            state = solve.init(image, step.optimizer)
        else:
            plain = replace(arbitrary, network=network.direct())
            scored = sharding.spread(plain, self.mesh)
            state = sharding.init(np.asarray(image), step.optimizer, self.mesh)
        count = 20 if step.loop else 2
        state, _ = jax.block_until_ready(step(scored, rates, state, 1))
        start = time.perf_counter()
        jax.block_until_ready(step(scored, rates, state, count))
        return (time.perf_counter() - start) / count


def compile_scale(
    scale: Scale,
    network: vgg.VGG19,
    styles: Sequence[Image],
    settings: Settings,
    regions: Regions | None = None,
    way: Strategy = WHOLE,
) -> Programs | TilePrograms:
    """Compile the programs of one scale from shapes alone.

    Args:
      styles: style pictures at full size; only their shapes matter.
      regions: guidance regions, if any.
      way: execution strategy of the scale.
    """
    start = time.perf_counter()
    if way.tile:
        return compile_tiles(scale, network, styles, settings, regions, way)
    network = network.with_checkpoints() if way.checkpointed else network
    content = _shape(scale.height, scale.width, 3)
    sizes = [style_size(style, i, scale, settings) for i, style in enumerate(styles)]
    optimizer = optimizer_of(settings)

    def scored(network: vgg.VGG19) -> Objective:
        blanks = [blank(*size) for size in sizes]
        photo = blank(scale.height, scale.width)
        local = blank_target(*photo.shape[:2]) if settings.photorealistic else None
        return objective_of(network, photo, blanks, settings, regions=regions, local_colors=local)

    state, rates = state_shape(scale, optimizer, way), rates_of(settings)
    with exactness(settings):
        if way.split:
            mesh = mesh_of_all()
            split = sharding.spread(shapes(scored, network.direct()), mesh)
            step = sharding.compile_split(split, rates, state, optimizer, mesh)
            seconds = time.perf_counter() - start
            return Programs((), step, split, content.shape, seconds, mesh)
        targets = _targets(network.direct(), content, sizes, settings, regions)
        scored_shapes = shapes(scored, network)
        step = solve.compile_program(scored_shapes, rates, state, optimizer)
    return Programs(targets, step, scored_shapes, content.shape, time.perf_counter() - start)


def _targets(
    network: vgg.VGG19,
    content: Any,
    styles: Sequence[Sides],
    settings: Settings,
    regions: Regions | None,
) -> tuple[jax.stages.Compiled, ...]:
    of_content = targets.content_targets.lower(
        network, content, layers=tuple(settings.content_weights()), loss=settings.content_loss
    )
    guides = None
    if regions:
        sides, layers = content.shape[:2], list(settings.style_weights())
        guides = list(guides_of(regions, network, sides, styles, layers, settings.guidance).styles)
    of_styles = targets.style_targets.lower(
        network,
        [_shape(*size, 3) for size in styles],
        _shape(len(regions.names) if regions else 1, len(styles)),
        guides,
        layers=tuple(settings.style_weights()),
        loss=settings.style_loss,
        sum_styles=settings.sum_styles,
    )
    return of_content.compile(), of_styles.compile()


def _shape(*sides: int) -> jax.ShapeDtypeStruct:
    """Return the shape and dtype of a picture (three sides) or a table of numbers (fewer)."""
    return jax.ShapeDtypeStruct(sides, jnp.float32 if len(sides) == 3 else jnp.result_type(float))


def run_peaks(
    compiled: Sequence[Programs | TilePrograms], network: vgg.VGG19, settings: Settings
) -> list[int]:
    """Return the peak bytes of each scale of a run.

    While one scale runs, the targets of the next one are computed in the background.
    """
    targets, steps = zip(*(each.peaks(network, settings) for each in compiled), strict=True)
    peaks = [step + other for step, other in zip(steps, [*targets[1:], 0], strict=True)]
    return [max(nbytes(network) + targets[0], peaks[0]), *peaks[1:]]


def way_of(
    scale: Scale,
    network: vgg.VGG19,
    styles: Sequence[Image],
    settings: Settings,
    regions: Regions | None = None,
) -> Strategy:
    """Return the strategy named by the settings, or the fastest one that fits into free memory.

    If none fits, return the last candidate, which needs least. Candidates are compiled to know what
    they need, unless a rule of thumb is enough to decide.
    """
    sides = [style_size(style, i, scale, settings) for i, style in enumerate(styles)]
    there, asked = device_bytes(), asked_for(scale, settings, sides)
    if asked is not None or there is None:
        return asked or WHOLE
    largest = max([(scale.height, scale.width), *sides], key=math.prod)
    if rough_bytes(*largest, settings) <= NEAR * there:
        return WHOLE  # small enough to be sure without compiling
    way = WHOLE
    for way in candidates(scale, settings):
        height, width = (min(way.tile or side, side) for side in largest)
        if rough_bytes(height, width, settings) > FAR * there:
            continue  # not worth compiling
        programs = compile_scale(scale, network, styles, settings, regions, way)
        if max(run_peaks([programs], network, settings)) <= ROOM * there:
            return way
    return way


def way_to_score(scale: Scale, styles: Sequence[Sides], settings: Settings) -> Strategy:
    """Return the strategy to compute a picture's losses without a gradient.

    Chosen by rule of thumb: large pictures are scored in tiles of ``SCORING_TILE`` pixels.
    """
    there, asked = device_bytes(), asked_for(scale, settings, styles)
    if asked is not None or there is None or untileable(settings):
        return asked or WHOLE
    if settings.padding == "circular" and (scale.height % PERIOD or scale.width % PERIOD):
        return WHOLE  # at such sides each map wraps around by itself: no tiles
    largest = max([(scale.height, scale.width), *styles], key=math.prod)
    return WHOLE if rough_bytes(*largest, settings) <= NEAR * there else Strategy(SCORING_TILE)


def rough_bytes(height: int, width: int, settings: Settings) -> int:
    """Return the bytes of a step by rule of thumb, without compiling.

    Counted are the output of each convolution, ``TRANSIENTS`` more copies of the largest one, and
    the optimizer state.
    """
    sizes = [
        fan_out * pixels
        for layer, _, fan_out, pixels in maps(height, width, settings, vgg.CHANNELS_PER_BLOCK)
        if layer.startswith("conv")
    ]
    memory = optimizer_bytes(height, width, settings)
    return 4 * (sum(sizes) + TRANSIENTS * max(sizes, default=0)) + memory


def fixed_bytes(network: vgg.VGG19, settings: Settings) -> int:
    """Return the bytes that do not depend on the picture: kernels, and copies of those in use."""
    return nbytes(network) + network_bytes(network.direct(), settings)


def network_bytes(network: vgg.VGG19, settings: Settings) -> int:
    """Return the bytes of the kernels in use, in the form their algorithm prepares them."""
    used = map(network.convolutions.__getitem__, vgg.convolutions_before(settings.layers()))
    return nbytes([(c.bias, c.kernel if c.prepared is None else c.prepared) for c in used])
