"""Two passes over the tiles of a picture that compute the exact gradient of its loss.

A style loss is a function D of statistics S that are sums over all positions (for a Gram matrix,
sums of products). The other losses (content, total variation, photorealism) are themselves sums
over positions. With S_t and E_t the contributions of tile t to either,

    L(x) = D(sum over tiles t of S_t(x)) + sum over tiles t of E_t(x)

The first pass computes S. Then, with P = dD/dS at that S held fixed,

    dL/dx = sum over tiles t of d/dx ( <P, S_t(x)> + E_t(x) )

which the second pass adds up. Windows overlap, and their contributions add up to the exact gradient
of the whole picture's loss.

In names below, *pooled* losses are those of S, ``sums`` is S, and ``slopes`` is P.
"""

from collections.abc import Mapping
from functools import reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxstyle.execution.tiles.grid import Place
from jaxstyle.execution.tiles.network import TileFeatures, pieces
from jaxstyle.losses import LOSSES
from jaxstyle.losses.objective import Objective, Term
from jaxstyle.machine.programs import STEP, jit
from jaxstyle.network.vgg import VGG19

Named = dict[str, Any]
"""Values by the name of their term."""

Question = tuple[str, str, str]
"""A pooled term to measure: its name, its layer, the name of its loss."""


def questions(terms: Mapping[str, Term]) -> tuple[Question, ...]:
    """Return the pooled terms: those that are functions of sums over all tiles."""
    return tuple((n, t.layer, t.loss) for n, t in terms.items() if LOSSES[t.loss].pooled)


@jit(size=STEP, static_argnames=("asked", "tile"))
def tile_sums(
    network: VGG19,
    guides: Named,
    window: Float[Array, "s s 3"],
    place: Place,
    *,
    asked: tuple[Question, ...],
    tile: int,
) -> Named:
    """Compute the sums of one tile, for the first pass.

    Args:
      network: the network.
      guides: the tile's guides, by the names of the terms that have one.
      window: the tile with its halo.
      place: position of the tile.
      asked: the terms to measure.
      tile: side of the tile in pixels.
    """
    found = pieces(network, window, place, {layer for _, layer, _ in asked}, tile)

    def sums(name: str, layer: str, loss: str) -> PyTree:
        x, cut = found[layer]
        return _pooled(loss).sums(x, guides.get(name), cut.inside)

    return {name: sums(name, layer, loss) for name, layer, loss in asked}


@jit(static_argnames="asked")
def merged(one: Named, other: Named, *, asked: tuple[Question, ...]) -> Named:
    """Merge the sums of two disjoint sets of tiles."""
    return {name: _pooled(loss).merged(one[name], other[name]) for name, _, loss in asked}


class Cotangents(NamedTuple):
    """The results of the first pass that the second one needs, by term.

    Attributes:
      slopes: P, the gradient of the loss with respect to the sums.
      origins: the points about which the sums are centered.
    """

    slopes: Named
    origins: Named


@jit()
def cotangents_of(
    terms: dict[str, Term], sums: Named, height: Float[Array, ""], width: Float[Array, ""]
) -> tuple[Cotangents, dict[str, Float[Array, ""]]]:
    """Return the cotangents and the weighted loss of each pooled term, between the passes.

    Args:
      terms: the pooled terms.
      sums: their sums over all tiles.
      height: height of the picture.
      width: width of the picture.
    """
    sums = {name: _pooled(terms[name].loss).centered(of) for name, of in sums.items()}
    origins = {name: _pooled(terms[name].loss).origin(of) for name, of in sums.items()}

    def total(sums: Named) -> tuple[Array, Named]:
        values = {
            name: terms[name].weighed(_pooled(terms[name].loss).whole(of), height, width)
            for name, of in sums.items()
        }
        return _sum(values), values

    slopes, values = jax.grad(total, has_aux=True)(sums)
    return Cotangents(slopes, origins), values


