"""The objective: terms, targets and weights as one pytree that scores an image.

    L(x) = sum over terms t of weight_t * distance_t(statistics_t(features of x), target_t)

Weights and targets are traced leaves: changing them never recompiles, and ``jax.vmap`` over the
weights is how a sweep is run. Losses and layers are static.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial, reduce

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxstyle.losses import LOSSES
from jaxstyle.vgg import VGG19

IMAGE = "image"
"""The layer name of the image itself, for losses that need no network."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Term:
    """One weighted loss on one layer.

    weight: scalar. targets: what ``loss`` compares with, one for each picture whose loss is counted
    (None for a prior). shares: one for each target. normalize: see ``unit_gradient``.
    """

    weight: PyTree
    targets: PyTree
    shares: PyTree
    loss: str = field(metadata={"static": True})
    layer: str = field(metadata={"static": True})
    normalize: bool = field(default=False, metadata={"static": True})

    def __call__(
        self, features: Mapping[str, Array], image_size: tuple[int, int]
    ) -> Float[Array, ""]:
        """The weighted loss of an image, from its features by layer name."""
        loss, x = LOSSES[self.loss], features[self.layer]
        if self.normalize:
            x = unit_gradient(x, self.weight)
        statistics = loss.statistics(x)
        distances = [
            share * loss.distance(statistics, target)
            for share, target in zip(self.shares, self.targets, strict=True)
        ]
        return self.weight * loss.image_factor(*image_size) * sum(distances)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Objective:
    """A VGG19, and terms by name ("content/relu4_2", "style/relu1_1", "tv").

    white: the value of a white pixel in the units that priors count in.
    """

    network: PyTree
    terms: dict[str, Term]
    white: PyTree = 1.0

    def __call__(
        self, image: Float[Array, "h w 3"]
    ) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
        """The total loss of an image and its parts, each already multiplied by its weight."""
        layers = [term.layer for term in self.terms.values()]
        features = features_and_image(self.network, image, layers, self.white)
        size = image.shape[0], image.shape[1]
        parts = {name: term(features, size) for name, term in self.terms.items()}
        return sum(parts.values(), jnp.zeros((), image.dtype)), parts


def features_and_image(
    network: VGG19, image: Float[Array, "h w 3"], layers: Sequence[str], white: PyTree = 1.0
) -> dict[str, Array]:
    """Features by layer name, the image itself among them under the name ``IMAGE``.

    Where the network wraps around, so does the image: its first row and column follow its last
    (total variations that have no base points count differences along these two twice).
    """
    features = network(image, [name for name in layers if name != IMAGE])
    if network.padding == "circular":
        image = jnp.pad(image, ((0, 1), (0, 1), (0, 0)), mode="wrap")
    return {**features, IMAGE: white * image}


@jax.custom_vjp
def unit_gradient(x: Float[Array, "..."], weight: Float[Array, ""]) -> Float[Array, "..."]:
    """``x``; but the gradient of a loss that is ``weight`` times another one, coming back through
    here, leaves as ``weight`` times the other's gradient divided by its L1 norm.

    The option ``normalize_gradients`` of jcjohnson/neural-style: it makes layers with large and
    small gradients pull with the force of their weights. Not the gradient of any function.
    """
    del weight
    return x


def _unit_gradient_forward(x: Array, weight: Array) -> tuple[Array, Array]:
    return x, weight


def _unit_gradient_backward(weight: Array, gradient: Array) -> tuple[Array, Array]:
    weighted_norm = jnp.sum(jnp.abs(gradient.astype(weight.dtype)))
    norm = weighted_norm / jnp.where(weight > 0, weight, 1)
    return (gradient / (norm + 1e-8)).astype(gradient.dtype), jnp.zeros_like(weight)


unit_gradient.defvjp(_unit_gradient_forward, _unit_gradient_backward)


