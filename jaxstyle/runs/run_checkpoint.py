"""A run at one of its reports: what it needs to go on from there, and which run it is."""

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
    """What a run has reached; by default one that is still to begin.

    scale: index of the current one. report: where in it the run stands. scales, losses, seconds: of
    the result so far. mixtures: style pictures that have been given their fine texture. preparing:
    it is the next one of these that is being made.
    """

    scale: int = 0
    report: solve.Report | None = None
    scales: Sequence[ScaleReport] = ()
    losses: Sequence[dict[str, Any]] = ()
    seconds: float = 0.0
    mixtures: Sequence[Image] = ()
    preparing: bool = False

    def to_tree(self) -> dict[str, Any]:
        """Plain values, and arrays on the host, for ``checkpoint.save``.

        To be asked for before the solver's next step: it takes the optimizer's memory for itself.
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
        """The opposite of ``to_tree``, for a run with the same settings; to go on from once."""
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
    """Of rates and state, which have it whatever the size of the picture."""
    image = jax.ShapeDtypeStruct((1, 1, 3), jnp.float32)
    state = jax.eval_shape(partial(solve.init, optimizer=optimizer_of(settings)), image)
    return jax.tree.structure((rates_of(settings), state))


AFTERWARDS = ("preset", "original_colors", "smooth_radius", "refine")
"""Settings that the state of a run does not depend on: a name, and what is done once it is over."""


def fingerprint(
    loaded: weights.Loaded, content: Image, styles: Sequence[Image], settings: Settings
) -> dict[str, Any]:
    """Everything that the state of a run depends on, by name: settings as they are in JSON,
    pictures and weights by their SHA-256."""
    values = {k: v for k, v in settings.to_dict().items() if k not in AFTERWARDS}
    pictures = {"the content picture": content}
    pictures |= {f"style picture {number}": style for number, style in enumerate(styles, start=1)}
    for name, path in settings.paths().items():  # of a mask the alpha may be all there is to it
        pictures |= {name: np.frombuffer(Path(path).read_bytes(), np.uint8)}
    own = {"the weights": loaded.sha256, "the version of jaxstyle": versions()["jaxstyle"]}
    hashes = {name: _sha256(picture) for name, picture in pictures.items()}
    return json.loads(json.dumps({**values, **hashes, **own}))


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The names by which two fingerprints differ."""
    return [name for name in {**now, **before} if before.get(name) != now.get(name)]


def _sha256(picture: np.ndarray) -> str:
    digest = hashlib.sha256(repr(picture.shape).encode())
    digest.update(np.ascontiguousarray(picture).data)
    return digest.hexdigest()
