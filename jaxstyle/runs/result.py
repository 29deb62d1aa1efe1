"""Outputs of a run: progress reports while it runs, and the final picture with its metadata."""

import importlib.metadata
import json
import os
import platform
from dataclasses import asdict, dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from jaxstyle import images
from jaxstyle.execution.compilation import Compilations
from jaxstyle.execution.pyramid import Scale
from jaxstyle.execution.sharding import PROGRAMS as SPACE_PROGRAMS
from jaxstyle.execution.strategy import WHOLE, Strategy
from jaxstyle.execution.tiles.program import TILE_PROGRAMS
from jaxstyle.network.weights import Loaded
from jaxstyle.optim import solve
from jaxstyle.settings import Settings

PROGRAMS = *solve.PROGRAMS, *TILE_PROGRAMS, *SPACE_PROGRAMS
"""Names of the jitted functions that compute steps, counted in ``ScaleReport.compilations``."""


@dataclass(frozen=True)
class Progress:
    """A progress report.

    Attributes:
      scales: all scales of the run.
      scale: index of the current scale.
      solver: the solver's report: step, losses and image.
      seconds: wall-clock time since the start of the run.
      preparing: whether the image is a style picture being prepared (``fine_style``), not the
        result.
    """

    scales: list[Scale]
    scale: int
    solver: solve.Report
    seconds: float
    preparing: bool = False

    @property
    def image(self) -> Float[np.ndarray, "h w 3"]:
        """The current image, at the size of the current scale."""
        return self.solver.image


@dataclass(frozen=True)
class ScaleReport:
    """Timings of one scale.

    Attributes:
      height: height of the image in pixels.
      width: width of the image in pixels.
      steps: optimizer steps taken.
      compile_seconds: wall-clock time of tracing and compiling.
      run_seconds: wall-clock time of the steps.
      compilations: number of step programs that were compiled.
      way: the execution strategy in words, see ``jaxstyle.execution.strategy``.
    """

    height: int
    width: int
    steps: int
    compile_seconds: float
    run_seconds: float
    compilations: int
    way: str = str(WHOLE)

    @classmethod
    def of(
        cls, scale: Scale, way: Strategy, compiled: Compilations, last: solve.Report
    ) -> "ScaleReport":
        """Build the report of a finished scale from its last solver report."""
        compilations = sum(compiled.programs[name] for name in PROGRAMS)
        size = scale.height, scale.width
        return cls(*size, last.step, compiled.seconds, last.seconds, compilations, str(way))


@dataclass(frozen=True)
class Result:
    """The result of a run.

    Attributes:
      image: height x width x 3, sRGB in [0, 1].
      alpha: alpha channel of the content picture, None if it has none.
      settings: settings of the run.
      weights: weights of the network.
      computation: number format and convolution algorithms, see ``VGG19.computation``.
      scales: timings, one entry a scale.
      losses: loss trace, one record a solver report, every term already weighted.
      seconds: wall-clock time of the run.
      maps: local affine color maps from the content picture to the image, None unless the image was
        made by them (``--smooth-radius``).
    """

    image: Float[np.ndarray, "h w 3"]
    alpha: Float[np.ndarray, "h w"] | None
    settings: Settings
    weights: Loaded
    computation: dict[str, str]
    scales: list[ScaleReport]
    losses: list[dict[str, Any]]
    seconds: float
    maps: Float[np.ndarray, "_ _ 3 4"] | None = None

    def save(self, path: str | os.PathLike, *, bits: int = 8, description: str = "") -> None:
        """Write the picture to a file.

        Args:
          path: its extension decides the format, see ``jaxstyle.images.write``.
          bits: bits per channel.
          description: text for the file's metadata; if empty, the settings as JSON.
        """
        description = description or json.dumps({"settings": self.settings.to_dict()})
        picture = images.Picture(self.image, self.alpha)
        images.write(path, picture, bits=bits, description=description)

    def report(self) -> dict[str, Any]:
        """Return the record of the run as plain values for JSON."""
        return {
            "settings": self.settings.to_dict(),
            "versions": versions(),
            "device": device(),
            "computation": self.computation,
            "weights": {
                "sha256": self.weights.sha256,
                "source": self.weights.weights.source,
                "normalized": self.weights.weights.normalized,
            },
            "picture": {"height": self.image.shape[0], "width": self.image.shape[1]},
            "scales": [asdict(scale) for scale in self.scales],
            "losses": self.losses,
            "seconds": self.seconds,
        }


def loss_record(scale: int, report: solve.Report) -> dict[str, Any]:
    """Return one entry of the loss trace."""
    return {
        "scale": scale,
        "step": report.step,
        "total": report.total,
        "terms": report.terms,
        "learning_rate": float(report.rates.update_scale),
    }


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that can change a result."""
    packages = ("jaxstyle", "jax", "jaxlib", "flax", "optax", "numpy", "pillow")
    return {"python": platform.python_version()} | {
        name: importlib.metadata.version(name) for name in packages
    }


def device() -> dict[str, Any]:
    """Return platform, kind and number of JAX's devices."""
    first = jax.devices()[0]
    return {"platform": first.platform, "kind": first.device_kind, "count": jax.device_count()}
