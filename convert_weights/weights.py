"""VGG-19 and the preprocessing of its input: what the writer takes, and what the readers find."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32

from convert_weights.original import ChannelOrder
from convert_weights.vgg19 import Convolution
from jaxstyle.errors import WeightsError

FORMAT_VERSION = 1

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Weights:
    """The convolutions of VGG-19 and its preprocessing.

    conv1_1 expects (x * scale - mean) / std, where x is an sRGB image in [0, 1] whose channels are
    in `channel_order`.

    Attributes:
        layers: The convolutions by name, in the order of the network.
        channel_order: Channel order of the network's input, and of `mean` and `std`.
        scale: 255 for networks trained on pixels in 0..255, 1 for [0, 1].
        mean: Subtracted from the scaled image, per channel.
        std: Divides the result, per channel.
        normalized: Every filter is rescaled to mean activation one over natural images.
        source: Name of the file that was converted.
        source_sha256: SHA-256 of that file.
        licence: Licence of the weights.
        padding: Padding of every convolution in training: zeros, reflect or replicate.
        format_version: Version of this file format.

    Raises:
        WeightsError: The preprocessing is not possible in float32.
    """

    layers: dict[str, Convolution]
    channel_order: ChannelOrder
    scale: float
    mean: Triple
    std: Triple
    normalized: bool
    source: str = ""
    source_sha256: str = ""
    licence: str = ""
    padding: str = "zeros"
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        with np.errstate(all="ignore"):
            gain = np.divide(self.scale, self.std).astype(np.float32)
            offset = np.divide(self.mean, self.std).astype(np.float32)
            used = np.concatenate([gain, offset, np.array(self.mean, np.float32)])
        if self.scale <= 0 or min(self.std) <= 0:
            raise WeightsError("its scale and std must be positive")
        if not (np.isfinite(used).all() and gain.all()):
            raise WeightsError("its mean, std or scale is beyond the range of float32")


def normalize_input(
    weights: Weights, image: Float32[np.ndarray, "height width 3"]
) -> Float32[np.ndarray, "height width 3"]:
    """Convert an sRGB image in [0, 1] to the input that conv1_1 of these weights expects."""
    ordered = image if weights.channel_order == "RGB" else image[..., ::-1]
    result = (ordered * weights.scale - np.array(weights.mean)) / np.array(weights.std)
    return result.astype(np.float32)


class Place(NamedTuple):
    """Where an array is in the file: its NumPy type, its shape and the offset of its first byte."""

    dtype: str
    shape: tuple[int, ...]
    offset: int


@dataclass(frozen=True)
class Parsed:
    """What was found in a file.

    Attributes:
        format: Name of the file's format.
        values: The fields of `Weights` except `layers`, as JSON has them.
        layers: Kernels and biases by layer name; empty for a file in this project's own format.
        places: For such a file, in which every array is one plain block, the places of these.
    """

    format: str
    values: Mapping[str, Any]
    layers: Mapping[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    places: Mapping[str, tuple[Place, Place]] = field(default_factory=dict)
