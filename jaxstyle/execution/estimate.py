"""What a run will take, known before any of it is done: arithmetic, memory and time.

Memory is XLA's own account of the programs, compiled for shapes alone. Time is a guess: a few steps
of the coarsest scale, and the others in proportion to their arithmetic.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from jaxstyle.execution.arithmetic import step_flops
from jaxstyle.execution.factories import rates_of, tuned_network
from jaxstyle.execution.footprint import Sides, compile_scale, run_peaks, way_of
from jaxstyle.execution.memory import device_bytes, remedies
from jaxstyle.execution.plan import blank, plan, style_size
from jaxstyle.execution.strategy import WHOLE
from jaxstyle.guidance.masks import Regions
from jaxstyle.network.weights import Loaded
from jaxstyle.settings import Settings


@dataclass(frozen=True)
class ScaleEstimate:
    """One scale of a run. styles: height and width of each style picture. way: see ``ways``.

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
    way: str = str(WHOLE)


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
    compiled, chosen = [], []
    for scale in scales:
        chosen.append(way_of(scale, network, pictures, settings, regions))
        compiled.append(compile_scale(scale, network, pictures, settings, regions, chosen[-1]))
        pause()
    peaks = run_peaks(compiled, network, settings)
    available = device_bytes()  # after compiling, which takes some for itself
    flops = [
        step_flops(scale.height, scale.width, settings) * way.work(settings)
        for scale, way in zip(scales, chosen, strict=True)
    ]
    pace = None
    if available is None or peaks[0] <= available:
        pace = compiled[0].step_seconds(network, rates_of(settings)) / max(1.0, flops[0])
    most = peaks.index(max(peaks))
    fixed = compiled[most].fixed(network, settings)
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
                str(way),
            )
            for scale, work, peak, programs, way in zip(
                scales, flops, peaks, compiled, chosen, strict=True
            )
        ),
        available,
        tuple(remedies(scales[most], peaks[most], available, settings, fixed)),
    )
