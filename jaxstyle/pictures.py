"""What is made of the pictures before a run and after it: its start, and their colors."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxstyle import color, vgg
from jaxstyle import image as images
from jaxstyle.image import Picture
from jaxstyle.plan import Image, resize
from jaxstyle.pyramid import Scale
from jaxstyle.settings import Settings

Alpha = Float[np.ndarray, "_ _"]


def first_image(content: Image, scale: Scale, network: vgg.VGG19, settings: Settings) -> Image:
    """Where the optimization starts: the content or a picture of the user's, with noise over it."""
    if settings.init == "noise":
        return noise(scale, network, settings)
    picture = content if settings.init == "content" else images.read(settings.init).rgb
    image, share = resize(picture, scale, settings), np.float32(settings.init_noise)
    return (1 - share) * image + share * noise(scale, network, settings) if share else image


def noise(scale: Scale, network: vgg.VGG19, settings: Settings) -> Image:
    """Uniform between black and white, or Gaussian around the color the network takes for zero."""
    key, shape = jax.random.key(settings.seed), (scale.height, scale.width, 3)
    if settings.noise == "uniform":
        return np.asarray(jax.random.uniform(key, shape, jnp.float32))
    mean = network.offset[...] / network.gain[...]
    gaussian = mean + settings.noise_level * jax.random.normal(key, shape)
    return np.asarray(gaussian, np.float32)


def recolored(
    content: Image, styles: Sequence[Image], settings: Settings
) -> tuple[Image, list[Image]]:
    """The pictures that the objective is made of: color is settled before the run.

    Gatys et al. 2016 (arXiv:1606.05897): the style pictures are given the content's mean color and
    covariance (section 3.1), or all are reduced to their luminance (section 3.2).
    """
    if settings.color_match == "none":
        return content, list(styles)
    if settings.color_match != "luminance":
        return content, [color.match_colors(s, content, settings.color_match) for s in styles]
    light = color.luminance(content, settings.luminance)
    each = [color.luminance(style, settings.luminance) for style in styles]
    matched = [color.match_luminance(style, light) for style in each]
    return _gray(light), [_gray(np.clip(style, 0, 1)) for style in matched]


def as_measured(image: Image, settings: Settings) -> Image:
    """What the objective sees of a finished picture."""
    if settings.color_match != "luminance":
        return image
    return _gray(color.luminance(image, settings.luminance))


def finished(
    image: Image, content: Picture, scale: Scale, settings: Settings
) -> tuple[Image, Alpha | None]:
    """The picture at its final size, in the content's colors where that is wanted; its alpha."""
    image = resize(image, scale, settings)
    alpha = None if content.alpha is None else resize(content.alpha, scale, settings)
    if settings.original_colors or settings.color_match == "luminance":
        colors = resize(content.rgb, scale, settings)
        image = color.original_colors(image, colors, settings.luminance)
    return image, alpha


def _gray(luminance: np.ndarray) -> Image:
    return np.repeat(luminance[..., None], 3, axis=-1)
