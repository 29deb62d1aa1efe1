"""The objective: terms, targets and weights as one pytree that scores an image.

    L(x) = sum over terms t of weight_t * distance_t(statistics_t(features of x), target_t)

Weights and targets are traced leaves: changing them never recompiles, and ``jax.vmap`` over the
weights is how a sweep is run. Losses and layers are static.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

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

    weight: scalar. target: statistics of the content or style picture, None for a prior.
    """

    weight: PyTree
    target: PyTree
    loss: str = field(metadata={"static": True})
    layer: str = field(metadata={"static": True})

    def __call__(self, features: Mapping[str, Array]) -> Float[Array, ""]:
        """The weighted loss of an image, from its features by layer name."""
        loss = LOSSES[self.loss]
        return self.weight * loss.distance(loss.statistics(features[self.layer]), self.target)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Objective:
    """A VGG19, and terms by name ("content/relu4_2", "style/relu1_1", "tv")."""

    network: PyTree
    terms: dict[str, Term]

    def __call__(
        self, image: Float[Array, "h w 3"]
    ) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
        """The total loss of an image and its parts, each already multiplied by its weight."""
        features = features_and_image(
            self.network, image, [term.layer for term in self.terms.values()]
        )
        parts = {name: term(features) for name, term in self.terms.items()}
        return jnp.sum(jnp.stack(list(parts.values()))), parts


def features_and_image(
    network: VGG19, image: Float[Array, "h w 3"], layers: Sequence[str]
) -> dict[str, Array]:
    """Features by layer name, the image itself among them under the name ``IMAGE``."""
    return {**network(image, [name for name in layers if name != IMAGE]), IMAGE: image}


def build(
    network: VGG19,
    content: Float[Array, "h w 3"],
    styles: Sequence[Float[Array, "_ _ 3"]],
    *,
    content_weights: Mapping[str, float],
    style_weights: Mapping[str, float],
    tv_weight: float = 0.0,
    style_blend: Sequence[float] = (),
    content_loss: str = "content",
    style_loss: str = "gram",
) -> Objective:
    """The objective of Gatys et al. 2016, equation 7, plus total variation.

    Args:
      network: its pooling and padding are used for the targets too.
      content: the content picture at the size of the result.
      styles: style pictures, each at any size of its own.
      content_weights, style_weights: weight by layer name.
      style_blend: share of each style picture, normalized to sum to one; equal if empty.
      content_loss, style_loss: names in ``jaxstyle.losses.LOSSES``.
    """
    shares = jnp.asarray(style_blend or [1.0] * len(styles), jnp.float32)
    content_targets, style_targets = targets(
        network,
        content,
        list(styles),
        shares / shares.sum(),
        content_layers=tuple(content_weights),
        style_layers=tuple(style_weights),
        content_loss=content_loss,
        style_loss=style_loss,
    )
    terms = {
        f"content/{layer}": Term(jnp.float32(weight), content_targets[layer], content_loss, layer)
        for layer, weight in content_weights.items()
    } | {
        f"style/{layer}": Term(jnp.float32(weight), style_targets[layer], style_loss, layer)
        for layer, weight in style_weights.items()
    }
    terms["tv"] = Term(jnp.float32(tv_weight), None, "total-variation", IMAGE)
    return Objective(network, terms)


@jax.jit(static_argnames=("content_layers", "style_layers", "content_loss", "style_loss"))
def targets(
    network: VGG19,
    content: Float[Array, "h w 3"],
    styles: list[Float[Array, "_ _ 3"]],
    shares: Float[Array, " n"],
    *,
    content_layers: tuple[str, ...],
    style_layers: tuple[str, ...],
    content_loss: str,
    style_loss: str,
) -> tuple[dict[str, PyTree], dict[str, PyTree]]:
    """Statistics by layer of the content picture, and of the style pictures in their shares."""
    each = [statistics(network, style, style_loss, style_layers) for style in styles]
    blended = jax.tree.map(
        lambda *leaves: sum(share * leaf for share, leaf in zip(shares, leaves, strict=True)), *each
    )
    return statistics(network, content, content_loss, content_layers), blended


def statistics(
    network: VGG19, image: Float[Array, "h w 3"], loss: str, layers: Sequence[str]
) -> dict[str, PyTree]:
    """What ``loss`` keeps of ``image`` at each of ``layers``."""
    features = features_and_image(network, image, layers)
    return {layer: LOSSES[loss].statistics(features[layer]) for layer in layers}
