"""Ways to work on a picture: all of it at once, or in less memory and more time.

    whole         every map of the network is kept for the gradient
    checkpointed  every block of the network is computed again for its gradient
    tile          the picture is worked on tile by tile: see ``jaxstyle.execution.tiles``
    split         each of several devices has a part of it: see ``jaxstyle.execution.sharding``

All give the same picture, but for rounding.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax

from jaxstyle.errors import SettingError
from jaxstyle.execution.pyramid import Scale
from jaxstyle.execution.tiles.grid import alignment, halo
from jaxstyle.settings import Settings

TILES = (2048, 1024, 512, 256, 128)
"""Sides of tiles to choose from. Smaller ones take less memory, and more time for their halos."""


class Strategy(NamedTuple):
    """tile: side in pixels, 0 if there are none. on_host: arrays of the picture's size are kept in
    the host's memory, and an accelerator is given tiles."""

    tile: int = 0
    checkpointed: bool = False
    on_host: bool = False
    split: bool = False

    def work(self, settings: Settings) -> float:
        """How many times the arithmetic of the whole picture at once it is, about.

        A step is one part forward, and two parts for the gradient. Halos shrink layer by layer: on
        the average of all arithmetic they are seven tenths of what they are at the first.
        """
        if not self.tile:
            return 4 / 3 if self.checkpointed else 1.0
        around = 1.4 * halo(settings.layers())
        return 4 / 3 * ((self.tile + around) / self.tile) ** 2

    def __str__(self) -> str:
        if self.split:
            return f"split over {jax.device_count()} devices"
        if not self.tile:
            return "checkpointed" if self.checkpointed else "whole"
        return f"tiles of {self.tile}" + ", on the host" * self.on_host


WHOLE = Strategy()


def storage_device(way: Strategy) -> Any:
    """Where arrays of the picture's size are; None for JAX's default device."""
    return jax.local_devices(backend="cpu")[0] if way.on_host else None


def check(settings: Settings) -> None:
    """Raises SettingError where tiles are asked for that there cannot be, or a picture be split."""
    if settings.shard == "space":
        if settings.tile_side:
            raise SettingError("shard", "space does not go with tiles: leave --tile out")
        if jax.device_count() == 1:
            raise SettingError("shard", "space needs several devices, and JAX finds one")
    if not settings.tile_side:
        return
    if reason := untileable(settings):
        raise SettingError("tile", reason)
    multiple = alignment(settings.layers())
    if settings.tile_side % multiple:
        raise SettingError(
            "tile", f"must be a multiple of {multiple} for these layers, not {settings.tile}"
        )


def untileable(settings: Settings) -> str:
    """Why a picture cannot be worked on in tiles; empty if it can."""
    if settings.optimizer == "lbfgs-zoom":
        return "does not go with lbfgs-zoom, which searches along a line: use lbfgs or adam"
    return ""


def asked_for(
    scale: Scale, settings: Settings, styles: Sequence[tuple[int, int]] = ()
) -> Strategy | None:
    """The way that the settings name; None if it is to be chosen. Where no picture is larger than a
    tile, they are worked on whole.

    Args:
      styles: heights and widths of the style pictures.
    """
    if settings.shard == "space":
        return Strategy(split=True)
    if settings.tile == "auto":
        return None
    side = settings.tile_side
    longest = max(scale.height, scale.width, *(max(sides) for sides in styles))
    return Strategy(side) if side and longest > side else WHOLE


def host_apart() -> bool:
    """Whether there is a host's memory beside the device's, that JAX can use."""
    try:
        return jax.default_backend() != "cpu" and bool(jax.local_devices(backend="cpu"))
    except RuntimeError:  # JAX_PLATFORMS leaves it out
        return False


def checkpoints_help() -> bool:
    """Whether checkpoints save memory. XLA's compiler for CPU sees that what is computed again is
    there already, and keeps it."""
    return jax.default_backend() != "cpu"


def candidates(scale: Scale, settings: Settings) -> Iterator[Strategy]:
    """The ways there are, the fastest first."""
    yield WHOLE
    if checkpoints_help():
        yield Strategy(checkpointed=True)
    if untileable(settings):
        return
    multiple, longest = alignment(settings.layers()), max(scale.height, scale.width)
    for on_host in (False, True) if host_apart() else (False,):
        for side in TILES:
            if side < longest and side % multiple == 0:
                yield Strategy(side, on_host=on_host)
