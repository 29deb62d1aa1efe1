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

from jaxstyle.errors import SettingError
from jaxstyle.losses.matting import LocalColors
from jaxstyle.losses.registry import CONTENT_LOSSES, LOSSES, STYLE_LOSSES, TV_LOSSES
from jaxstyle.losses.targets import (
    IMAGE,
    Guides,
    Padded,
    content_targets,
    features_and_image,
    seen_by,
    shares_of,
    statistics,
    style_targets,
)
from jaxstyle.network.vgg import LAYERS, VGG19, require_image

Weight = float | Float[Array, ""]

PHOTOREALISM = "matting-laplacian"
"""The loss that holds the image to local affine maps of the photo's colors."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Term:
    """A weighted loss on one layer.

    Attributes:
      weight: scalar.
      targets: one target for each picture (None for a prior).
      shares: weight of each target.
      loss: name in ``jaxstyle.losses.LOSSES``.
      layer: layer name, or ``IMAGE``.
      normalize: whether the gradient is normalized: see ``unit_gradient``.
      guide: guide of the region, height x width of the layer; None for the whole picture.
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
        """Return the weighted loss of an image from its features by layer name."""
        x = features[self.layer]
        if self.normalize:
            x = unit_gradient(x, self.weight)
        return self.weighed(statistics(self.loss, x, self.guide), *image_size)

    def weighed(self, kept: PyTree, height: Any, width: Any) -> Float[Array, ""]:
        """Return the weighted loss from statistics of features; the sides are the image's."""
        loss = LOSSES[self.loss]
        distances = [
            share * loss.distance(kept, target)
            for share, target in zip(self.shares, self.targets, strict=True)
        ]
        return self.weight * loss.image_factor(height, width) * sum(distances)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Objective:
    """The weighted sum of all losses, a function of the image and a pytree.

    To compile it, pass it as an argument: ``jax.jit(lambda loss, image: loss(image))``. A function
    that closes over it makes constants of the network's weights, which XLA takes long to fold.

    Attributes:
      network: a VGG19.
      terms: by name: "content/relu4_2", "style/relu1_1", "tv", "photorealism"; of a region
        "style/relu1_1/sky".
      white: value of a white pixel in the units of the priors.
    """

    network: PyTree
    terms: dict[str, Term]
    white: PyTree = 1.0

    def __call__(
        self, image: Float[Array, "h w 3"]
    ) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
        """Return the total loss of an image, and its parts already multiplied by their weights.

        Raises:
          ImageError: not an array of floats of shape height x width x 3.
        """
        require_image("the image", image)
        layers = [term.layer for term in self.terms.values()]
        features = features_and_image(self.network, image, layers, self.white)
        size = image.shape[0], image.shape[1]
        parts = {name: term(features, size) for name, term in self.terms.items()}
        return sum(parts.values(), jnp.zeros((), image.dtype)), parts


