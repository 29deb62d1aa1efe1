"""Read VGG-19 from MatConvNet's imagenet-vgg-verydeep-19.mat, in all its published variants.

Containers: MATLAB v5 (compressed or not) and v7.3. Layouts: up to MatConvNet 1.0-beta16, variables
`layers` and `normalization`; later, `layers` and `meta`, which contains `normalization`. A layer is
a structure with fields in any order; its parameters are a cell array `weights` = {filters, biases},
or two fields `filters` and `biases` in the oldest files.
Layers and fields are always looked up by name, never by position.

Input: RGB in 0..255 minus `averageImage`. Filters are height x width x input x output in the
published file, but width x height according to MatConvNet's documentation; the module `original`
detects which.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from convert_weights import vgg19
from convert_weights.hdf5 import child, names
from convert_weights.mat_v5 import read_mat_v5
from convert_weights.mat_v73 import read_mat_v73
from convert_weights.original import LICENCE, caffe_mean, decimal, recognize
from convert_weights.vgg19 import LAYERS, Convolution
from convert_weights.weights import Triple, Weights
from jaxstyle.errors import WeightsError

_VARIABLES = frozenset({"layers", "meta", "normalization"})


def read_matconvnet(path: Path) -> Weights:
    """Read a .mat file of MatConvNet's VGG-19, with or without fully connected layers.

    Raises:
        WeightsError: It is not a VGG-19, is damaged, or refers to data outside the file.
    """
    read = read_mat_v73 if h5py.is_hdf5(path) else read_mat_v5
    variables = read(path, _VARIABLES)
    layers = vgg19.network(_convolutions(variables.get("layers")))
    average = _average(variables)
    form = recognize(layers["conv1_1"].kernel)
    order = form.channel_order if form else "RGB"
    # For unrecognized filters, assume width x height as MatConvNet documents.
    if form is None or form.transposed:
        layers = {name: _transposed(layer) for name, layer in layers.items()}
    if average is None and form is None:
        raise WeightsError("averageImage is missing (in normalization or meta.normalization)")
    return Weights(
        layers,
        channel_order=order,
        scale=255.0,
        mean=caffe_mean(order) if average is None else _mean(average),
        std=(1.0, 1.0, 1.0),
        normalized=form.rescaled if form else False,
        licence=LICENCE,
    )


def is_matconvnet(file: h5py.File) -> bool:
    """Return whether an open HDF5 file looks like a MATLAB v7.3 file that contains a network."""
    present = names(file)
    if "#refs#" in present:
        return True
    return "layers" in present and isinstance(child(file, "layers"), h5py.Dataset)


def _convolutions(layers: Any) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return filters and biases of the convolutions by name."""
    arrays = {}
    for layer in layers if isinstance(layers, list) else []:
        name = layer.get("name") if isinstance(layer, dict) else None
        if isinstance(name, str) and name in LAYERS:
            arrays[name] = _parameters(name, layer)
    if not arrays:
        raise WeightsError("not a VGG-19 of MatConvNet: it has no layers named conv1_1, ...")
    return arrays


def _parameters(name: str, layer: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    oldest = [layer[part] for part in ("filters", "biases") if part in layer]
    parts = layer.get("weights", oldest)
    if not isinstance(parts, list) or len(parts) != 2:
        raise WeightsError(f"{name} should have two parameters, filters and biases")
    filters, biases = parts
    if not isinstance(filters, np.ndarray) or not isinstance(biases, np.ndarray):
        raise WeightsError(f"not a VGG-19: the parameters of {name} are not arrays or too large")
    return filters, biases.reshape(-1)


def _average(variables: Mapping[str, Any]) -> np.ndarray | None:
    """Return the average training image, or its three channel means, if the file has them."""
    for place in (variables.get("meta"), variables):
        normalization = place.get("normalization") if isinstance(place, dict) else None
        average = normalization.get("averageImage") if isinstance(normalization, dict) else None
        if isinstance(average, np.ndarray) and average.size:
            return average
    return None


def _transposed(layer: Convolution) -> Convolution:
    return Convolution(np.ascontiguousarray(layer.kernel.transpose(1, 0, 2, 3)), layer.bias)


def _mean(average: np.ndarray) -> Triple:
    """Return the channel means from three numbers of any shape or an image height x width x 3."""
    if average.size == 3:
        means = average.reshape(-1)
    elif average.ndim == 3 and average.shape[2] == 3 and average.size:
        means = average.mean((0, 1), dtype=np.float64)
    else:
        raise WeightsError(f"its averageImage has shape {average.shape}: not 3 numbers or an image")
    if average.dtype.kind not in "fiu" or not np.isfinite(means).all():
        raise WeightsError("its averageImage has values that are not finite numbers")
    red, green, blue = (decimal(value) for value in means)
    return red, green, blue
