"""Execution strategies of a scale, which trade memory against time.

    whole         every feature map is kept for the backward pass
    checkpointed  every block of the network is recomputed in the backward pass
    tile          the gradient is computed tile by tile: see ``jaxstyle.execution.tiles``
    split         the picture is sharded over several devices: see ``jaxstyle.execution.sharding``

All give the same picture, except for rounding.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax

from jaxstyle.errors import SettingError
from jaxstyle.execution.pyramid import Scale
from jaxstyle.execution.tiles.grid import alignment, halo
from jaxstyle.settings import Settings

TILES = (2048, 1024, 512, 256, 128)
"""Candidate tile sides. Smaller tiles need less memory, but spend more time on their halos."""


class Strategy(NamedTuple):
    """An execution strategy.

    Attributes:
      tile: side of a tile in pixels, 0 if the picture is not cut into tiles.
      checkpointed: recompute each block of the network in the backward pass.
      on_host: keep arrays of the picture's size in host memory; only tiles go to the accelerator.
      split: shard the picture over all devices.
    """

    tile: int = 0
    checkpointed: bool = False
    on_host: bool = False
    split: bool = False

    def work(self, settings: Settings) -> float:
        """Return the approximate cost of a step relative to ``WHOLE``.

        A forward pass is taken as one third of a step, the backward pass as two thirds. Halos
        shrink layer by layer: averaged over all operations, they are seven tenths of the first
        layer's.
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
    """Return the device that stores arrays of the picture's size, None for the default device."""
    return jax.local_devices(backend="cpu")[0] if way.on_host else None


def check(settings: Settings) -> None:
    """Check that the tiles or the sharding that the settings ask for are possible.

    Raises:
      SettingError: they are not.
    """
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
    """Return the reason why these settings rule out tiles, an empty string if they do not."""
    if settings.optimizer == "lbfgs-zoom":
        return "does not go with lbfgs-zoom, which searches along a line: use lbfgs or adam"
    return ""


def asked_for(
    scale: Scale, settings: Settings, styles: Sequence[tuple[int, int]] = ()
) -> Strategy | None:
    """Return the strategy that the settings name, None if it is to be chosen automatically.

    If no picture is larger than a tile, the strategy is ``WHOLE``.

    Args:
      scale: scale of the image.
      settings: settings of the run.
      styles: height and width of each style picture.
    """
    if settings.shard == "space":
        return Strategy(split=True)
    if settings.tile == "auto":
        return None
    side = settings.tile_side
    longest = max(scale.height, scale.width, *(max(sides) for sides in styles))
    return Strategy(side) if side and longest > side else WHOLE


def host_apart() -> bool:
    """Return whether JAX can use host memory apart from the device's."""
    try:
        return jax.default_backend() != "cpu" and bool(jax.local_devices(backend="cpu"))
    except RuntimeError:  # JAX_PLATFORMS excludes "cpu"
        return False


def checkpoints_help() -> bool:
    """Return whether checkpointing saves memory: not on CPU, where XLA undoes the recomputation.

    Its CPU compiler merges recomputed values with the originals, and so keeps them in memory.
    """
    return jax.default_backend() != "cpu"


def candidates(scale: Scale, settings: Settings) -> Iterator[Strategy]:
    """Yield the possible strategies, fastest first."""
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
