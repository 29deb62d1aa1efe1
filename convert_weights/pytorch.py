"""Read VGG-19 from PyTorch files, in the four published conventions.

- features.0.weight, ...: torchvision's vgg19; RGB in [0, 1], ImageNet mean and standard deviation.
- The same names: Justin Johnson's port of the Caffe model; BGR in 0..255 minus the mean.
- conv1_1.weight, ...: Gatys' vgg_conv.pth, normalized; BGR in 0..255 minus the mean.
- 0.weight, 2.weight, 5.weight, 9.weight, ...: AdaIN's vgg_normalised.pth, normalized; its first
  layer, a 1x1 convolution, performs the preprocessing.

The first two have the same names and shapes. They are distinguished by the filters of conv1_1 (see
the module `original`): torchvision trained its own network, whose filters are unrelated to those of
the Caffe model. Magnitudes would not do, because rescaling the filters changes them.
"""

from pathlib import Path

import numpy as np

from convert_weights import vgg19
from convert_weights.original import (
    LICENCE,
    ChannelOrder,
    StoredForm,
    caffe_mean,
    decimal,
    recognize,
)
from convert_weights.torch_file import StateDict, open_state_dict
from convert_weights.vgg19 import LAYERS, Convolution
from convert_weights.weights import Weights
from jaxstyle.errors import WeightsError

# Indices of the convolutions in the nn.Sequential of layers.
_FEATURES = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)
_ADAIN = (2, 5, 9, 12, 16, 19, 22, 25, 29, 32, 35, 38, 42, 45, 48, 51)


Layers = dict[str, Convolution]


def read_pytorch(path: Path) -> Weights:
    """Read a file of torch.save, zip or legacy, without PyTorch and without running its pickle.

    Raises:
        WeightsError: It is not a VGG-19, is damaged, or contains anything but tensors.
    """
    state = open_state_dict(path)
    prefixes = _prefixes(state)
    layers = vgg19.network({layer: _pair(state, layer, p) for layer, p in prefixes.items()})
    form = recognize(layers["conv1_1"].kernel)
    if prefixes["conv1_1"] == "2":
        return _adain(layers, form, *_pair(state, "the first layer", "0"))
    if form is None and prefixes["conv1_1"] != "conv1_1":
        return _torchvision(layers)
    return _caffe(layers, form)


def _prefixes(state: StateDict) -> dict[str, str]:
    """Return, by layer, the prefix of its tensors' names: PREFIX.weight and PREFIX.bias."""
    names = state.tensors.keys()
    if any(name.endswith("running_mean") for name in names):
        raise WeightsError("a network with batch normalization (vgg19_bn?); use the plain vgg19")
    if "conv1_1.weight" in names:
        return {layer: layer for layer in LAYERS}
    if "features.0.weight" in names:
        return {layer: f"features.{i}" for layer, i in zip(LAYERS, _FEATURES, strict=True)}
    if "0.weight" in names:
        positions = _ADAIN if state.tensors["0.weight"].shape == (3, 3, 1, 1) else _FEATURES
        return {layer: str(i) for layer, i in zip(LAYERS, positions, strict=True)}
    shown = ", ".join(repr(name[:40]) for name in list(names)[:3]) or "none"
    raise WeightsError(f"not a VGG-19: its tensors ({shown}, ...) have unknown names")


def _pair(state: StateDict, layer: str, prefix: str) -> tuple[np.ndarray, np.ndarray]:
    """Read the kernel (transposed to HWIO) and the bias of a layer."""
    for name in (f"{prefix}.weight", f"{prefix}.bias"):
        if name not in state.tensors:
            raise WeightsError(f"not a VGG-19: it has no {name} for {layer}")
    kernel = state.tensors[f"{prefix}.weight"]
    if len(kernel.shape) != 4:
        raise WeightsError(f"not a VGG-19: {prefix}.weight of {layer} has shape {kernel.shape}")
    return state.read(kernel).transpose(2, 3, 1, 0), state.read(state.tensors[f"{prefix}.bias"])


def _torchvision(layers: Layers) -> Weights:
    return Weights(
        layers,
        channel_order="RGB",
        scale=1.0,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        normalized=False,
        licence="VGG-19 of torchvision, BSD 3-Clause",
    )


def _caffe(layers: Layers, form: StoredForm | None) -> Weights:
    order = form.channel_order if form else "BGR"
    return Weights(
        layers,
        channel_order=order,
        scale=255.0,
        mean=caffe_mean(order),
        std=(1.0, 1.0, 1.0),
        # An unknown network with the names of Gatys' file: assume normalized, as that file is.
        normalized=form.rescaled if form else True,
        licence=LICENCE,
    )


def _adain(
    layers: Layers, form: StoredForm | None, kernel: np.ndarray, bias: np.ndarray
) -> Weights:
    # The first layer maps RGB in [0, 1] to the input of conv1_1: output = matrix @ rgb + bias.
    matrix = kernel[0, 0].T.astype(np.float64)
    scale = float(matrix.max())
    permutations: dict[ChannelOrder, np.ndarray] = {"RGB": np.eye(3), "BGR": np.eye(3)[::-1]}
    usable = 0 < scale < np.inf and bias.shape == (3,)
    for order, permutation in permutations.items():
        if usable and np.array_equal(matrix, scale * permutation):
            first, second, third = (decimal(-shift) for shift in bias)
            return Weights(
                layers,
                channel_order=order,
                scale=scale,
                mean=(first, second, third),
                std=(1.0, 1.0, 1.0),
                normalized=form.rescaled if form else True,
                licence=LICENCE,
            )
    raise WeightsError(
        "its 1x1 first layer does more than scale, reorder and shift the channels; the output "
        "format cannot express that"
    )
