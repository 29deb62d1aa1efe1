"""What the objective of one scale is made from: resized pictures, loss weights and guides."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from jaxstyle import images
from jaxstyle.execution.factories import matmul_precision
from jaxstyle.execution.plan import Scale, style_size
from jaxstyle.guidance.masks import Regions
from jaxstyle.guidance.propagate import guides as guides_of
from jaxstyle.images.transparency import split
from jaxstyle.losses.objective import LossSpec
from jaxstyle.losses.targets import Guides
from jaxstyle.losses.temporal import Earlier
from jaxstyle.network import vgg
from jaxstyle.settings import Settings

Image = Float[np.ndarray, "_ _ _"]

Layers = tuple[Sequence[str], Sequence[str]]
"""Names of content layers, then names of style layers."""

NO_LAYERS: Layers = ((), ())


@dataclass(frozen=True)
class LossInputs:
    """The inputs of a picture's objective at one scale; a ``Strategy`` builds it from them.

    Attributes:
      network: the network.
      content: content picture, of the size of the image.
      styles: style pictures.
      spec: the losses and their weights.
      guides: guidance maps of the regions, if any.
      photorealistic: whether there is a photorealism term.
      precision: matmul precision, as JAX names it.
      earlier: earlier frames of a clip, if there is a temporal term.
    """

    network: vgg.VGG19
    content: Image
    styles: Sequence[Image]
    spec: LossSpec
    guides: Guides | None
    photorealistic: bool
    precision: str | None
    earlier: Earlier | None = None


def inputs_at(
    scale: Scale,
    network: vgg.VGG19,
    content: Image,
    styles: Sequence[Image],
    settings: Settings,
    regions: Regions | None = None,
    *,
    layers: Layers = NO_LAYERS,
    weighted: bool = False,
    resized: Callable[..., Image] = images.resize,
    precision: str | None = None,
    earlier: Earlier | None = None,
    temporal_weight: float = 0.0,
) -> LossInputs:
    """Return the inputs of the objective of one scale, with content and styles resized to it.

    Args:
      scale: the scale.
      network: the network.
      content: pixels of the content picture at full size, RGB, or RGB and alpha.
      styles: pixels of the style pictures at full size.
      settings: settings of the run.
      regions: guidance regions, if any; ``everywhere`` if pictures with alpha have no masks.
      layers: further layers to measure, see ``inputs_of``.
      weighted: whether to weight the content loss even of an opaque content, see ``inputs_of``.
      resized: resizing function, such as a cached one.
      precision: matmul precision; if None, that of the settings.
      earlier: earlier frames of a clip; they have no effect on scales of another size.
      temporal_weight: weight of their loss.
    """
    sizes = [style_size(style, i, scale, settings) for i, style in enumerate(styles)]
    settings = replace(settings, content_weight=settings.content_weight * scale.content)
    found = inputs_of(
        network,
        resized(content, scale.height, scale.width, settings.resampling),
        [resized(s, *size, settings.resampling) for s, size in zip(styles, sizes, strict=True)],
        settings,
        regions,
        layers=layers,
        weighted=weighted,
        photorealism=scale.photorealism,
        style_loss=scale.style_loss,
        precision=precision,
    )
    if earlier is None or earlier.images.shape[:2] != (scale.height, scale.width):
        return found
    spec = replace(found.spec, temporal_weight=temporal_weight)
    return replace(found, spec=spec, earlier=earlier)


def inputs_of(
    network: vgg.VGG19,
    content: Image,
    styles: Sequence[Image],
    settings: Settings,
    regions: Regions | None = None,
    *,
    layers: Layers = NO_LAYERS,
    weighted: bool = False,
    photorealism: float | None = None,
    style_loss: str = "",
    precision: str | None = None,
) -> LossInputs:
    """Return the inputs of the objective for pictures that have been resized already.

    Args:
      network: the network.
      content: pixels of the content picture, of the size of the image; RGB, or RGB and alpha.
      styles: pixels of the style pictures.
      settings: settings of the run.
      regions: guidance regions, if any; ``everywhere`` if pictures with alpha have no masks.
      layers: further layers to measure; unless the settings name them, their weight is zero.
      weighted: whether to weight the content loss by alpha even if the content is opaque, since
        another content of the batch is not.
      photorealism: photorealism weight; if None, the last one of the settings.
      style_loss: name of the style loss; if empty, that of the settings.
      precision: matmul precision; if None, that of the settings.
    """
    content_layers, style_layers = layers
    style_weights = dict.fromkeys(style_layers, 0.0) | settings.style_weights()
    content_weights = dict.fromkeys(content_layers, 0.0) | settings.content_weights()
    (content, *styles), (alpha, *alphas) = zip(*map(split, [content, *styles]), strict=True)
    if alpha is None and weighted:
        alpha = np.ones(content.shape[:2], np.float32)
    guides = None
    if regions:
        sides = content.shape[:2], [style.shape[:2] for style in styles]
        named, visible = (regions, network, *sides, list(style_weights)), list(content_weights)
        guides = guides_of(*named, settings.guidance, [alpha, *alphas], visible)
    if photorealism is None:
        photorealism = settings.photorealism_weight[-1]
    spec = LossSpec(
        content_weights=content_weights,
        style_weights=style_weights,
        tv_weight=settings.tv_weight,
        style_blend=settings.style_blend,
        sum_styles=settings.sum_styles,
        content_loss=settings.content_loss,
        style_loss=style_loss or settings.style_loss,
        tv_loss=settings.tv_loss,
        white=settings.white,
        normalize_gradients=settings.normalize_gradients,
        photorealism_weight=photorealism,
        seed=settings.seed,
    )
    photo, precision = settings.photorealistic, precision or matmul_precision(settings)
    return LossInputs(network, content, styles, spec, guides, photo, precision)


def layers_of(each: Iterable[Settings]) -> Layers:
    """Return the content and style layers that any of the settings uses, in network order."""
    distinct = {id(settings): settings for settings in each}.values()
    content = {layer for settings in distinct for layer in settings.content_weights()}
    style = {layer for settings in distinct for layer in settings.style_weights()}
    return sorted(content, key=vgg.LAYERS.index), sorted(style, key=vgg.LAYERS.index)


def looking_at(layers: Layers, settings: Settings) -> Settings:
    """Return settings that use all of these layers; with ``NO_LAYERS``, the settings themselves."""
    if layers == NO_LAYERS:
        return settings
    content, style = layers
    return replace(
        settings,
        content_weight=1.0,
        style_weight=1.0,
        content_layers=dict.fromkeys(content, 1.0),
        style_layers=dict.fromkeys(style, 1.0),
    )
