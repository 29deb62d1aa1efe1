"""What a run gives back: reports on the way, and at the end the picture with its record."""

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
"""Names of all programs a picture's steps can need: see ``jaxstyle.execution.compilation``."""


@dataclass(frozen=True)
class Progress:
    """A report of the solver and where in the run it stands.

    scales: the whole schedule. scale: index of the current one. seconds: of the run so far.
    preparing: this is not the picture yet, but one that it needs.
    """

    scales: list[Scale]
    scale: int
    solver: solve.Report
    seconds: float
    preparing: bool = False

    @property
    def image(self) -> Float[np.ndarray, "h w 3"]:
        """The picture so far, at the size of the current scale."""
        return self.solver.image


@dataclass(frozen=True)
class ScaleReport:
    """What one scale took: wall-clock seconds, and how often its solver was compiled. way: how the
    picture was worked on, see ``jaxstyle.execution.strategy``."""

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
        """From the scale's plan, what was compiled for it, and its last report."""
        compilations = sum(compiled.programs[name] for name in PROGRAMS)
        size = scale.height, scale.width
        return cls(*size, last.step, compiled.seconds, last.seconds, compilations, str(way))


@dataclass(frozen=True)
class Result:
    """A finished run.

    image: height x width x 3, sRGB in [0, 1]. alpha: of the content picture, if it had any.
    computation: number format, and algorithm by convolution: see ``VGG19.computation``.
    losses: one record per report of the solver, every term multiplied by its weight. maps: of the
    photo's colors to those of the image, where that is how it was made (``--smooth-radius``).
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
        """Write the picture by the extension of ``path``: see ``jaxstyle.images.write``.

        The settings are written into its metadata, or ``description`` if it is given.
        """
        description = description or json.dumps({"settings": self.settings.to_dict()})
        picture = images.Picture(self.image, self.alpha)
        images.write(path, picture, bits=bits, description=description)

    def report(self) -> dict[str, Any]:
        """The record of the run, as plain values for JSON."""
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
    """One line of the loss trace."""
    return {
        "scale": scale,
        "step": report.step,
        "total": report.total,
        "terms": report.terms,
        "learning_rate": float(report.rates.update_scale),
    }


def versions() -> dict[str, str]:
    """Of everything that can change a result."""
    packages = ("jaxstyle", "jax", "jaxlib", "flax", "optax", "numpy", "pillow")
    return {"python": platform.python_version()} | {
        name: importlib.metadata.version(name) for name in packages
    }


def device() -> dict[str, Any]:
    """Where JAX runs."""
    first = jax.devices()[0]
    return {"platform": first.platform, "kind": first.device_kind, "count": jax.device_count()}