@jax.custom_vjp
def unit_gradient(x: Float[Array, "..."], weight: Float[Array, ""]) -> Float[Array, "..."]:
    """Return ``x``, with a gradient scaled to an L1 norm of ``weight`` on its way back.

    For a loss ``weight * f`` the gradient becomes ``weight * f' / |f'|_1``, so that layers with
    large and with small gradients count by their weights alone: the option ``normalize_gradients``
    of jcjohnson/neural-style. It is not the gradient of any function.
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


@dataclass(frozen=True)
class LossSpec:
    """The losses of an objective and their weights.

    Attributes:
      content_weights, style_weights: weight by layer name.
      tv_weight: weight of the total variation of the image.
      style_blend: share of each style picture, normalized to sum to one; equal if empty.
      sum_styles: add up a loss for each style picture, instead of one for their blended statistics.
      content_loss, style_loss, tv_loss: names in ``jaxstyle.losses.LOSSES``.
      white: value of a white pixel in the units of the total variation.
      normalize_gradients: normalize the gradients of content and style losses: ``unit_gradient``.
      photorealism_weight: weight of the matting-Laplacian energy.

    Raises:
      SettingError: there is no loss of that name, a layer is not canonical, or all shares are zero.
    """

    content_weights: Mapping[str, Weight]
    style_weights: Mapping[str, Weight]
    tv_weight: Weight = 0.0
    style_blend: Sequence[float] = ()
    sum_styles: bool = False
    content_loss: str = "content"
    style_loss: str = "gram"
    tv_loss: str = "total-variation"
    white: float = 1.0
    normalize_gradients: bool = False
    photorealism_weight: Weight = 0.0

    def __post_init__(self):
        for kind, names in (
            ("content_loss", CONTENT_LOSSES),
            ("style_loss", STYLE_LOSSES),
            ("tv_loss", TV_LOSSES),
        ):
            name = getattr(self, kind)
            if name not in names:
                raise SettingError(kind, f"{name!r} is not one of {', '.join(names)}")
        for layer in (*self.content_weights, *self.style_weights):
            if layer not in LAYERS:
                raise SettingError(
                    "layers", f"{layer!r} is none of relu1_1, conv4_2, pool4 and so on"
                )
        shares = tuple(map(float, self.style_blend))
        object.__setattr__(self, "style_blend", shares)
        if shares and not sum(shares) > 0:
            raise SettingError("style_blend", "at least one share must be above zero")


def build(
    network: VGG19,
    content: Float[Array | np.ndarray, "h w 3"] | Padded,
    styles: Sequence[Float[Array | np.ndarray, "_ _ 3"] | Padded],
    spec: LossSpec,
    *,
    guides: Guides | None = None,
    local_colors: LocalColors | None = None,
) -> Objective:
    """Build the objective of Gatys et al. 2016, equation 7, plus total variation.

    With guides the style loss is one for each region (Gatys et al. 2017, equation 4; Luan et al.
    2017, equation 3); with local colors their matting-Laplacian energy is added.

    Args:
      network: its pooling and padding are used for the targets too.
      content: the content picture at the size of the result, values in [0, 1].
      styles: style pictures, each of any size.
      spec: the losses and their weights, which may be tracers (``jax.vmap`` over weights).
      guides: regions of the content and style pictures; None for one region, the whole picture.
      local_colors: local colors of the photo for the photorealism loss; None to leave it out.

    Raises:
      ImageError: a picture is not an array of floats of shape height x width x 3.
    """
    for name, each in (("the content picture", [content]), ("a style picture", styles)):
        for picture in each:
            require_image(name, picture.values if isinstance(picture, Padded) else picture)
    if spec.style_blend and len(spec.style_blend) != len(styles):
        problem = f"has {len(spec.style_blend)} shares for {len(styles)} style pictures"
        raise SettingError("style_blend", problem)
    if not styles:
        raise SettingError("styles", "give at least one style picture")
    shares = shares_of(spec.style_blend or [1.0] * len(styles), guides)
    # With normalized gradients, targets must be computed by the same algorithms as the image's
    # features: a rounding difference where the gradient is zero would be scaled up.
    measuring = network if spec.normalize_gradients else network.direct()
    of_content = content_targets(
        measuring,
        content,
        seen_by(guides),
        layers=tuple(spec.content_weights),
        loss=spec.content_loss,
    )
    of_styles = style_targets(
        measuring,
        list(styles),
        shares,
        [dict(of) for of in guides.styles] if guides else None,
        layers=tuple(spec.style_weights),
        loss=spec.style_loss,
        sum_styles=spec.sum_styles,
    )
    return assembled(network, of_content, of_styles, shares, spec, guides, local_colors)


def style_terms(layer: str, guides: Guides | None) -> list[str]:
    """Return the names of the terms of a style layer, one for each region."""
    name = f"style/{layer}"
    return [name] if guides is None else [f"{name}/{region}" for region in guides.names]


def assembled(
    network: VGG19,
    of_content: Mapping[str, PyTree],
    of_styles: Sequence[Mapping[str, list[PyTree]]],
    shares: Float[np.ndarray, "k n"],
    spec: LossSpec,
    guides: Guides | None,
    local_colors: Any,
) -> Objective:
    """Return the objective of targets that have been measured: see ``build``."""

    def term(
        weight: Weight, targets: list, loss: str, layer: str, region: int = 0, guide: Any = None
    ) -> Term:
        of_each = tuple(shares[region]) if len(targets) > 1 else (shares.dtype.type(1),)
        normalize = spec.normalize_gradients and layer != IMAGE
        scalar = weight if isinstance(weight, jax.Array) else shares.dtype.type(weight)
        scalar, of_each = jax.device_put((scalar, of_each))
        return Term(scalar, tuple(targets), of_each, loss, layer, normalize, guide)

    seen = jax.device_put(seen_by(guides)) or {}
    terms = {
        f"content/{layer}": term(
            weight, [of_content[layer]], spec.content_loss, layer, guide=seen.get(layer)
        )
        for layer, weight in spec.content_weights.items()
    }
    for layer, weight in spec.style_weights.items():
        each = [[of[layer][region] for of in of_styles] for region in range(len(shares))]
        for region, name in enumerate(style_terms(layer, guides)):
            guide, share = None, 1.0
            if guides is not None:
                guide = jax.device_put(guides.content[layer][region])
                share = float(guides.weights[layer][region])
            terms[name] = term(weight * share, each[region], spec.style_loss, layer, region, guide)
    terms["tv"] = term(spec.tv_weight, [None], spec.tv_loss, IMAGE)
    if local_colors is not None:
        # The papers define the energy for images whose white is 1.
        weight = spec.photorealism_weight / spec.white**2
        terms["photorealism"] = term(weight, [local_colors], PHOTOREALISM, IMAGE)
    return Objective(network, terms, jax.device_put(shares.dtype.type(spec.white)))