def build(
    network: VGG19,
    content: Float[Array, "h w 3"],
    styles: Sequence[Float[Array, "_ _ 3"]],
    *,
    content_weights: Mapping[str, float],
    style_weights: Mapping[str, float],
    tv_weight: float = 0.0,
    style_blend: Sequence[float] = (),
    sum_styles: bool = False,
    content_loss: str = "content",
    style_loss: str = "gram",
    tv_loss: str = "total-variation",
    white: float = 1.0,
    normalize_gradients: bool = False,
) -> Objective:
    """The objective of Gatys et al. 2016, equation 7, plus total variation.

    Args:
      network: its pooling and padding are used for the targets too.
      content: the content picture at the size of the result.
      styles: style pictures, each at any size of its own.
      content_weights, style_weights: weight by layer name.
      style_blend: share of each style picture, normalized to sum to one; equal if empty.
      sum_styles: add up a loss for each style picture, not one for their blended statistics.
      content_loss, style_loss, tv_loss: names in ``jaxstyle.losses.LOSSES``.
      white: the value of a white pixel as total variation counts it.
      normalize_gradients: of content and style losses, see ``unit_gradient``.
    """
    shares = jnp.asarray(style_blend or [1.0] * len(styles))
    shares = shares / shares.sum()
    # Where gradients are normalized, rounding must not make one where there is none.
    measuring = network if normalize_gradients else network.direct()
    of_content = content_targets(
        measuring, content, layers=tuple(content_weights), loss=content_loss
    )
    of_styles = style_targets(
        measuring,
        list(styles),
        shares,
        layers=tuple(style_weights),
        loss=style_loss,
        sum_styles=sum_styles,
    )

    def term(weight: float, each_target: list, loss: str, layer: str) -> Term:
        of_each = shares if len(each_target) > 1 else jnp.ones(1)
        normalize = normalize_gradients and layer != IMAGE
        scalar = jnp.asarray(float(weight))
        return Term(scalar, tuple(each_target), tuple(of_each), loss, layer, normalize)

    terms = {
        f"content/{layer}": term(weight, [of_content[layer]], content_loss, layer)
        for layer, weight in content_weights.items()
    } | {
        f"style/{layer}": term(weight, [of[layer] for of in of_styles], style_loss, layer)
        for layer, weight in style_weights.items()
    }
    terms["tv"] = term(tv_weight, [None], tv_loss, IMAGE)
    return Objective(network, terms, jnp.asarray(float(white)))


@jax.jit(static_argnames=("layers", "loss"))
def content_targets(
    network: VGG19, content: Float[Array, "h w 3"], *, layers: tuple[str, ...], loss: str
) -> dict[str, PyTree]:
    """Targets of the content picture by layer."""
    of_content = statistics(network, content, loss, layers)
    return {layer: LOSSES[loss].target(kept) for layer, kept in of_content.items()}


@jax.jit(static_argnames=("layers", "loss", "sum_styles"))
def style_targets(
    network: VGG19,
    styles: list[Float[Array, "_ _ 3"]],
    shares: Float[Array, " n"],
    *,
    layers: tuple[str, ...],
    loss: str,
    sum_styles: bool = False,
) -> list[dict[str, PyTree]]:
    """Targets by layer: of each style picture, or (in a list of one) of their blend."""
    # A style picture has borders, even where the result has none: they must not become its style.
    bordered = network.padded("reflect") if network.padding == "circular" else network
    each = [statistics(bordered, style, loss, layers) for style in styles]
    if not sum_styles:
        each = [jax.tree.map(partial(_weighted_sum, shares), *each)]
    return [{layer: LOSSES[loss].target(kept) for layer, kept in e.items()} for e in each]


def _weighted_sum(shares: Array, *leaves: Array) -> Array:
    # Not a matrix product, which accelerators would round.
    parts = [share.astype(leaf.dtype) * leaf for share, leaf in zip(shares, leaves, strict=True)]
    return reduce(jnp.add, parts)


def statistics(
    network: VGG19, image: Float[Array, "h w 3"], loss: str, layers: Sequence[str]
) -> dict[str, PyTree]:
    """What ``loss`` keeps of ``image`` at each of ``layers``."""
    features = features_and_image(network, image, layers)
    return {layer: LOSSES[loss].statistics(features[layer]) for layer in layers}
