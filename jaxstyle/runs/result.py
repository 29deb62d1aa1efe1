"""Outputs of a run: progress reports while it runs, and the final picture with its metadata."""

import importlib.metadata
import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from jaxstyle import images
from jaxstyle.execution.plan import Scale
from jaxstyle.execution.strategy import WHOLE, Strategy
from jaxstyle.losses.hypercolumns import HYPERCOLUMNS
from jaxstyle.network.weights import Loaded
from jaxstyle.optim.solve import Reached
from jaxstyle.runs.recipe import Recipe
from jaxstyle.settings import Settings


@dataclass(frozen=True)
class Progress:
    """A progress report of a run of one or several pictures.

    Attributes:
      scales: all scales of the run, coarse to fine.
      scale: index of the current scale.
      reached: steps and losses of each picture, and the images.
      strategy: how the scale is computed.
      best: for each picture, whether the image of least loss is shown, or the average.
      seconds: wall-clock time since the start of the run.
      preparing: whether the image is a style picture being prepared (``fine_style``), not the
        result.
    """

    scales: list[Scale]
    scale: int
    reached: Reached
    strategy: Strategy
    best: Sequence[bool]
    seconds: float
    preparing: bool = False

    @property
    def step(self) -> int:
        """The number of steps taken at the current scale."""
        return self.reached.step

    @property
    def steps(self) -> int:
        """The number of steps to take at the current scale."""
        return self.scales[self.scale].steps

    @property
    def share(self) -> float:
        """The share of the whole work (pixels times steps) that is done, from 0 to 1."""
        work = [_pixels(scale) * scale.steps for scale in self.scales]
        done = sum(work[: self.scale]) + _pixels(self.scales[self.scale]) * self.step
        return done / (sum(work) or 1)

    @property
    def seconds_left(self) -> float:
        """The seconds left of the run, from the pixels per second at the current scale."""
        here, *later = self.scales[self.scale :]
        per_work = self.reached.seconds / (self.step * _pixels(here))
        left = (self.steps - self.step) * _pixels(here)
        return per_work * (left + sum(_pixels(scale) * scale.steps for scale in later))

    @property
    def reached_at(self) -> dict[str, int]:
        """How far the run has come, as the metadata of an unfinished picture has it."""
        return {
            "scale": self.scale + 1,
            "scales": len(self.scales),
            "step": self.step,
            "steps": self.steps,
        }

    @property
    def totals(self) -> Float[np.ndarray, " n"]:
        """The total loss of each picture before its last step."""
        return np.array([course.total for course in self.reached.courses])

    @property
    def total(self) -> float:
        """The total loss of the only picture, or the first, before its last step."""
        return self.reached.total

    @property
    def terms(self) -> Mapping[str, float]:
        """The weighted losses of the only picture, or the first, by name."""
        return self.reached.terms

    @property
    def image(self) -> Float[np.ndarray, "h w 3"]:
        """The only picture, or the first, at the size of the current scale."""
        return self.images()[0]

    def images(self) -> list[Float[np.ndarray, "h w 3"]]:
        """Return all pictures at the size of the current scale."""
        return self.strategy.images(self.reached.state, self.scales[self.scale], self.best)


@dataclass(frozen=True)
class ScaleReport:
    """Timings of one scale.

    Attributes:
      height: height of the image in pixels.
      width: width of the image in pixels.
      steps: optimizer steps taken.
      compile_seconds: wall-clock time of tracing and compiling.
      run_seconds: wall-clock time of the steps.
      compilations: number of programs that were compiled for the steps.
      target_compilations: number of programs that were compiled for the targets.
      strategy: the execution strategy in words, see ``jaxstyle.execution.strategy``.
    """

    height: int
    width: int
    steps: int
    compile_seconds: float
    run_seconds: float
    compilations: int
    target_compilations: int = 0
    strategy: str = str(WHOLE)


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
      recipe: pictures and settings to repeat the run; None if pictures are not files.
      maps: local affine color maps from the content picture to the image, None unless the image was
        made by them (``--smooth-radius``).
      dpi: dots per inch of the content picture, None if it does not tell.
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
    recipe: Recipe | None = None
    dpi: tuple[float, float] | None = None

    def save(self, path: str | os.PathLike, *, bits: int = 8, description: str = "") -> None:
        """Write the picture to a file.

        If it was made from files, ``jaxstyle run --from`` can repeat it.

        Args:
          path: its extension decides the format, see ``jaxstyle.images.write``.
          bits: bits per channel.
          description: text for the file's metadata; if empty, the recipe or, without
            one, the settings as JSON.
        """
        if not description and self.recipe:
            recipe = replace(self.recipe, bits=bits)
            description = recipe.to_json(Path(path).parent)
        description = description or json.dumps({"settings": self.settings.to_dict()})
        picture = images.Picture(self.image, self.alpha, dpi=self.dpi)
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


@dataclass
class Trace:
    """The records of a run of one or several pictures.

    Attributes:
      losses: for each picture, one entry a report, every term already weighted.
      scales: timings of the finished scales.
      settings: settings of each picture; terms of layers that they do not use are left out.
    """

    losses: list[list[dict[str, Any]]]
    scales: list[ScaleReport]
    settings: Sequence[Settings]

    @classmethod
    def of(
        cls,
        losses: Sequence[Sequence[dict[str, Any]]],
        scales: Sequence[ScaleReport],
        settings: Sequence[Settings],
    ) -> "Trace":
        """Return the trace to go on with, from that of a checkpoint; empty if it is."""
        kept = [list(of) for of in losses] or [[] for _ in settings]
        return cls(kept, list(scales), settings)

    def note(self, scale: int, before: Reached, now: Reached) -> None:
        """Add an entry for each picture that took steps.

        Args:
          scale: index of the scale.
          before, now: what was reached before and after the steps.
        """
        each = zip(before.courses, now.courses, now.learning_rates, strict=True)
        for index, (old, course, rate) in enumerate(each):
            if course.step == old.step:
                continue
            settings = self.settings[index]
            # An Optax transformation of the user's has its own learning rate inside.
            named = isinstance(settings.optimizer, str)
            self.losses[index].append(
                {
                    "scale": scale,
                    "step": course.step,
                    "total": course.total,
                    "terms": _own_terms(course.terms, settings),
                    "learning_rate": float(rate) if named else None,
                }
            )


def _pixels(scale: Scale) -> int:
    return scale.height * scale.width


def _own_terms(terms: Mapping[str, float], settings: Settings) -> dict[str, float]:
    """Return the terms of the settings' own layers: a batch measures those of all its pictures."""
    layers = {"content": settings.content_weights(), "style": settings.style_weights()}

    def own(name: str) -> bool:
        kind, *layer = name.split("/")
        return kind not in layers or layer[0] in (HYPERCOLUMNS, *layers[kind])

    return {name: value for name, value in terms.items() if own(name)}


def scale_reports(results: Iterable[Result | Exception]) -> list[ScaleReport]:
    """Return the reports of all scales; pictures that ran together share one list of them."""
    lists = {id(each.scales): each.scales for each in results if isinstance(each, Result)}
    return [scale for scales in lists.values() for scale in scales]


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
