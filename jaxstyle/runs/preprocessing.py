"""Image processing around the optimization: color matching, the initial image, the final one."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxstyle import images
from jaxstyle.execution.plan import Image, Scale, resize, seamless, style_size
from jaxstyle.guidance import recolor
from jaxstyle.guidance.masks import Regions
from jaxstyle.images import Picture, affine, color, full_size
from jaxstyle.images.guided_filter import refined
from jaxstyle.images.style_colors import with_style_colors
from jaxstyle.images.transparency import joined, split
from jaxstyle.network import vgg
from jaxstyle.settings import INITS, Settings

Alpha = Float[np.ndarray, "_ _"]
Maps = Float[np.ndarray, "_ _ 3 4"]


def first_image(
    content: Image,
    styles: Sequence[Image],
    regions: Regions | None,
    scale: Scale,
    network: vgg.VGG19,
    settings: Settings,
) -> Image:
    """Return the initial image of the optimization.

    Depending on ``settings.init``: the content picture, the content picture in the colors of the
    styles (partly, below half the strength), noise, or a picture read from a file.
    ``settings.init_noise`` is the share of noise blended in.
    """
    if settings.init == "noise":
        return noise(scale, network, settings)
    picture = content if settings.init in INITS else images.read(settings.init).pixels
    seen, share = resize(picture, scale, settings), np.float32(settings.init_noise)
    image = seen[..., :3]
    if settings.init == "colors":
        painted = np.float32(min(1, 2 * settings.strength))
        colored = recolor.recolored(seen, styles, regions, shares=settings.style_blend)
        image = (1 - painted) * image + painted * colored
    return (1 - share) * image + share * noise(scale, network, settings) if share else image


def picture_notes(settings: Settings, read: Callable[[str], Picture] = images.read) -> list[str]:
    """Return notes on how the pictures that settings name are read; regions have those on masks.

    Raises:
      ImageError: one cannot be read.
    """
    files = [path for path in settings.pictures().values() if not Path(path).is_fifo()]
    return [note for path in files for note in read(path).notes]  # a pipe could be read once only


def enlarged(
    image: Image,
    content: Image,
    scale: Scale,
    settings: Settings,
    resized: Callable[..., Image] = images.resize,
) -> Image:
    """Return the result of one scale enlarged to the size of the next.

    In photorealistic runs that start from the content, the image is not resized. The local affine
    color maps from the content to it are fitted, then applied to the content at the new size, which
    brings back detail too fine for the smaller scale.

    Args:
      image: result of the previous scale, or the initial image.
      content: the pixels of the content picture at full size.
      scale: the next scale.
      resized: resizing function, such as a cached one.
    """
    if image.shape[:2] == (scale.height, scale.width):
        return image
    if settings.padding == "circular":
        return seamless(image, scale, settings)
    if not settings.photorealistic or settings.init not in KEEPING:
        return resize(image, scale, settings)
    height, width, _ = image.shape
    small = resized(content, height, width, settings.resampling)[..., :3]
    maps = affine.smoothed(affine.fit(small, image), small, CARRIED_RADIUS, settings.smooth_edge)
    large = resized(content, scale.height, scale.width, settings.resampling)[..., :3]
    return full_size.applied_at(maps, small, large)


KEEPING = ("content", "colors")
"""Values of ``init`` that preserve the structure of the content picture."""

CARRIED_RADIUS = 3
"""Radius, in pixels, over which color maps are averaged between scales. At the end of the run
``settings.smooth_radius`` is used instead."""


def noise(scale: Scale, network: vgg.VGG19, settings: Settings) -> Image:
    """Return noise: uniform in [0, 1], or Gaussian around the network's mean color."""
    key, shape = jax.random.key(settings.seed), (scale.height, scale.width, 3)
    if settings.noise == "uniform":
        return np.asarray(jax.random.uniform(key, shape, jnp.float32))
    mean = network.offset[...] / network.gain[...]
    gaussian = mean + settings.noise_level * jax.random.normal(key, shape)
    return np.asarray(gaussian, np.float32)


