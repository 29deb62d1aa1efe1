"""Targets of pictures too large for the network, computed tile by tile."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxstyle.execution.tiles.grid import LEAST_HALO, Grid, Place, framed
from jaxstyle.execution.tiles.network import pieces
from jaxstyle.execution.tiles.objective import picture_sums, see
from jaxstyle.losses import LOSSES, content, matting, temporal
from jaxstyle.machine.programs import jit
from jaxstyle.network.vgg import VGG19

Image = Float[Array | np.ndarray, "h w 3"]


@jit(static_argnames=("layers", "tile"))
def tile_features(
    network: VGG19,
    window: Float[Array, "s s 3"],
    place: Place,
    guides: Mapping[str, Float[Array, "_ _"]],
    *,
    layers: tuple[str, ...],
    tile: int,
) -> dict[str, tuple[Float[Array, "_ _ _"], Float[Array, ""]]]:
    """Return a tile's features by layer, zero beyond the map, and the sums of their squares."""
    found = pieces(network, window, place, layers, tile)

    def own(layer: str) -> tuple[Array, Array]:
        x, cut = found[layer]
        features = content.statistics(x, guides.get(layer))
        features = jnp.where(cut.inside[..., None], features, 0)
        return features, jnp.sum(features**2)

    return {layer: own(layer) for layer in layers}


def content_targets(
    network: VGG19,
    picture: Image,
    grid: Grid,
    layers: tuple[str, ...],
    seen: Mapping[str, np.ndarray],
    pause: Callable[[], None] = lambda: None,
) -> dict[str, list[content.TileTarget]]:
    """Compute the content targets of each tile, by layer.

    Args:
      network: the network.
      picture: the content picture.
      grid: its tiles.
      layers: content layers.
      seen: guides of the visible part by layer; empty for an opaque picture.
      pause: called after each tile; may raise to end the run.
    """
    frame, found = framed(jax.device_put(picture), grid), []
    guides = {layer: grid.pieces(guide, layer) for layer, guide in seen.items()}
    for number in range(grid.count if layers else 0):
        window = see(frame, grid, number, network)
        own = {layer: of_tiles[number] for layer, of_tiles in guides.items()}
        of_tile = tile_features(network, *window, own, layers=layers, tile=grid.tile)
        found.append(jax.device_get(of_tile))
        pause()
    return {
        layer: _with_mean([of[layer] for of in found], picture, network, layer) for layer in layers
    }


def _with_mean(
    found: Sequence[tuple[np.ndarray, np.ndarray]], picture: Image, network: VGG19, layer: str
) -> list[content.TileTarget]:
    height, width = network.sides(picture.shape[0], picture.shape[1], layer)
    count = height * width * found[0][0].shape[-1]
    mean = np.sum([squares for _, squares in found], dtype=np.float64) / count
    return [content.TileTarget(features, mean.astype(features.dtype)) for features, _ in found]


def style_statistics(
    network: VGG19,
    picture: Image,
    grid: Grid,
    guides: Mapping[str, np.ndarray] | None,
    terms: Mapping[str, Sequence[str]],
    loss: str,
    pause: Callable[[], None] = lambda: None,
) -> dict[str, list[Any]]:
    """Compute the statistics of a style picture, by layer and region.

    Args:
      network: the network.
      picture: the style picture.
      grid: its tiles.
      guides: guidance maps by layer and region; None if the whole picture is the only region.
      terms: names of the objective's terms by layer and region. Their use as keys lets the first
        pass over a style picture share its compiled program with that over the image.
      loss: name of the style loss.
      pause: called after each tile; may raise to end the run.
    """
    asked = tuple((name, layer, loss) for layer, names in terms.items() for name in names)
    own = {}
    if guides is not None:
        for layer, names in terms.items():
            each = zip(names, guides[layer], strict=True)
            own |= {name: grid.first_pass.pieces(guide, layer) for name, guide in each}
    sums = picture_sums(network, jax.device_put(picture), grid, own, asked, pause)
    pooled = LOSSES[loss].pooled
    assert pooled
    return {layer: [pooled.whole(sums[name]) for name in names] for layer, names in terms.items()}


def local_colors(photo: Image, grid: Grid) -> list[matting.LocalColors]:
    """Return the photorealism targets of each tile, from its pixels and a margin of two."""
    return [jax.device_get(matting.target(cut)) for cut in _with_margin(photo, grid)]


def earlier_frames(earlier: temporal.Earlier, grid: Grid) -> list[temporal.Earlier]:
    """Return the temporal targets of each tile: its pixels and a margin of two."""
    cuts = [_with_margin(values, grid) for values in earlier]
    return [temporal.Earlier(*each) for each in zip(*cuts, strict=True)]


def _with_margin(values: Any, grid: Grid) -> list[np.ndarray]:
    """Cut an array of the picture's sides into tiles with a margin, zero beyond its borders."""
    flat = [(0, 0)] * (values.ndim - 2)
    around = np.pad(np.asarray(values), [(LEAST_HALO, grid.tile + LEAST_HALO)] * 2 + flat)
    side = grid.tile + 2 * LEAST_HALO
    places = [grid.place(number) for number in range(grid.count)]
    return [around[p.top : p.top + side, p.left : p.left + side] for p in places]
