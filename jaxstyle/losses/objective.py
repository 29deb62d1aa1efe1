"""The objective: terms, targets and weights as one pytree that scores an image.

    L(x) = sum over terms t of weight_t * distance_t(statistics_t(features of x), target_t)

Weights and targets are traced leaves: changing them never recompiles, and ``jax.vmap`` over the
weights is how a sweep is run. Losses and layers are static.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from jaxstyle.errors import SettingError
from jaxstyle.losses.hypercolumns import HYPERCOLUMNS, PIXELS, Given
from jaxstyle.losses.joint import (
    CONTENT_CHOICES,
    JOINT,
    STYLE_CHOICES,
    exact,
    in_order,
    joint_target,
    measured,
)
from jaxstyle.losses.matting import LocalColors
from jaxstyle.losses.registry import LOSSES, TV_LOSSES
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
from jaxstyle.losses.temporal import Earlier
from jaxstyle.machine.programs import jit
from jaxstyle.network.vgg import LAYERS, VGG19, require_image

Weight = float | Float[Array, ""]

PHOTOREALISM = "matting-laplacian"
"""The loss that holds the image to local affine maps of the photo's colors."""

TEMPORAL = "temporal"
"""The loss that holds a frame of a clip to earlier results."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Term:
    """A weighted loss on one layer, or on all layers at once.

    Attributes:
      weight: scalar.
      targets: one target for each picture (None for a prior).
      shares: weight of each target.
      loss: name in ``LOSSES`` or ``JOINT``.
      layer: layer name, ``IMAGE``, or ``HYPERCOLUMNS`` for several layers.
      normalize: whether the gradient is normalized: see ``unit_gradient``.
      guide: guide of the region, height x width of the layer (of several, the first); None for the
        whole picture.
      layers: names of several layers, in the order of the network.
      given: what a loss on several layers is given besides.
    """

    weight: PyTree
    targets: PyTree
    shares: PyTree
    loss: str = field(metadata={"static": True})
    layer: str = field(metadata={"static": True})
    normalize: bool = field(default=False, metadata={"static": True})
    guide: PyTree = None
    layers: tuple[str, ...] = field(default=(), metadata={"static": True})
    given: PyTree = None

    def __call__(
        self, features: Mapping[str, Array], image_size: tuple[int, int]
    ) -> Float[Array, ""]:
        """Return the weighted loss of an image from its features by layer name."""
        if self.layers:
            return self._of_hypercolumns(features)
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

    def _of_hypercolumns(self, features: Mapping[str, Array]) -> Float[Array, ""]:
        maps = exact({name: features[name] for name in (PIXELS, *self.layers)})
        distances = [
            share * JOINT[self.loss].distance(maps, target, self.guide, self.given)
            for share, target in zip(self.shares, self.targets, strict=True)
        ]
        return self.weight * sum(distances)

    def at(self, step: Int[Array, ""]) -> "Term":
        """Return the term with the random numbers of a step."""
        if not self.layers or not JOINT[self.loss].random:
            return self
        return replace(self, given=self.given._replace(step=step))

    @property
    def waits(self) -> bool:
        """Whether its targets depend on the image that a scale begins with."""
        return bool(self.layers) and JOINT[self.loss].found is not None

    def begun(self, network: VGG19, image: Float[Array, "h w 3"]) -> "Term":
        """Return the term with the targets of a scale that begins with an image."""
        found = JOINT[self.loss].found if self.waits else None
        if found is None:
            return self
        measure = partial(measured, network, self.layers)
        return replace(
            self, targets=tuple(found(measure, image, of, self.guide) for of in self.targets)
        )


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Objective:
    """The weighted sum of all losses, a function of the image and a pytree.

    To compile it, pass it as an argument: ``jax.jit(lambda loss, image: loss(image))``. A function
    that closes over it makes constants of the network's weights, which XLA takes long to fold.

    Attributes:
      network: a VGG19.
      terms: by name: "content/relu4_2", "style/relu1_1", "tv", "photorealism", "temporal"; of a
        region "style/relu1_1/sky".
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
        layers = [name for term in self.terms.values() for name in term.layers or (term.layer,)]
        features = features_and_image(self.network, image, layers, self.white) | {PIXELS: image}
        size = image.shape[0], image.shape[1]
        parts = {name: term(features, size) for name, term in self.terms.items()}
        return sum(parts.values(), jnp.zeros((), image.dtype)), parts

    def at(self, step: Int[Array, ""]) -> "Objective":
        """Return the objective with the random numbers of a step, for losses that draw some."""
        return replace(self, terms={name: term.at(step) for name, term in self.terms.items()})

    @property
    def waits(self) -> bool:
        """Whether some targets depend on the image that a scale begins with: see ``begun``."""
        return any(term.waits for term in self.terms.values())

    def begun(self, image: Float[Array, "h w 3"]) -> "Objective":
        """Return the objective of a scale that begins with an image."""
        if not self.waits:
            return self
        return replace(self, terms=_begun(self.network.direct(), self.terms, image))


