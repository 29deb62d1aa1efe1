"""State of an interrupted run: what is needed to resume it, and a fingerprint of its inputs."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

from jaxstyle import images
from jaxstyle.errors import CheckpointError, DamagedError, one_line
from jaxstyle.execution.factories import optimizer_of, rates_of
from jaxstyle.execution.plan import Image
from jaxstyle.machine.plain_json import checked
from jaxstyle.network import weights
from jaxstyle.optim import solve
from jaxstyle.optim.solve import Course, Reached
from jaxstyle.runs.result import ScaleReport, versions
from jaxstyle.settings import Settings


@dataclass(frozen=True)
class RunCheckpoint:
    """The state of a run at one of its reports; by default, before its start.

    Attributes:
      scale: index of the current scale.
      reached: what was reached at that scale, None before the first report.
      scales: timings of the finished scales.
      losses: loss trace of each picture so far.
      seconds: wall-clock time so far.
      mixtures: finished style pictures of ``fine_style``.
      started: images that the scale began with, where targets depend on them.
      preparing: whether ``scale`` and ``reached`` belong to the next one of these mixtures.
    """

    scale: int = 0
    reached: Reached | None = None
    scales: Sequence[ScaleReport] = ()
    losses: Sequence[Sequence[dict[str, Any]]] = ()
    seconds: float = 0.0
    mixtures: Sequence[Image] = ()
    preparing: bool = False
    started: Sequence[Image] = ()

    def to_tree(self) -> dict[str, Any]:
        """Return the state as a tree of plain values and host arrays, for ``checkpoint.save``.

        Call this before the solver's next step, which donates the optimizer's buffers.
        """
        if self.reached is None:
            raise ValueError("the run has not begun: there is nothing to save")
        return {
            "scale": self.scale,
            "courses": [asdict(course) for course in self.reached.courses],
            "solver": on_host(jax.tree.leaves((self.reached.rates, self.reached.state))),
            "solver_seconds": self.reached.seconds,
            "structure": str(jax.tree.structure((self.reached.rates, self.reached.state))),
            "scales": [asdict(scale) for scale in self.scales],
            "losses": [list(each) for each in self.losses],
            "seconds": self.seconds,
            "mixtures": list(self.mixtures),
            "preparing": self.preparing,
            "started": list(self.started),
        }

    def is_whole(self) -> bool:
        """Return whether all buffers of the state are there: a step donates those before it."""
        reached = self.reached
        leaves = jax.tree.leaves((reached.rates, reached.state)) if reached else []
        return not any(isinstance(x, jax.Array) and x.is_deleted() for x in leaves)

    @classmethod
    def from_tree(cls, tree: Mapping[str, Any], settings: Settings) -> "RunCheckpoint":
        """Restore the state from the tree of ``to_tree``.

        A run may be resumed from it only once, as its arrays are donated.

        Args:
          tree: a loaded checkpoint.
          settings: settings of the run, the same as when it was saved.

        Raises:
          CheckpointError: it was made with another optimizer, or is not the state of a run.
        """
        try:
            kept = checked(tree, _Tree)
        except DamagedError as error:
            raise CheckpointError(f"is damaged ({error})") from error
        structure = jax.tree.structure(_state_shape(settings, kept.solver))
        if kept.structure != str(structure):
            raise CheckpointError("was made with another optimizer: give the same one")
        try:
            rates, state = jax.tree.unflatten(structure, map(_on_device, kept.solver))
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"is damaged ({one_line(error)})") from error
        return cls(
            scale=kept.scale,
            reached=Reached(rates, state, tuple(kept.courses), kept.solver_seconds),
            scales=kept.scales,
            losses=kept.losses,
            seconds=kept.seconds,
            mixtures=kept.mixtures,
            preparing=kept.preparing,
            started=kept.started,
        )


@dataclass(frozen=True)
class _Tree:
    """The tree of a state, see ``RunCheckpoint.to_tree``."""

    scale: int
    courses: list[Course]
    solver: list[Any]
    solver_seconds: float
    structure: str
    scales: list[ScaleReport]
    losses: list[list[dict[str, Any]]]
    seconds: float
    mixtures: list[np.ndarray]
    preparing: bool
    started: list[np.ndarray]


def on_host(leaves: Sequence[jax.Array]) -> list[Any]:
    """Return arrays copied to the host; those sharded over several hosts are gathered first."""
    return [_saved(x if x.is_fully_addressable else _gathered(x)) for x in leaves]


def _gathered(x: jax.Array) -> Any:
    return multihost_utils.process_allgather(x, tiled=True)


def _saved(x: Any) -> Any:
    """Return an array as a checkpoint holds it: of a PRNG key, its data and implementation."""
    if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        return {"key": jax.device_get(jax.random.key_data(x)), "impl": str(jax.random.key_impl(x))}
    return jax.device_get(x)


def _on_device(saved: Any) -> jax.Array:
    """Return what ``_saved`` made, as a copy on the device, which may be donated."""
    if isinstance(saved, Mapping):
        return jax.random.wrap_key_data(jnp.array(saved["key"]), impl=saved["impl"])
    return jnp.array(saved)


def _state_shape(settings: Settings, leaves: Sequence[Any]) -> Any:
    """Return shapes of rates and state, whose tree has these leaves: the image is the first."""
    sides = next((x.shape[-3:-1] for x in leaves if getattr(x, "ndim", 0) >= 3), (1, 1))
    image = jax.ShapeDtypeStruct((*sides, 3), jnp.float32)
    state = jax.eval_shape(partial(solve.init, optimizer=optimizer_of(settings)), image)
    return rates_of(settings), state


AFTERWARDS = ("preset", "original_colors", "style_colors", "smooth_radius", "refine")
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
        with images.open_file(path, again=True) as file:
            pictures |= {name: np.frombuffer(file.read(), np.uint8)}
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