@jit(size=STEP, static_argnames="tile")
def tile_gradient(
    objective: Objective,
    cotangents: Cotangents,
    gradient_scales: Named,
    window: Float[Array, "s s 3"],
    place: Place,
    *,
    tile: int,
) -> tuple[Float[Array, "s s 3"], dict[str, Float[Array, ""]]]:
    """Compute the gradient with respect to one tile's window, for the second pass.

    Args:
      objective: the objective with the tile's own targets and guides.
      cotangents: result of ``cotangents_of``.
      gradient_scales: factors of the gradients of normalized terms, see ``tile_norms``.
      window: the tile with its halo.
      place: position of the tile.
      tile: side of the tile in pixels.

    Returns:
      The gradient, and the tile's contributions to the losses that are not pooled.
    """

    def part(window: Float[Array, "s s 3"]) -> tuple[Array, Named]:
        found = _of_terms(objective, window, place, tile)
        parts = {n: _part(n, t, found[t.layer], cotangents) for n, t in objective.terms.items()}
        pulled = {name: gradient_scales.get(name, 1.0) * value for name, value in parts.items()}
        values = {name: value for name, value in parts.items() if name not in cotangents.slopes}
        return _sum(pulled), values

    return jax.grad(part, has_aux=True)(window)


@jit(size=STEP, static_argnames="tile")
def tile_losses(
    objective: Objective,
    cotangents: Cotangents,
    window: Float[Array, "s s 3"],
    place: Place,
    *,
    tile: int,
) -> dict[str, Float[Array, ""]]:
    """Return a tile's contributions to the losses that are not pooled, without a gradient."""
    found = _of_terms(objective, window, place, tile)
    terms = {n: t for n, t in objective.terms.items() if n not in cotangents.slopes}
    return {name: _part(name, term, found[term.layer], cotangents) for name, term in terms.items()}


@jit(size=STEP, static_argnames="tile")
def tile_norms(
    objective: Objective,
    cotangents: Cotangents,
    window: Float[Array, "s s 3"],
    place: Place,
    *,
    tile: int,
) -> Named:
    """Return the L1 norms of the gradients of normalized terms with respect to a tile's features.

    Used in a pass between the other two, only with ``normalize_gradients``.
    """
    found = _of_terms(objective, window, place, tile)

    def norm(name: str, term: Term) -> Float[Array, ""]:
        x, cut = found[term.layer]
        gradient = jax.grad(lambda x: _part(name, term, TileFeatures(x, cut), cotangents))(x)
        return jnp.sum(jnp.abs(gradient.astype(term.weight.dtype)))

    return {name: norm(name, term) for name, term in objective.terms.items() if term.normalize}


def _of_terms(
    objective: Objective, window: Float[Array, "s s 3"], place: Place, tile: int
) -> dict[str, TileFeatures]:
    layers = {term.layer for term in objective.terms.values()}
    return pieces(objective.network, window, place, layers, tile, objective.white)


def _part(name: str, term: Term, piece: TileFeatures, cotangents: Cotangents) -> Float[Array, ""]:
    """Return a tile's contribution to a term; for a pooled term, its linearization <P, S_t>."""
    loss, (x, cut) = LOSSES[term.loss], piece
    if name in cotangents.slopes:
        sums = _pooled(term.loss).sums(x, term.guide, cut.inside, cotangents.origins[name])
        return _product(cotangents.slopes[name], sums)
    assert loss.tile_distance
    x = x if term.guide is None else loss.statistics(x, term.guide)
    shares = zip(term.shares, term.targets, strict=True)
    return term.weight * sum(share * loss.tile_distance(x, target, cut) for share, target in shares)


def _pooled(loss: str) -> Any:
    return LOSSES[loss].pooled


def _product(one: PyTree, other: PyTree) -> Float[Array, ""]:
    products = jax.tree.map(lambda a, b: jnp.sum(a * b), one, other)
    return reduce(jnp.add, jax.tree.leaves(products))


def _sum(values: Named) -> Float[Array, ""]:
    return reduce(jnp.add, values.values(), jnp.zeros(()))
