"""Losses on all layers at once, of hypercolumns: ``JOINT`` maps each name to its functions.

Where other losses compare statistics of one layer, which several styles can be averaged in, these
have a target of their own for each style. They need the whole picture: there are no tiles.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxstyle.losses import neighbors, transport
from jaxstyle.losses.hypercolumns import PIXELS, Given, Maps
from jaxstyle.losses.registry import LOSSES
from jaxstyle.machine.programs import jit
from jaxstyle.network.vgg import LAYERS, VGG19


class Joint(NamedTuple):
    """A loss on all layers at once.

    Attributes:
      kind: "content" or "style".
      target: (function from a picture to its features, content, style, guide, given) -> the target.
        The style is that of a style picture, with the guide of its region, or None for a content
        loss.
      distance: (features of the image, target, guide, given) -> a scalar.
      found: (function from a picture to its features, image, target, guide) -> what takes the place
        of the target once a scale begins with an image; None if targets do not depend on it.
      random: whether some of it is drawn at random at every step.
    """

    kind: Literal["content", "style"]
    target: Callable
    distance: Callable
    found: Callable | None = None
    random: bool = True


JOINT: dict[str, Joint] = {
    "self-similarity": Joint(
        "content", transport.content_target, transport.self_similarity_distance
    ),
    "neighbors": Joint(
        "style", neighbors.search, neighbors.distance, neighbors.found, random=False
    ),
    "neighbors-split": Joint("style", neighbors.samples, neighbors.split_distance),
    "relaxed-transport": Joint("style", transport.style_target, transport.transport_distance),
}

CONTENT_CHOICES, STYLE_CHOICES = (
    tuple(name for named in (LOSSES, JOINT) for name, loss in named.items() if loss.kind == kind)
    for kind in ("content", "style")
)
"""Names of the losses of content and style, of one layer or of all at once."""


def in_order(names: Mapping[str, Any]) -> tuple[str, ...]:
    """Return names of layers in the order of the network."""
    return tuple(sorted(names, key=LAYERS.index))


def measured(network: VGG19, layers: tuple[str, ...], picture: Float[Array, "h w 3"]) -> Maps:
    """Return the features of a picture, after the picture itself, in float32 or better."""
    features = network(picture, layers)
    return exact({PIXELS: picture, **{name: features[name] for name in layers}})


def exact(maps: Maps) -> Maps:
    """Return features in float32, or in their own type if that is more precise."""
    return {n: x.astype(jnp.promote_types(x.dtype, jnp.float32)) for n, x in maps.items()}


@jit(static_argnames=("layers", "loss"))
def joint_target(
    network: VGG19,
    content: Float[Array, "h w 3"],
    style: Float[Array, "_ _ 3"] | None,
    guide: Float[Array, "_ _"] | None,
    given: Given,
    *,
    layers: tuple[str, ...],
    loss: str,
) -> PyTree:
    """Compute the target of a joint loss: see ``Joint``."""
    return JOINT[loss].target(partial(measured, network, layers), content, style, guide, given)
