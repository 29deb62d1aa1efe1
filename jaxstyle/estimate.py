"""What a run will take, known before any of it is done: arithmetic, memory and time.

Memory is XLA's own account of the programs, compiled for shapes alone. Time is a guess: a few steps
of the coarsest scale, and the others in proportion to their arithmetic.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from jaxstyle import solve, targets, vgg
from jaxstyle.arithmetic import maps, step_flops
from jaxstyle.guide.masks import Regions
from jaxstyle.guide.propagate import guides as guides_of
from jaxstyle.losses.matting import blank_target
from jaxstyle.memory import device_bytes, nbytes, optimizer_bytes, peak_bytes, remedies
from jaxstyle.objective import Objective
from jaxstyle.parts import exactness, optimizer_of, rates_of, tuned_network
from jaxstyle.plan import Image, plan, style_size
from jaxstyle.pyramid import Scale
from jaxstyle.settings import Settings
from jaxstyle.stylize import objective_of, state_shape
from jaxstyle.weights import Loaded

Sides = tuple[int, int]
"""Height and width of a picture."""

TRANSIENTS = 6
"""How many maps of the largest layer a step works on at a time, by rule of thumb."""


@dataclass(frozen=True)
class ScaleEstimate:
    """One scale of a run. styles: height and width of each style picture.

    step_flops: see ``step_flops``. peak_bytes: of the device. compile_seconds: what compiling its
    programs has just taken. run_seconds: about; None where not even the coarsest scale fits.
    """

    height: int
    width: int
    styles: tuple[Sides, ...]
    steps: int
    step_flops: float
    peak_bytes: int
    compile_seconds: float
    run_seconds: float | None


@dataclass(frozen=True)
class Estimate:
    """A whole run.

    available_bytes: what the device has for it; None if that is not known. remedies: where that is
    too little, settings any of which would make it fit.
    """

    scales: tuple[ScaleEstimate, ...]
    available_bytes: int | None
    remedies: tuple[dict[str, Any], ...]

    @property
    def peak_bytes(self) -> int:
        """Of the scale that needs most."""
        return max(scale.peak_bytes for scale in self.scales)

    @property
    def fits(self) -> bool:
        """Whether it does, as far as is known."""
        return self.available_bytes is None or self.peak_bytes <= self.available_bytes

    @property
    def compile_seconds(self) -> float:
        """Of all scales."""
        return sum(scale.compile_seconds for scale in self.scales)

    @property
    def seconds(self) -> float | None:
        """About: compiling and running."""
        running = [scale.run_seconds for scale in self.scales if scale.run_seconds is not None]
        return self.compile_seconds + sum(running) if running else None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self) | {
            "compilations": len(self.scales),
            "steps": sum(scale.steps for scale in self.scales),
            "flops": sum(scale.steps * scale.step_flops for scale in self.scales),
            "peak_bytes": self.peak_bytes,
            "fits": self.fits,
            "seconds": self.seconds,
        }


class Programs(NamedTuple):
    """The compiled programs of one scale: its targets (of content and styles), and a step.

    objective: of shapes. shape: of the image. seconds: compiling.
    """

    targets: tuple[jax.stages.Compiled, ...]
    step: solve.Program
    objective: Objective
    shape: tuple[int, int, int]
    seconds: float


def estimate(
    loaded: Loaded,
    content: Sides,
    styles: Sequence[Sides],
    settings: Settings,
    pause: Callable[[], None] = lambda: None,
    regions: Regions | None = None,
) -> Estimate:
    """Compile every scale of a run, run a few steps of the coarsest, and reckon the rest.

    What is compiled is what the run would compile: it finds it in JAX's compilation cache.
    ``pause`` is called between two scales.

    Raises:
      PictureSizeError, SettingError: those of the run.
    """
    pictures = [blank(*sides) for sides in styles]
    scales = plan(blank(*content), pictures, settings)
    network = tuned_network(loaded, settings)
    compiled = []
    for scale in scales:
        compiled.append(compile_scale(scale, network, pictures, settings, regions))
        pause()
    peaks = run_peaks(compiled, network, settings)
    available = device_bytes()  # after compiling, which takes some for itself
    flops = [step_flops(scale.height, scale.width, settings) for scale in scales]
    pace = None
    if available is None or peaks[0] <= available:
        pace = step_seconds(compiled[0], network, rates_of(settings)) / max(1.0, flops[0])
    most = peaks.index(max(peaks))
    fixed = fixed_bytes(network, settings)
    return Estimate(
        tuple(
            ScaleEstimate(
                scale.height,
                scale.width,
                tuple(style_size(s, i, scale, settings) for i, s in enumerate(pictures)),
                scale.steps,
                work,
                peak,
                programs.seconds,
                None if pace is None else pace * work * scale.steps,
            )
            for scale, work, peak, programs in zip(scales, flops, peaks, compiled, strict=True)
        ),
        available,
        tuple(remedies(scales[most], peaks[most], available, settings, fixed)),
    )


def blank(height: int, width: int) -> Image:
    """A picture that has a shape and takes no memory."""
    return np.broadcast_to(np.float32(0), (height, width, 3))


def compile_scale(
    scale: Scale,
    network: vgg.VGG19,
    styles: Sequence[Image],
    settings: Settings,
    regions: Regions | None = None,
) -> Programs:
    """Compile the programs of one scale, for shapes alone."""
    start = time.perf_counter()
    content = _shape(scale.height, scale.width, 3)
    sizes = [style_size(style, i, scale, settings) for i, style in enumerate(styles)]
    optimizer = optimizer_of(settings)

    def scored(network: vgg.VGG19) -> Objective:
        blanks = [blank(*size) for size in sizes]
        photo = blank(scale.height, scale.width)
        local = blank_target(*photo.shape[:2]) if settings.photorealistic else None
        return objective_of(network, photo, blanks, settings, regions=regions, local_colors=local)

    with exactness(settings):
        targets = _targets(network.direct(), content, sizes, settings, regions)
        shapes = _shapes(scored, network)
        state = state_shape(scale, optimizer)
        step = solve.compile_program(shapes, rates_of(settings), state, optimizer)
    return Programs(targets, step, shapes, content.shape, time.perf_counter() - start)


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


def _shapes(function: Callable[[PyTree], PyTree], argument: PyTree) -> PyTree:
    """Of what a function would return, as strictly typed as arguments of a compiled program."""
    found = jax.eval_shape(function, argument)
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), found)


def _shape(*sides: int) -> jax.ShapeDtypeStruct:
    """Of a picture, or of a table of numbers."""
    return jax.ShapeDtypeStruct(sides, jnp.float32 if len(sides) == 3 else jnp.result_type(float))


def run_peaks(compiled: Sequence[Programs], network: vgg.VGG19, settings: Settings) -> list[int]:
    """Peak bytes by scale. While one runs, the targets of the next are made beside it."""
    # XLA leaves what a program does not use out of its arguments; it is there all the same.
    whole, in_step = nbytes(network), network_bytes(network, settings)
    in_targets = network_bytes(network.direct(), settings)
    steps = [whole - in_step + peak_bytes(programs.step.compiled) for programs in compiled]
    targets = [max(map(peak_bytes, programs.targets)) - in_targets for programs in compiled]
    peaks = [step + other for step, other in zip(steps, [*targets[1:], 0], strict=True)]
    return [max(whole + targets[0], peaks[0]), *peaks[1:]]


def step_seconds(programs: Programs, network: vgg.VGG19, rates: solve.Rates) -> float:
    """Seconds of one step, from a few of them. What the targets are makes no difference."""
    arbitrary = jax.tree.map(lambda x: jnp.ones(x.shape, x.dtype), programs.objective)
    scored, step = replace(arbitrary, network=network), programs.step
    state = solve.init(jax.random.uniform(jax.random.key(0), programs.shape), step.optimizer)
    count = 20 if step.loop else 2
    state, _ = jax.block_until_ready(step(scored, rates, state, 1))
    start = time.perf_counter()
    jax.block_until_ready(step(scored, rates, state, count))
    return (time.perf_counter() - start) / count


def rough_bytes(height: int, width: int, settings: Settings) -> int:
    """Bytes of a step by rule of thumb, nothing compiled: each map of the network, the largest some
    more times, and the optimizer's memory."""
    sizes = [
        fan_out * pixels
        for layer, _, fan_out, pixels in maps(height, width, settings, vgg.CHANNELS_PER_BLOCK)
        if layer.startswith("conv")
    ]
    memory = optimizer_bytes(height, width, settings)
    return 4 * (sum(sizes) + TRANSIENTS * max(sizes, default=0)) + memory


def fixed_bytes(network: vgg.VGG19, settings: Settings) -> int:
    """Bytes that do not grow with the picture: the kernels, and as much to turn those in use."""
    return nbytes(network) + network_bytes(network.direct(), settings)


def network_bytes(network: vgg.VGG19, settings: Settings) -> int:
    """Bytes of the kernels in use, as they are used."""
    used = map(network.convolutions.__getitem__, vgg.convolutions_before(settings.layers()))
    return nbytes([(c.bias, c.kernel if c.prepared is None else c.prepared) for c in used])
