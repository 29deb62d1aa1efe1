"""State of an interrupted run: what is needed to resume it, and a fingerprint of its inputs."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxstyle.execution.factories import optimizer_of, rates_of
from jaxstyle.execution.plan import Image
from jaxstyle.network import weights
from jaxstyle.optim import solve
from jaxstyle.runs.result import ScaleReport, versions
from jaxstyle.settings import Settings


@dataclass(frozen=True)
class RunCheckpoint:
    """The state of a run at one of its reports; by default, before its start.

    Attributes:
      scale: index of the current scale.
      report: latest solver report of that scale, None before the first.
      scales: timings of the finished scales.
      losses: loss trace so far.
      seconds: wall-clock time so far.
      mixtures: finished style pictures of ``fine_style``.
      preparing: whether ``scale`` and ``report`` belong to the next one of these mixtures.
    """

    scale: int = 0
    report: solve.Report | None = None
    scales: Sequence[ScaleReport] = ()
    losses: Sequence[dict[str, Any]] = ()
    seconds: float = 0.0
    mixtures: Sequence[Image] = ()
    preparing: bool = False

    def to_tree(self) -> dict[str, Any]:
        """Return the state as a tree of plain values and host arrays, for ``checkpoint.save``.

        Call this before the solver's next step, which donates the optimizer's buffers.
        """
        if self.report is None:
            raise ValueError("the run has not begun: there is nothing to save")
        return {
            "scale": self.scale,
            "course": asdict(self.report.course),
            "solver": jax.device_get(jax.tree.leaves((self.report.rates, self.report.state))),
            "scales": [asdict(scale) for scale in self.scales],
            "losses": list(self.losses),
            "seconds": self.seconds,
            "mixtures": list(self.mixtures),
            "preparing": self.preparing,
        }

    @classmethod
    def from_tree(cls, tree: Mapping[str, Any], settings: Settings) -> "RunCheckpoint":
        """Restore the state from the tree of ``to_tree``.

        A run may be resumed from it only once, as its arrays are donated.

        Args:
          tree: a loaded checkpoint.
          settings: settings of the run, the same as when it was saved.
        """
        rates, state = jax.tree.unflatten(_structure(settings), map(jnp.array, tree["solver"]))
        course = solve.Course(**tree["course"])
        return cls(
            scale=tree["scale"],
            report=solve.Report.before(rates, state, course, settings.keep_best),
            scales=[ScaleReport(**scale) for scale in tree["scales"]],
            losses=tree["losses"],
            seconds=tree["seconds"],
            mixtures=tree["mixtures"],
            preparing=tree["preparing"],
        )


def _structure(settings: Settings) -> Any:
    """Return the tree structure of rates and state, the same for every picture size."""
    image = jax.ShapeDtypeStruct((1, 1, 3), jnp.float32)
    state = jax.eval_shape(partial(solve.init, optimizer=optimizer_of(settings)), image)
    return jax.tree.structure((rates_of(settings), state))


AFTERWARDS = ("preset", "original_colors", "smooth_radius", "refine")
"""Settings that do not affect the state of a run: the preset's name, and post-processing."""


def fingerprint(
    loaded: weights.Loaded, content: Image, styles: Sequence[Image], settings: Settings
) -> dict[str, Any]:
    """Return everything the state of a run depends on, by name, as plain values for JSON.

    Settings are given by value; pictures, masks and weights by their SHA-256.
    """
    values = {k: v for k, v in settings.to_dict().items() if k not in AFTERWARDS}
    pictures = {"the content picture": content}
    pictures |= {f"style picture {number}": style for number, style in enumerate(styles, start=1)}
    for name, path in settings.paths().items():  # hash whole files: a mask may be in alpha only
        pictures |= {name: np.frombuffer(Path(path).read_bytes(), np.uint8)}
    own = {"the weights": loaded.sha256, "the version of jaxstyle": versions()["jaxstyle"]}
    hashes = {name: _sha256(picture) for name, picture in pictures.items()}
    return json.loads(json.dumps({**values, **hashes, **own}))


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the names of the entries in which two fingerprints differ."""
    return [name for name in {**now, **before} if before.get(name) != now.get(name)]


def _sha256(picture: np.ndarray) -> str:
    digest = hashlib.sha256(repr(picture.shape).encode())
    digest.update(np.ascontiguousarray(picture).data)
    return digest.hexdigest()
