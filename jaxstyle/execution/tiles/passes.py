"""The two passes over tiles that make the exact gradient of a picture's loss.

With S the sums over all positions that a style loss is made of, and D what is made of them,

    L(x) = D(sum over tiles t of S_t(x)) + sum over tiles t of E_t(x)

where E_t is a tile's part of the losses that are sums over positions themselves (content, total
variation, photorealism). The first pass measures S; then, with P = dD/dS at that S held fixed,

    dL/dx = sum over tiles t of d/dx ( <P, S_t(x)> + E_t(x) )

which the second pass adds up. Windows overlap; what they add is the gradient of the whole picture's
loss, not an approximation of it.
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
from jaxstyle.network.vgg import VGG19

Named = dict[str, Any]
"""By name of a term."""

Question = tuple[str, str, str]
"""Name of a term, its layer, its loss."""


def questions(terms: Mapping[str, Term]) -> tuple[Question, ...]:
    """The terms that are made of sums over all tiles."""
    return tuple((n, t.layer, t.loss) for n, t in terms.items() if LOSSES[t.loss].pooled)


@jax.jit(static_argnames=("asked", "tile"))
def tile_sums(
    network: VGG19,
    guides: Named,
    window: Float[Array, "s s 3"],
    place: Place,
    *,
    asked: tuple[Question, ...],
    tile: int,
) -> Named:
    """First pass: the sums of one tile. guides: its own, where a term has one."""
    found = pieces(network, window, place, {layer for _, layer, _ in asked}, tile)

    def sums(name: str, layer: str, loss: str) -> PyTree:
        x, cut = found[layer]
        return _pooled(loss).sums(x, guides.get(name), cut.inside)

    return {name: sums(name, layer, loss) for name, layer, loss in asked}


@jax.jit(static_argnames="asked")
def merged(one: Named, other: Named, *, asked: tuple[Question, ...]) -> Named:
    """The sums of two tiles together."""
    return {name: _pooled(loss).merged(one[name], other[name]) for name, _, loss in asked}


class Cotangents(NamedTuple):
    """What the second pass needs of the first: P, and the origin of the sums, by term."""

    slopes: Named
    origins: Named


@jax.jit
def cotangents_of(
    terms: dict[str, Term], sums: Named, height: Float[Array, ""], width: Float[Array, ""]
) -> tuple[Cotangents, dict[str, Float[Array, ""]]]:
    """Between the passes: P, and the weighted loss of each term made of sums."""
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


@jax.jit(static_argnames="tile")
def tile_gradient(
    objective: Objective,
    cotangents: Cotangents,
    gradient_scales: Named,
    window: Float[Array, "s s 3"],
    place: Place,
    *,
    tile: int,
) -> tuple[Float[Array, "s s 3"], dict[str, Float[Array, ""]]]:
    """Second pass: the gradient to a tile's window, and its part of the losses not made of sums.

    objective: with the tile's own targets and guides. gradient_scales: factors of the gradients of
    terms that are normalized, see ``tile_norms``.
    """

    def part(window: Float[Array, "s s 3"]) -> tuple[Array, Named]:
        found = _of_terms(objective, window, place, tile)
        parts = {n: _part(n, t, found[t.layer], cotangents) for n, t in objective.terms.items()}
        pulled = {name: gradient_scales.get(name, 1.0) * value for name, value in parts.items()}
        values = {name: value for name, value in parts.items() if name not in cotangents.slopes}
        return _sum(pulled), values

    return jax.grad(part, has_aux=True)(window)


@jax.jit(static_argnames="tile")
def tile_losses(
    objective: Objective,
    cotangents: Cotangents,
    window: Float[Array, "s s 3"],
    place: Place,
    *,
    tile: int,
) -> dict[str, Float[Array, ""]]:
    """A tile's part of the losses not made of sums, and no gradient."""
    found = _of_terms(objective, window, place, tile)
    terms = {n: t for n, t in objective.terms.items() if n not in cotangents.slopes}
    return {name: _part(name, term, found[term.layer], cotangents) for name, term in terms.items()}


@jax.jit(static_argnames="tile")
def tile_norms(
    objective: Objective,
    cotangents: Cotangents,
    window: Float[Array, "s s 3"],
    place: Place,
    *,
    tile: int,
) -> Named:
    """A pass between the two, for ``normalize_gradients`` alone: the L1 norm of the gradient of
    every normalized term, to this tile's features."""
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
    """A tile's part of a term, or of what has the gradient of one that is made of sums."""
    loss, (x, cut) = LOSSES[term.loss], piece
    if name in cotangents.slopes:
        sums = _pooled(term.loss).sums(x, term.guide, cut.inside, cotangents.origins[name])
        return _product(cotangents.slopes[name], sums)
    assert loss.share
    shares = zip(term.shares, term.targets, strict=True)
    return term.weight * sum(share * loss.share(x, target, cut) for share, target in shares)


def _pooled(loss: str) -> Any:
    return LOSSES[loss].pooled


def _product(one: PyTree, other: PyTree) -> Float[Array, ""]:
    products = jax.tree.map(lambda a, b: jnp.sum(a * b), one, other)
    return reduce(jnp.add, jax.tree.leaves(products))


def _sum(values: Named) -> Float[Array, ""]:
    return reduce(jnp.add, values.values(), jnp.zeros(()))
