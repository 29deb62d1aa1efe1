"""The tiled objective: losses and gradients of pictures too large for the network at once."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxstyle.execution.tiles import passes
from jaxstyle.execution.tiles.grid import LARGER, Grid, Place, added, framed, unframed, window
from jaxstyle.execution.tiles.passes import Cotangents, Named, questions
from jaxstyle.losses.objective import Objective, Term
from jaxstyle.network.vgg import VGG19
from jaxstyle.optim.solve import let_memory_go, shape_of

Losses = dict[str, Float[Array, ""]]

TINY = 1e-8
"""Added to the norm by which a gradient is divided, as in ``unit_gradient``."""


class Seen(NamedTuple):
    """The input of a tile program: the tile's window and its position."""

    window: Float[Array, "s s 3"]
    place: Place


PLACE = Place(*[jax.ShapeDtypeStruct((), jnp.int32)] * 4)
"""The shapes of a ``Place``."""


@dataclass(frozen=True)
class TiledObjective:
    """The counterpart of ``Objective`` for tiles: losses of an image and their gradient.

    Images may be on another device than the network, such as in host memory next to an accelerator:
    each tile is sent to the network's device, and its results are sent back.

    Attributes:
      shared: the network, the weights, and the targets that all tiles share.
      targets: by term, the targets of each tile, in host memory.
      guides: by term, the guide of each tile, in host memory.
      wide_guides: by term, the guide of each tile of the first pass.
      grid: the tiles of the image.
      pause: called after every tile; may raise, so that Ctrl-C need not wait for a long step.
    """

    shared: Objective
    targets: Mapping[str, Sequence[Any]]
    guides: Mapping[str, Sequence[np.ndarray]]
    wide_guides: Mapping[str, Sequence[np.ndarray]]
    grid: Grid
    pause: Callable[[], None] = lambda: None

    @property
    def terms(self) -> dict[str, Term]:
        """The terms by name, without the targets and guides of single tiles."""
        return self.shared.terms

    def __call__(self, image: Float[Array, "h w 3"]) -> tuple[Float[Array, ""], Losses]:
        """Return the total loss of an image, and its terms, already weighted."""
        cotangents, values = self._cotangents(image)
        frame = framed(image, self.grid)
        for own, seen in self._tiles(frame):
            parts = passes.tile_losses(own, cotangents, *seen, tile=self.grid.tile)
            values = _sum_by_name(values, parts)
        return self._total(values)

    def gradient(
        self, image: Float[Array, "h w 3"]
    ) -> tuple[Float[Array, ""], Losses, Float[Array, "h w 3"]]:
        """Return the total loss, its weighted terms, and the gradient of the total."""
        cotangents, values = self._cotangents(image)
        frame = framed(image, self.grid)
        gradient_scales = self._gradient_scales(frame, cotangents)
        gradient = jnp.zeros_like(frame)
        for own, seen in self._tiles(frame):
            given = own, cotangents, gradient_scales, *seen
            found = passes.tile_gradient(*given, tile=self.grid.tile)
            piece, parts = jax.block_until_ready(found)  # one tile in memory at a time
            gradient = added(gradient, _beside(piece, frame), seen.place)
            values = _sum_by_name(values, parts)
        total, terms = self._total(values)
        return total, terms, unframed(gradient, self.grid)

    def _cotangents(self, image: Float[Array, "h w 3"]) -> tuple[Cotangents, Losses]:
        """Run the first pass: return its cotangents, and the losses of pooled terms."""
        asked = questions(self.terms)
        if not asked:
            return Cotangents({}, {}), {}
        network = self.shared.network
        sums = picture_sums(network, image, self.grid, self.wide_guides, asked, self.pause)
        sides = jnp.asarray([self.grid.height, self.grid.width], image.dtype)
        return passes.cotangents_of({name: self.terms[name] for name, *_ in asked}, sums, *sides)

    def _gradient_scales(self, frame: Float[Array, "h2 w2 3"], cotangents: Cotangents) -> Losses:
        """Return the factors that normalize the gradients of terms with ``normalize``."""
        if not any(term.normalize for term in self.terms.values()):
            return {}
        norms: Losses = {}
        for own, seen in self._tiles(frame):
            found = passes.tile_norms(own, cotangents, *seen, tile=self.grid.tile)
            norms = _sum_by_name(norms, found)
        weights = {name: self.terms[name].weight for name in norms}
        unit = {name: jnp.where(weight > 0, weight, 1) for name, weight in weights.items()}
        return {name: 1 / (norm / unit[name] + TINY) for name, norm in norms.items()}

    def _tiles(self, frame: Float[Array, "h2 w2 3"]) -> Iterator[tuple[Objective, Seen]]:
        """Yield each tile's objective and input, calling ``pause`` after each."""
        for number in range(self.grid.count):
            start = time.perf_counter()
            yield self.of_tile(number), see(frame, self.grid, number, self.shared.network)
            let_memory_go(time.perf_counter() - start)
            self.pause()

    def of_tile(self, number: int) -> Objective:
        """Return the objective with the targets and guides of one tile."""
        terms = dict(self.terms)
        for name, each in self.targets.items():
            terms[name] = replace(terms[name], targets=(each[number],))
        for name, each in self.guides.items():
            terms[name] = replace(terms[name], guide=each[number])
        return replace(self.shared, terms=terms)

    def _total(self, values: Losses) -> tuple[Float[Array, ""], Losses]:
        ordered = {name: values[name] for name in self.terms}
        return reduce(jnp.add, ordered.values()), ordered