def recolored(
    content: Image, styles: Sequence[Image], settings: Settings
) -> tuple[Image, list[Image]]:
    """Return the pixels of content and styles with colors matched by ``settings.color_match``.

    Gatys et al. 2016 (arXiv:1606.05897): the style pictures are given the content's mean color and
    covariance (section 3.1), or all are reduced to their luminance (section 3.2).
    """
    if settings.color_match == "none":
        return content, list(styles)
    if settings.color_match != "luminance":
        return content, [color.match_colors(s, content, settings.color_match) for s in styles]
    photo, shown = split(content)
    light = color.luminance(photo, settings.luminance)
    matched = []
    for paint, alpha in map(split, styles):
        own = color.match_luminance(color.luminance(paint, settings.luminance), light, alpha, shown)
        matched.append(joined(_gray(np.clip(own, 0, 1)), alpha))
    return joined(_gray(light), shown), matched


def as_measured(image: Image, settings: Settings) -> Image:
    """Return a finished picture as the objective sees it: gray if only luminance is matched."""
    if settings.color_match != "luminance":
        return image
    seen, alpha = split(image)
    return joined(_gray(color.luminance(seen, settings.luminance)), alpha)


class Finished(NamedTuple):
    """A finished picture.

    Attributes:
      image: sRGB in [0, 1].
      alpha: alpha channel of the content picture, None if it has none.
      maps: local affine color maps (see ``jaxstyle.images.affine``), None if there are none.
    """

    image: Image
    alpha: Alpha | None
    maps: Maps | None


def finished(
    image: Image, content: Picture, scale: Scale, settings: Settings, styles: Sequence[Image] = ()
) -> Finished:
    """Return the picture at its final size, after the optional post-processing steps.

    These are, as the settings ask: smoothing local color maps, refining edges with a guided filter,
    restoring the content's colors, or moving those to the styles'. The content's alpha channel is
    resized along.

    Args:
      image: the result of the last scale.
      content: the content picture.
      scale: the last scale.
      settings: settings of the run.
      styles: style pictures at full size.
    """
    image = resize(image, scale, settings)
    photo = resize(content.pixels, scale, settings)[..., :3]
    alpha = None if content.alpha is None else resize(content.alpha, scale, settings)
    maps = None
    if settings.smooth_radius:  # Luan et al. 2017, the code: "smooth local affine"
        rough = affine.fit(*jax.device_put((photo, image)))
        smooth = affine.smoothed(rough, photo, settings.smooth_radius, settings.smooth_edge)
        image, maps = np.asarray(affine.applied(smooth, photo)), np.asarray(smooth)
    if settings.refine:
        image = np.asarray(refined(*jax.device_put((image, photo))))
    if settings.style_colors and styles:
        paint = [_at_scale(style, i, scale, settings) for i, style in enumerate(styles)]
        shares = settings.style_blend or [1.0] * len(styles)
        image = with_style_colors(image, photo, paint, shares)
    if settings.original_colors or settings.color_match == "luminance":
        image = color.original_colors(image, photo, settings.luminance)
    return Finished(np.clip(image, 0, 1), alpha, maps)


def unfinished(
    image: Image, content: Picture, scale: Scale, settings: Settings, styles: Sequence[Image] = ()
) -> Picture:
    """Return the picture of a run that ended early: `finished` or, if that fails, as it is."""
    try:
        done = finished(image, content, scale, settings, styles)
    except Exception:  # no memory for the last processing
        return Picture(image)
    return Picture(done.image, done.alpha, dpi=content.dpi)


def _at_scale(style: Image, index: int, scale: Scale, settings: Settings) -> Image:
    size = style_size(style, index, scale, settings)
    return images.resize(style, *size, settings.resampling)


def _gray(luminance: np.ndarray) -> Image:
    return np.repeat(luminance[..., None], 3, axis=-1)
