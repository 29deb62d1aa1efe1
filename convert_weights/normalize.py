"""Rescale every filter of VGG-19 to mean activation one (Gatys et al. 2016, section 2).

"We normalized the network by scaling the weights such that the mean activation of each
convolutional filter over images and positions is equal to one. Such re-scaling can be done for the
VGG network without changing its output, because it contains only rectifying linear activation
functions and no normalization or pooling over feature maps."

With m[l] the mean activations of layer l, kernel[l][..., i, o] becomes itself times m[l-1][i] /
m[l][o], and bias[l][o] itself over m[l][o]: features of the result are the old ones over m[l].
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
from convert_weights.weights_file import Weights, normalize_input

_LONGEST_SIDE = 512  # pixels; bounds time and memory
# Nothing else: Pillow hands PostScript, for one, to a program outside.
_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP")
_EXTENSIONS = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".gif", ".bmp"}
_MULTIPLE = 64  # sides are rounded to it, so that few shapes are compiled for many pictures

Means = dict[str, Float64[np.ndarray, " channels"]]


def normalize(weights: Weights, images: Sequence[Path]) -> Weights:
    """The network whose filters have mean activation one over these pictures.

    Filters that are never active on them are left as they are; see `mean_activations`.

    Raises:
        WeightsError: no pictures, or one that cannot be read.
    """
    return rescale(weights, mean_activations(weights, images))


def find_pictures(directory: Path) -> list[Path]:
    """The pictures directly in a directory, by name.

    Raises:
        WeightsError: no such directory, or no picture in it.
    """
    if not directory.is_dir():
        raise WeightsError(f"{directory}: no such directory of pictures")
    found = sorted(path for path in directory.iterdir() if path.suffix.lower() in _EXTENSIONS)
    if not found:
        raise WeightsError(f"{directory}: no pictures in it to normalize with")
    return found


def mean_activations(weights: Weights, images: Sequence[Path]) -> Means:
    """Mean of each channel after ReLU, over all positions of all pictures, by layer.

    Pictures are reduced to 512 pixels on the longest side. The network is the one that was
    trained: zero padding and max pooling.
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
    """The network whose features are those of `weights` divided by `means`, channel by channel.

    A mean of zero, a filter that was never active, divides by one.
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
    """How many filters were never active."""
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
    halvings = int(name[4]) - 1
    return (shape[0] >> halvings) * (shape[1] >> halvings)


def _read_picture(path: Path) -> Float32[np.ndarray, "height width 3"]:
    """A picture as sRGB in [0, 1], sides multiples of 64, the longest at most 512 pixels."""
    try:
        with warnings.catch_warnings(), Image.open(path, formats=_FORMATS) as file:
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            file.draft("RGB", (_LONGEST_SIDE, _LONGEST_SIDE))  # decodes large JPEGs at a fraction
            picture = ImageOps.exif_transpose(file).convert("RGB")
    except (
        OSError, ValueError, SyntaxError, Image.DecompressionBombWarning,
        Image.DecompressionBombError,
    ) as error:  # fmt: skip
        raise WeightsError(f"{path}: not a picture that can be read ({one_line(error)})") from error
    shrink = min(1.0, _LONGEST_SIDE / max(picture.size))
    width, height = (max(1, round(side * shrink / _MULTIPLE)) * _MULTIPLE for side in picture.size)
    picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(picture, np.float32) / 255