def picture_sums(
    network: VGG19,
    image: Float[Array, "h w 3"],
    grid: Grid,
    guides: Mapping[str, Sequence[np.ndarray]],
    asked: tuple[passes.Question, ...],
    pause: Callable[[], None] = lambda: None,
) -> Named:
    """Run the first pass: return the statistics summed over all tiles of a picture, by term.

    Args:
      network: the network.
      image: the picture.
      grid: its grid; the pass itself uses the larger tiles of ``grid.first_pass``.
      guides: by term, the guide of each tile of ``grid.first_pass``.
      asked: the terms to measure.
      pause: called after each tile; may raise to end the run.
    """
    grid = grid.first_pass
    frame, sums = framed(image, grid), {}
    for number in range(grid.count):
        start = time.perf_counter()
        own = {name: pieces[number] for name, pieces in guides.items()}
        seen = see(frame, grid, number, network)
        found = passes.tile_sums(network, own, *seen, asked=asked, tile=grid.tile)
        sums = passes.merged(sums, found, asked=asked) if sums else found
        jax.block_until_ready(sums)
        let_memory_go(time.perf_counter() - start)
        pause()
    return sums


def compile_passes(
    own: Objective, tile: int, side: int, sharding: jax.sharding.Sharding | None = None
) -> list[jax.stages.Compiled]:
    """Compile the programs of the passes, so that the steps do not have to.

    Args:
      own: the objective of a tile, or its shapes.
      tile: side of a tile in pixels.
      side: side of a window in pixels.
      sharding: where windows are sent if they come from another device.
    """

    def sent(x: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)

    own = jax.tree.map(shape_of, own)
    seen = sent(jax.ShapeDtypeStruct((side, side, 3), jnp.float32)), PLACE
    asked, programs = questions(own.terms), []
    cotangents: Any = Cotangents({}, {})
    if asked:
        guided = {n: own.terms[n].guide for n, *_ in asked if own.terms[n].guide is not None}
        guides = {name: _wide(guide.shape, guide.dtype) for name, guide in guided.items()}
        wide, window = LARGER * tile, side + (LARGER - 1) * tile
        larger = sent(jax.ShapeDtypeStruct((window, window, 3), seen[0].dtype))
        given = own.network, guides, larger, PLACE
        programs.append(passes.tile_sums.lower(*given, asked=asked, tile=wide))
        sums = passes.tile_sums.eval_shape(*given, asked=asked, tile=wide)
        sides = jnp.float32(0), jnp.float32(0)
        pooled = {name: own.terms[name] for name, *_ in asked}
        cotangents, _ = passes.cotangents_of.eval_shape(pooled, sums, *sides)
        cotangents = jax.tree.map(sent, cotangents)
    normalized = [name for name, term in own.terms.items() if term.normalize]
    gradient_scales = {name: sent(own.terms[name].weight) for name in normalized}
    if normalized:
        programs.append(passes.tile_norms.lower(own, cotangents, *seen, tile=tile))
    programs.append(passes.tile_gradient.lower(own, cotangents, gradient_scales, *seen, tile=tile))
    return [program.compile() for program in programs]


def _wide(shape: tuple[int, ...], dtype: Any) -> jax.ShapeDtypeStruct:
    """Return the shape of a tile's guide in the first pass, where tiles are larger."""
    return jax.ShapeDtypeStruct(tuple(LARGER * side for side in shape), dtype)


def see(frame: Float[Array, "h2 w2 3"], grid: Grid, number: int, network: VGG19) -> Seen:
    """Cut the window of a tile out of a frame, and put it on the network's device."""
    place, gain = grid.place(number), network.gain[...]
    return Seen(_beside(window(frame, place, grid.window), gain), place)


def _beside(x: Array, other: Array) -> Array:
    """Return an array on the device of another one.

    It is not moved, and so not bound to its device, if it is there already: programs are compiled
    for arrays that are not.
    """
    return x if x.devices() == other.devices() else jax.device_put(x, other.sharding)


def _sum_by_name(one: Losses, other: Losses) -> Losses:
    return {name: one[name] + value if name in one else value for name, value in other.items()} | {
        name: value for name, value in one.items() if name not in other
    }
