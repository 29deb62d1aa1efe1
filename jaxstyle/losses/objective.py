"""The objective: terms, targets and weights as one pytree that scores an image.

    L(x) = sum over terms t of weight_t * distance_t(statistics_t(features of x), target_t)

Weights and targets are traced leaves: changing them never recompiles, and ``jax.vmap`` over the
weights is how a sweep is run. Losses and layers are static.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from jaxstyle.losses import LOSSES
from jaxstyle.losses.matting import LocalColors
from jaxstyle.losses.targets import (
    IMAGE,
    Filled,
    Guides,
    content_targets,
    features_and_image,
    shares_of,
    statistics,
    style_targets,
)
from jaxstyle.network.vgg import VGG19

PHOTOREALISM = "matting-laplacian"
"""The loss that holds the image to local affine maps of the photo's colors."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Term:
    """One weighted loss on one layer.

    weight: scalar. targets: what ``loss`` compares with, one for each picture whose loss is counted
    (None for a prior). shares: one for each target. guide: of the region it looks at, height x
    width of the layer, or None for all of it. normalize: see ``unit_gradient``.
    """

    weight: PyTree
    targets: PyTree
    shares: PyTree
    loss: str = field(metadata={"static": True})
    layer: str = field(metadata={"static": True})
    normalize: bool = field(default=False, metadata={"static": True})
    guide: PyTree = None

    def __call__(
        self, features: Mapping[str, Array], image_size: tuple[int, int]
    ) -> Float[Array, ""]:
        """The weighted loss of an image, from its features by layer name."""
        x = features[self.layer]
        if self.normalize:
            x = unit_gradient(x, self.weight)
        return self.weighed(statistics(self.loss, x, self.guide), *image_size)

    def weighed(self, kept: PyTree, height: Any, width: Any) -> Float[Array, ""]:
        """The weighted loss of an image of these sides, from the statistics of its features."""
        loss = LOSSES[self.loss]
        distances = [
            share * loss.distance(kept, target)
            for share, target in zip(self.shares, self.targets, strict=True)
        ]
        return self.weight * loss.image_factor(height, width) * sum(distances)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Objective:
    """A VGG19, and terms by name ("content/relu4_2", "style/relu1_1", "tv", "photorealism"; of a
    region "style/relu1_1/sky").

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
    content: Float[Array, "h w 3"] | Filled,
    styles: Sequence[Float[Array, "_ _ 3"] | Filled],
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
    guides: Guides | None = None,
    photorealism_weight: float = 0.0,
    local_colors: LocalColors | None = None,
) -> Objective:
    """The objective of Gatys et al. 2016, equation 7, plus total variation.

    With guides the style loss is one for each region (Gatys et al. 2017, equation 4; Luan et al.
    2017, equation 3); with local colors there is their matting-Laplacian energy besides.

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
      guides: of the content and of each style picture.
      local_colors: of the photo that the image is held to, with ``photorealism_weight``.
    """
    shares = shares_of(style_blend or [1.0] * len(styles), guides)
    # Where gradients are normalized, rounding must not make one where there is none.
    measuring = network if normalize_gradients else network.direct()
    of_content = content_targets(
        measuring, content, layers=tuple(content_weights), loss=content_loss
    )
    of_styles = style_targets(
        measuring,
        list(styles),
        shares,
        [dict(of) for of in guides.styles] if guides else None,
        layers=tuple(style_weights),
        loss=style_loss,
        sum_styles=sum_styles,
    )
    return assembled(
        network,
        of_content,
        of_styles,
        shares,
        content_weights=content_weights,
        style_weights=style_weights,
        tv_weight=tv_weight,
        content_loss=content_loss,
        style_loss=style_loss,
        tv_loss=tv_loss,
        white=white,
        normalize_gradients=normalize_gradients,
        guides=guides,
        photorealism_weight=photorealism_weight,
        local_colors=local_colors,
    )


def style_terms(layer: str, guides: Guides | None) -> list[str]:
    """The names of the terms of a style layer, one for each region."""
    name = f"style/{layer}"
    return [name] if guides is None else [f"{name}/{region}" for region in guides.names]


def assembled(
    network: VGG19,
    of_content: Mapping[str, PyTree],
    of_styles: Sequence[Mapping[str, list[PyTree]]],
    shares: Float[np.ndarray, "k n"],
    *,
    content_weights: Mapping[str, float],
    style_weights: Mapping[str, float],
    tv_weight: float,
    content_loss: str,
    style_loss: str,
    tv_loss: str,
    white: float,
    normalize_gradients: bool,
    guides: Guides | None,
    photorealism_weight: float,
    local_colors: Any,
) -> Objective:
    """The objective of targets that have been measured; the rest is as in ``build``."""

    def term(
        weight: float, targets: list, loss: str, layer: str, region: int = 0, guide: Any = None
    ) -> Term:
        of_each = tuple(shares[region]) if len(targets) > 1 else (shares.dtype.type(1),)
        normalize = normalize_gradients and layer != IMAGE
        scalar, of_each = jax.device_put((shares.dtype.type(weight), of_each))
        return Term(scalar, tuple(targets), of_each, loss, layer, normalize, guide)

    terms = {
        f"content/{layer}": term(weight, [of_content[layer]], content_loss, layer)
        for layer, weight in content_weights.items()
    }
    for layer, weight in style_weights.items():
        each = [[of[layer][region] for of in of_styles] for region in range(len(shares))]
        for region, name in enumerate(style_terms(layer, guides)):
            guide, share = None, 1.0
            if guides is not None:
                guide = jax.device_put(guides.content[layer][region])
                share = float(guides.weights[layer][region])
            terms[name] = term(weight * share, each[region], style_loss, layer, region, guide)
    terms["tv"] = term(tv_weight, [None], tv_loss, IMAGE)
    if local_colors is not None:
        weight = photorealism_weight / white**2  # the energy is that of the papers: white is one
        terms["photorealism"] = term(weight, [local_colors], PHOTOREALISM, IMAGE)
    return Objective(network, terms, jnp.asarray(float(white)))