@jit()
def _begun(network: VGG19, terms: dict[str, Term], image: Float[Array, "h w 3"]) -> dict[str, Term]:
    return {name: term.begun(network, image) for name, term in terms.items()}


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
      content_loss, style_loss: names in ``LOSSES`` or ``JOINT``.
      tv_loss: name in ``LOSSES``.
      white: value of a white pixel in the units of the total variation.
      normalize_gradients: normalize the gradients of content and style losses: ``unit_gradient``.
      photorealism_weight: weight of the matting-Laplacian energy.
      temporal_weight: weight of the temporal loss, for frames of a clip.
      seed: seed of losses that draw random numbers.

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
    temporal_weight: Weight = 0.0
    seed: int = 0

    def __post_init__(self):
        for kind, names in (
            ("content_loss", CONTENT_CHOICES),
            ("style_loss", STYLE_CHOICES),
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
    earlier: Earlier | None = None,
) -> Objective:
    """Build the objective of Gatys et al. 2016, equation 7, plus total variation.

    With guides the style loss is one for each region (Gatys et al. 2017, equation 4; Luan et al.
    2017, equation 3); with local colors their matting-Laplacian energy is added, with earlier
    frames the temporal loss of Ruder et al. 2016.

    Args:
      network: its pooling and padding are used for the targets too.
      content: the content picture at the size of the result, values in [0, 1].
      styles: style pictures, each of any size.
      spec: the losses and their weights, which may be tracers (``jax.vmap`` over weights).
      guides: regions of the content and style pictures; None for one region, the whole picture.
      local_colors: local colors of the photo for the photorealism loss; None to leave it out.
      earlier: earlier frames for the temporal loss, in [0, 1]; None to leave it out.

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
    if spec.content_loss in JOINT:
        of_content = {HYPERCOLUMNS: _joint_content(measuring, content, spec, seen_by(guides))}
    else:
        of_content = content_targets(
            measuring,
            content,
            seen_by(guides),
            layers=tuple(spec.content_weights),
            loss=spec.content_loss,
        )
    if spec.style_loss in JOINT:
        of_styles = _joint_styles(measuring, content, styles, spec, guides)
    else:
        of_styles = style_targets(
            measuring,
            list(styles),
            shares,
            [dict(of) for of in guides.styles] if guides else None,
            layers=tuple(spec.style_weights),
            loss=spec.style_loss,
            sum_styles=spec.sum_styles,
        )
    scaled = earlier and jax.device_put(earlier.times(spec.white))
    return assembled(network, of_content, of_styles, shares, spec, guides, local_colors, scaled)


def _joint_content(
    network: VGG19, content: Any, spec: LossSpec, seen: Mapping[str, Any] | None
) -> PyTree:
    """Return the target of a content loss on several layers."""
    layers, given = in_order(spec.content_weights), _given(spec, "content")
    if not layers:
        return None
    guide = seen[layers[0]] if seen else None
    named = {"layers": layers, "loss": spec.content_loss}
    return joint_target(network, content, None, guide, given, **named)


def _joint_styles(
    network: VGG19,
    content: Any,
    styles: Sequence[Any],
    spec: LossSpec,
    guides: Guides | None,
) -> list[dict[str, list[PyTree]]]:
    """Return the targets of a style loss on several layers: those of each style, by region."""
    layers, given = in_order(spec.style_weights), _given(spec, "style")
    named = {"layers": layers, "loss": spec.style_loss}
    bordered = network.bordered()

    def of(style: Any, guide: Any) -> PyTree:
        return joint_target(bordered, content, style, guide, given, **named)

    if not layers:
        return []
    if guides is None:
        return [{HYPERCOLUMNS: [of(style, None)]} for style in styles]
    return [
        {HYPERCOLUMNS: [of(style, guide) for guide in masks[layers[0]]]}
        for style, masks in zip(styles, guides.styles, strict=True)
    ]


def _mean(weights: Mapping[str, Weight]) -> Any:
    """Return the mean of the weights that are not zero."""
    count = sum((weight > 0) * 1.0 for weight in weights.values())
    return sum(weights.values()) / (count + (count == 0))


def _given(spec: LossSpec, kind: str) -> Given:
    """Return what a loss on several layers is given: each layer's weight relative to their mean."""
    weights = spec.content_weights if kind == "content" else spec.style_weights
    mean, style = _mean(weights), _mean(spec.style_weights)
    number = jnp.result_type(float)
    factors = {name: weight / (mean + (mean == 0)) for name, weight in weights.items()}
    content = _mean(spec.content_weights) / (style + (style == 0))
    plain = jax.tree.map(
        lambda x: x if isinstance(x, jax.Array) else np.asarray(x, number), (factors, content)
    )
    factors, content = jax.device_put(plain)
    return Given(factors, content, jax.device_put(np.uint32(spec.seed)))


