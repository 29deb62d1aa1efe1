"""Rescale every filter of VGG-19 to mean activation one (Gatys et al. 2016, section 2).

"We normalized the network by scaling the weights such that the mean activation of each
convolutional filter over images and positions is equal to one. Such re-scaling can be done for the
VGG network without changing its output, because it contains only rectifying linear activation
functions and no normalization or pooling over feature maps."

With m[l] the mean activations of layer l, kernel[l][..., i, o] is multiplied by m[l-1][i] / m[l][o]
and bias[l][o] is divided by m[l][o], so that the features of layer l are divided by m[l].
"""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Float64
from PIL import Image, ImageOps

from convert_weights.errors import WeightsError, one_line
from convert_weights.vgg19 import LAYERS, Convolution
from convert_weights.weights import Weights, normalize_input

_LONGEST_SIDE = 512  # pixels; bounds time and memory
# Only these formats: for PostScript, for example, Pillow starts an external program.
_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP")
_EXTENSIONS = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".gif", ".bmp"}
_MULTIPLE = 64  # sides are rounded to multiples of it, to limit the number of compiled shapes

Means = dict[str, Float64[np.ndarray, " channels"]]


def normalize(weights: Weights, images: Sequence[Path]) -> Weights:
    """Rescale the filters so that their mean activations over these pictures are one.

    Filters that are never active on the pictures are not rescaled.

    Raises:
        WeightsError: There are no pictures, or one cannot be read.
    """
    return rescale(weights, mean_activations(weights, images))


def find_pictures(directory: Path) -> list[Path]:
    """Return the picture files of a directory, without subdirectories, sorted by name.

    Raises:
        WeightsError: The directory does not exist or contains no pictures.
    """
    if not directory.is_dir():
        raise WeightsError(f"{directory}: no such directory")
    found = sorted(path for path in directory.iterdir() if path.suffix.lower() in _EXTENSIONS)
    if not found:
        raise WeightsError(f"{directory}: contains no pictures to normalize with")
    return found


def mean_activations(weights: Weights, images: Sequence[Path]) -> Means:
    """Compute the mean of each channel after ReLU over all positions of all pictures.

    Pictures are reduced to 512 pixels on the longest side. As when VGG-19 was trained, it uses zero
    padding and max pooling.

    Returns:
        The means by layer, one per channel.

    Raises:
        WeightsError: There are no pictures, or one cannot be read.
    """
    if not images:
        raise WeightsError("no pictures to normalize with")
    layers = {
        name: (jnp.asarray(layer.kernel), jnp.asarray(layer.bias))
        for name, layer in weights.layers.items()
    }
    totals = {name: np.zeros(outputs) for name, (_, outputs) in LAYERS.items()}
    positions = dict.fromkeys(LAYERS, 0)
    for path in images:
        image = normalize_input(weights, _read_picture(path))
        for name, activation in _layer_means(layers, jnp.asarray(image)).items():
            count = _positions(name, image.shape)
            totals[name] += np.asarray(activation, np.float64) * count
            positions[name] += count
    return {name: total / positions[name] for name, total in totals.items()}


def rescale(weights: Weights, means: Means) -> Weights:
    """Rescale the filters so that the network's features are divided by `means` per channel.

    Channels whose mean is zero (the filter is never active) are left unchanged.
    """
    layers = {}
    before = np.ones(LAYERS["conv1_1"][0])
    for name, layer in weights.layers.items():
        after = np.where(means[name] > 0, means[name], 1.0)
        kernel = (layer.kernel * before[:, None] / after).astype(np.float32)
        layers[name] = Convolution(kernel, (layer.bias / after).astype(np.float32))
        before = after
    return replace(weights, layers=layers, normalized=True)


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


def _read_picture(path: Path) -> Float32[np.ndarray, "height width 3"]:
    """Read a picture as sRGB in [0, 1], resized to sides that are multiples of 64, at most 512."""
    try:
        with warnings.catch_warnings(), Image.open(path, formats=_FORMATS) as file:
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            file.draft("RGB", (_LONGEST_SIDE, _LONGEST_SIDE))  # decodes large JPEGs at reduced size
            picture = ImageOps.exif_transpose(file).convert("RGB")
    except (
        OSError, ValueError, SyntaxError, Image.DecompressionBombWarning,
        Image.DecompressionBombError,
    ) as error:  # fmt: skip
        raise WeightsError(f"{path}: cannot be read as a picture ({one_line(error)})") from error
    shrink = min(1.0, _LONGEST_SIDE / max(picture.size))
    width, height = (max(1, round(side * shrink / _MULTIPLE)) * _MULTIPLE for side in picture.size)
    picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(picture, np.float32) / 255
