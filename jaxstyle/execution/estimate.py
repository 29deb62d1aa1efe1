"""Estimates of a run before it starts: operations, memory and time.

Memory is what the process holds and XLA's analysis of the programs, which are compiled from shapes
alone: see ``jaxstyle.execution.memory``.
Time is extrapolated: a few steps of the coarsest scale are measured, and the other scales assumed
to take time in proportion to their operations.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from jaxstyle.errors import PictureSizeError, SettingError
from jaxstyle.execution.arithmetic import step_flops
from jaxstyle.execution.choice import Sides, choose
from jaxstyle.execution.factories import tuned_network
from jaxstyle.execution.memory import (
    bytes_before,
    bytes_before_network,
    can_compile,
    device_bytes,
    remedies,
    rough_peak,
    run_peaks,
)
from jaxstyle.execution.plan import Image, Scale, blank, plan, style_size
from jaxstyle.execution.strategy import WHOLE
from jaxstyle.guidance.masks import Regions
from jaxstyle.machine.host import give_memory_back
from jaxstyle.network.weights import Loaded
from jaxstyle.settings import Settings


@dataclass(frozen=True)
class ScaleEstimate:
    """The estimate of one scale.

    Attributes:
      height: height of the image in pixels.
      width: width of the image in pixels.
      styles: height and width of each style picture.
      steps: optimizer steps.
      step_flops: floating-point operations of a step, including recomputation.
      peak_bytes: peak memory: of the process on CPU, else of the device.
      compile_seconds: measured time of compiling its programs.
      run_seconds: estimated time of its steps; None if not even the coarsest scale fits.
      strategy: the execution strategy in words, see ``jaxstyle.execution.strategy``.
    """

    height: int
    width: int
    styles: tuple[Sides, ...]
    steps: int
    step_flops: float
    peak_bytes: int
    compile_seconds: float
    run_seconds: float | None
    strategy: str = str(WHOLE)


@dataclass(frozen=True)
class Estimate:
    """The estimate of a whole run.

    Attributes:
      scales: one estimate a scale, coarsest first.
      available_bytes: memory available on the device, None if unknown.
      remedies: if that is too little, changes of settings, any one of which makes the run fit.
      fixed_bytes: memory that the run needs at any size.
    """

    scales: tuple[ScaleEstimate, ...]
    available_bytes: int | None
    remedies: tuple[dict[str, Any], ...]
    fixed_bytes: int = 0

    @property
    def peak_bytes(self) -> int:
        """Peak memory of the scale that needs most."""
        return max(scale.peak_bytes for scale in self.scales)

    @property
    def fits(self) -> bool:
        """Return whether the run fits into memory; True if the available memory is unknown."""
        return self.available_bytes is None or self.peak_bytes <= self.available_bytes

    @property
    def compile_seconds(self) -> float:
        """Time of compiling all scales."""
        return sum(scale.compile_seconds for scale in self.scales)

    @property
    def seconds(self) -> float | None:
        """Estimated time of compiling and running, None if unknown."""
        running = [scale.run_seconds for scale in self.scales if scale.run_seconds is not None]
        return self.compile_seconds + sum(running) if running else None

    def to_dict(self) -> dict[str, Any]:
        """Return the estimate as plain values for JSON."""
        return asdict(self) | {
            "compilations": len(self.scales),
            "steps": sum(scale.steps for scale in self.scales),
            "flops": sum(scale.steps * scale.step_flops for scale in self.scales),
            "peak_bytes": self.peak_bytes,
            "fits": self.fits,
            "seconds": self.seconds,
        }


def estimate(
    loaded: Loaded,
    content: Sides,
    styles: Sequence[Sides],
    settings: Settings,
    pause: Callable[[], None] = lambda: None,
    regions: Regions | None = None,
) -> Estimate:
    """Estimate a run: compile every scale, time a few steps of the coarsest, extrapolate the rest.

    The programs are those of the run, which will find them in JAX's persistent cache.

    Args:
      loaded: weights of the network.
      content: height and width of the content picture.
      styles: height and width of each style picture.
      settings: settings of the run.
      pause: called after each scale; may raise to stop.
      regions: guidance regions of the run, if any.

    Raises:
      PictureSizeError, SettingError: the run itself would raise it.
    """
    pictures = [blank(*sides) for sides in styles]
    scales = plan(blank(*content), pictures, settings)
    available, least = device_bytes(), bytes_before_network(loaded.weights, settings)
    if available is not None and not can_compile(least, available):
        return _rough_estimate(scales, blank(*content), pictures, settings, available, least)
    network = tuned_network(loaded, settings)
    before = bytes_before(network)
    footprints, chosen = [], []
    for scale in scales:
        strategy = choose(scale, network, pictures, settings, regions)
        chosen.append(strategy)
        footprints.append(strategy.footprint(scale, network, pictures, settings, regions))
        give_memory_back()  # that of the compiler
        pause()
    peaks = run_peaks(footprints, before)
    flops = [
        step_flops(scale.height, scale.width, settings) * strategy.cost(settings)
        for scale, strategy in zip(scales, chosen, strict=True)
    ]
    pace = None
    if available is None or peaks[0] <= available:
        pace = footprints[0].step_seconds() / max(1.0, flops[0])
    most = peaks.index(max(peaks))
    fixed = before + footprints[most].fixed
    found = remedies(scales[most], peaks[most], available, settings, fixed)
    return Estimate(
        tuple(
            _of_scale(
                scale,
                pictures,
                settings,
                step_flops=work,
                peak_bytes=peak,
                compile_seconds=footprint.seconds,
                run_seconds=None if pace is None else pace * work * scale.steps,
                strategy=str(strategy),
            )
            for scale, work, peak, footprint, strategy in zip(
                scales, flops, peaks, footprints, chosen, strict=True
            )
        ),
        available,
        tuple(plannable(found, blank(*content), pictures, settings)),
        fixed,
    )


def _rough_estimate(
    scales: Sequence[Scale],
    content: Image,
    styles: Sequence[Image],
    settings: Settings,
    available: int,
    least: int,
) -> Estimate:
    """Estimate a run without compiling, which itself might take more memory than there is.

    Args:
      scales: its scales.
      content: content picture.
      styles: style pictures.
      settings: settings of the run.
      available: memory available.
      least: memory that the run needs at any size.
    """

    def rough(scale: Scale) -> ScaleEstimate:
        return _of_scale(
            scale,
            styles,
            settings,
            step_flops=step_flops(scale.height, scale.width, settings),
            peak_bytes=rough_peak(least, scale, styles, settings),
            compile_seconds=0.0,
            run_seconds=None,
        )

    each = tuple(map(rough, scales))
    found = remedies(scales[-1], each[-1].peak_bytes, available, settings, least)
    possible = plannable(found, content, styles, settings)
    return Estimate(each, available, tuple(possible), least)


def _of_scale(
    scale: Scale, styles: Sequence[Image], settings: Settings, **found: Any
) -> ScaleEstimate:
    """Return the estimate of a scale, with its sides and steps."""
    sizes = tuple(style_size(style, i, scale, settings) for i, style in enumerate(styles))
    return ScaleEstimate(scale.height, scale.width, sizes, scale.steps, **found)


def plannable(
    found: Iterable[dict[str, Any]], content: Image, styles: Sequence[Image], settings: Settings
) -> Iterator[dict[str, Any]]:
    """Yield those changes of settings with which a run could start: not too small for its layers.

    Args:
      found: the changes.
      content: content picture.
      styles: style pictures.
      settings: settings of the run.
    """
    for change in found:
        with suppress(PictureSizeError, SettingError):
            plan(content, styles, replace(settings, **change))
            yield change
