"""The architecture of VGG-19: its sixteen 3x3 convolutions and their channels.

Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition"
(2015), table 1, column E, without the fully connected layers.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from jaxstyle.errors import WeightsError

Shape = tuple[int, ...]

# name: (input channels, output channels), in the order of the network
LAYERS: dict[str, tuple[int, int]] = {
    "conv1_1": (3, 64),
    "conv1_2": (64, 64),
    "conv2_1": (64, 128),
    "conv2_2": (128, 128),
    "conv3_1": (128, 256),
    "conv3_2": (256, 256),
    "conv3_3": (256, 256),
    "conv3_4": (256, 256),
    "conv4_1": (256, 512),
    "conv4_2": (512, 512),
    "conv4_3": (512, 512),
    "conv4_4": (512, 512),
    "conv5_1": (512, 512),
    "conv5_2": (512, 512),
    "conv5_3": (512, 512),
    "conv5_4": (512, 512),
}

# Size of the largest array of the network; readers refuse to allocate more.
MAX_ELEMENTS = 3 * 3 * 512 * 512


@dataclass(frozen=True)
class Convolution:
    """Parameters of a convolution: kernel as height x width x input x output (HWIO), and bias."""

    kernel: Float32[np.ndarray, "height width input output"]
    bias: Float32[np.ndarray, " output"]


def kernel_shape(name: str) -> tuple[int, int, int, int]:
    """Return the shape (height, width, input, output) of a layer's kernel."""
    return (3, 3, *LAYERS[name])


def network(arrays: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, Convolution]:
    """Check the parameters of all convolutions and return them in order, as contiguous float32.

    Args:
        arrays: (HWIO kernel, bias) by layer name; other names are ignored.

    Raises:
        WeightsError: A layer is missing, has the wrong shape or has values that are not finite
            real numbers; the message names the first such layer.
    """
    flat = {name: (kernel, bias.reshape(-1)) for name, (kernel, bias) in arrays.items()}
    check_shapes({name: (kernel.shape, bias.shape) for name, (kernel, bias) in flat.items()})
    layers = {}
    for name in LAYERS:
        kernel, bias = (_float32(name, array) for array in flat[name])
        if not (np.isfinite(kernel).all() and np.isfinite(bias).all()):
            raise WeightsError(f"{name} has values that are NaN or infinite")
        layers[name] = Convolution(kernel, bias)
    return layers


def check_shapes(shapes: Mapping[str, tuple[Shape, Shape]]) -> None:
    """Check that kernels and biases have the shapes of VGG-19's.

    Args:
        shapes: Shapes of kernel and bias by layer name; other names are ignored.

    Raises:
        WeightsError: One is missing or wrong; the message names the first such layer.
    """
    for name, (_, outputs) in LAYERS.items():
        if name not in shapes:
            raise WeightsError(f"not a VGG-19: it has no {name}")
        kernel, bias = shapes[name]
        if kernel != kernel_shape(name):
            raise WeightsError(
                f"not a VGG-19: the kernel of {name} is {_by(kernel)} and should be "
                f"{_by(kernel_shape(name))} (height, width, input, output)"
            )
        if bias != (outputs,):
            raise WeightsError(
                f"not a VGG-19: {name} has {_by(bias)} biases and should have {outputs}"
            )


def validate(layers: Mapping[str, Convolution]) -> None:
    """Check that these are the convolutions of VGG-19 and that all values are finite.

    Raises:
        WeightsError: As for `network`.
    """
    network({name: (layer.kernel, layer.bias) for name, layer in layers.items()})


def _float32(name: str, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "fiu":
        raise WeightsError(f"{name} holds {array.dtype}, not real numbers")
    # A float64 beyond float32's range becomes infinite, which `_check` reports: no warning needed.
    with np.errstate(over="ignore", invalid="ignore"):
        return np.ascontiguousarray(array, dtype=np.float32)


def _by(shape: Shape) -> str:
    return "x".join(map(str, shape))
