"""Rescale every filter of VGG-19 to mean activation one (Gatys et al. 2016, section 2).

"We normalized the network by scaling the weights such that the mean activation of each
convolutional filter over images and positions is equal to one. Such re-scaling can be done for the
VGG network without changing its output, because it contains only rectifying linear activation
functions and no normalization or pooling over feature maps."

With m[l] the mean activations of layer l, kernel[l][..., i, o] is multiplied by m[l-1][i] / m[l][o]
and bias[l][o] is divided by m[l][o], so that the features of layer l are divided by m[l].

This module alone imports from jaxstyle, which is above this package, and JAX: it is imported only
where it is needed.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Float64

from convert_weights import vgg19
from convert_weights.vgg19 import LAYERS
from convert_weights.weights import Weights, normalize_input
from jaxstyle import images
from jaxstyle.errors import WeightsError

_LONGEST_SIDE = 512  # pixels; bounds time and memory
_MULTIPLE = 64  # sides are rounded to multiples of it, to limit the number of compiled shapes

Means = dict[str, Float64[np.ndarray, " channels"]]


def normalize(weights: Weights, pictures: Sequence[Path]) -> Weights:
    """Rescale the filters so that their mean activations over these pictures are one.

    Filters that are never active on the pictures are not rescaled.

    Raises:
        WeightsError: There are no pictures, or activations are not finite.
        ImageError: A picture cannot be read.
    """
    return rescale(weights, mean_activations(weights, pictures))


def find_pictures(directory: Path) -> list[Path]:
    """Return the picture files of a directory, without subdirectories, sorted by name.

    Raises:
        WeightsError: The directory does not exist.
        ImageError: It contains no pictures.
    """
    if not directory.is_dir():
        raise WeightsError(f"{directory}: no such directory")
    return [Path(path) for path in images.expand_folders([directory])]


def mean_activations(weights: Weights, pictures: Sequence[Path]) -> Means:
    """Compute the mean of each channel after ReLU over all positions of all pictures.

    Pictures are reduced to 512 pixels on the longest side. As when VGG-19 was trained, it uses zero
    padding and max pooling.

    Returns:
        The means by layer, one per channel.

    Raises:
        WeightsError: There are no pictures, or activations are not finite.
        ImageError: A picture cannot be read.
    """
    if not pictures:
        raise WeightsError("no pictures to normalize with")
    layers = {
        name: (jnp.asarray(layer.kernel), jnp.asarray(layer.bias))
        for name, layer in weights.layers.items()
    }
    totals = {name: np.zeros(outputs) for name, (_, outputs) in LAYERS.items()}
    positions = dict.fromkeys(LAYERS, 0)
    for path in pictures:
        image = normalize_input(weights, read_picture(path))
        for name, activation in _layer_means(layers, jnp.asarray(image)).items():
            count = _positions(name, image.shape)
            totals[name] += np.asarray(activation, np.float64) * count
            positions[name] += count
        if not all(np.isfinite(total).all() for total in totals.values()):
            raise WeightsError(f"{path}: its activations are beyond the range of float32")
    return {name: total / positions[name] for name, total in totals.items()}


def rescale(weights: Weights, means: Means) -> Weights:
    """Rescale the filters so that the network's features are divided by `means` per channel.

    Channels whose mean is zero (the filter is never active) are left unchanged.

    Raises:
        WeightsError: A filter would be beyond the range of float32.
    """
    layers = {}
    before = np.ones(LAYERS["conv1_1"][0])
    for name, layer in weights.layers.items():
        after = np.where(means[name] > 0, means[name], 1.0)
        layers[name] = layer.kernel * before[:, None] / after, layer.bias / after
        before = after
    return replace(weights, layers=vgg19.network(layers), normalized=True)


def silent_filters(means: Means) -> int:
    """Return the number of filters that are never active."""
    return sum(int(np.sum(mean <= 0)) for mean in means.values())


@jax.jit
def _layer_means(
    layers: dict[str, tuple[Array, Array]], image: Float[Array, "height width 3"]
) -> dict[str, Float[Array, " channels"]]:
    means = {}
    x = image[None]
    for name in LAYERS:
        kernel, bias = layers[name]
        if name.endswith("_1") and name != "conv1_1":
            x = jax.lax.reduce_window(
                x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), padding="VALID"
            )
        x = jax.lax.conv_general_dilated(
            x,
            kernel,
            (1, 1),
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            precision=jax.lax.Precision.HIGHEST,
        )
        x = jax.nn.relu(x + bias)
        means[name] = x.mean((0, 1, 2))
    return means


def _positions(name: str, shape: tuple[int, ...]) -> int:
    # Pixels of the layer's feature maps: every block after the first halves both sides.
    halvings = int(name[4]) - 1
    return (shape[0] >> halvings) * (shape[1] >> halvings)


def read_picture(path: Path) -> Float32[np.ndarray, "height width 3"]:
    """Read a picture as sRGB in [0, 1], resized to sides that are multiples of 64, at most 512."""
    picture = images.read(path).pixels[..., :3]
    height, width = picture.shape[:2]
    shrink = min(1.0, _LONGEST_SIDE / max(height, width))
    height, width = (max(1, round(n * shrink / _MULTIPLE)) * _MULTIPLE for n in (height, width))
    return images.resize(picture, height, width)