def _by_term(weights: Mapping[str, Weight], loss: str) -> dict[str, Weight]:
    """Return the weights of the terms of a loss, by layer."""
    if loss not in JOINT:
        return dict(weights)
    return {HYPERCOLUMNS: _mean(weights)} if weights else {}


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
    earlier: Any = None,
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

    def several(loss: str, kind: str) -> dict[str, Any]:
        if loss not in JOINT:
            return {}
        weights = spec.content_weights if kind == "content" else spec.style_weights
        return {"layers": in_order(weights), "given": _given(spec, kind)}

    seen, terms = seen_by(guides) or {}, {}
    for layer, weight in _by_term(spec.content_weights, spec.content_loss).items():
        joint = several(spec.content_loss, "content")
        guide = jax.device_put(seen.get(joint["layers"][0] if joint else layer))
        plain = term(weight, [of_content[layer]], spec.content_loss, layer, guide=guide)
        terms[f"content/{layer}"] = replace(plain, **joint)
    for layer, weight in _by_term(spec.style_weights, spec.style_loss).items():
        joint = several(spec.style_loss, "style")
        guided = joint["layers"][0] if joint else layer
        each = [[of[layer][region] for of in of_styles] for region in range(len(shares))]
        for region, name in enumerate(style_terms(layer, guides)):
            guide, share = None, 1.0
            if guides is not None:
                guide = jax.device_put(guides.content[guided][region])
                share = float(guides.weights[guided][region])
            plain = term(weight * share, each[region], spec.style_loss, layer, region, guide)
            terms[name] = replace(plain, **joint)
    terms["tv"] = term(spec.tv_weight, [None], spec.tv_loss, IMAGE)
    if local_colors is not None:
        # The papers define the energy for images whose white is 1.
        weight = spec.photorealism_weight / spec.white**2
        terms["photorealism"] = term(weight, [local_colors], PHOTOREALISM, IMAGE)
    if earlier is not None:
        terms["temporal"] = term(spec.temporal_weight, [earlier], TEMPORAL, IMAGE)
    return Objective(network, terms, jax.device_put(shares.dtype.type(spec.white)))
