"""Read VGG-19 from Keras HDF5 files, in all known layouts.

- One group per layer, at the root or under `model_weights`, with the arrays directly in it
  (block1_conv1/block1_conv1_W_1:0) or deeper (block1_conv1/block1_conv1/kernel:0).
- Keras 3: `layers/NAME/vars/0` and `1`, where NAME is block1_conv1 or an automatic name (conv2d,
  conv2d_1, ...) that depends on how many layers the saving program had created before.

Layers are therefore found by name, and arrays by their number of dimensions. Kernels are already
HWIO. All published files are the Caffe model: input BGR in 0..255, minus the mean.
"""

import re
from pathlib import Path

import h5py
import numpy as np

from convert_weights import vgg19
from convert_weights.allowance import Allowance
from convert_weights.hdf5 import child, names, open_hdf5, read_array
from convert_weights.original import LICENCE, caffe_mean, recognize
from convert_weights.vgg19 import LAYERS
from convert_weights.weights import Weights
from jaxstyle.errors import WeightsError

_CONTAINERS = ("model_weights", "layers", "_layer_checkpoint_dependencies")
_MAX_DEPTH = 8  # of nested groups below a layer


def read_keras(path: Path) -> Weights:
    """Read a Keras weights file or model saved as HDF5, with or without fully connected layers.

    Raises:
        WeightsError: It is not a VGG-19, is damaged, or refers to data outside the file.
    """
    with open_hdf5(path) as file:
        groups = _layer_groups(file)
        allowance = Allowance()
        layers = vgg19.network(
            {layer: _arrays(group, layer, allowance) for layer, group in groups.items()}
        )
    form = recognize(layers["conv1_1"].kernel)
    order = form.channel_order if form else "BGR"
    return Weights(
        layers,
        channel_order=order,
        scale=255.0,
        mean=caffe_mean(order),
        std=(1.0, 1.0, 1.0),
        normalized=form.rescaled if form else False,
        licence=LICENCE,
    )


def is_keras(file: h5py.File) -> bool:
    """Return whether an open HDF5 file looks like one written by Keras."""
    present = set(names(file))
    return bool(
        present & {*_CONTAINERS, "block1_conv1"}
        or {"layer_names", "keras_version"} & set(file.attrs)
    )


def _layer_groups(file: h5py.File) -> dict[str, h5py.Group]:
    parent: h5py.Group = file
    for name in _CONTAINERS:
        if name in names(parent):
            found = child(parent, name)
            parent = found if isinstance(found, h5py.Group) else parent
    keras_names = _standard_names(parent) or _automatic_names(parent)
    if not keras_names:
        shown = ", ".join(names(parent)[:3]) or "nothing"
        raise WeightsError(f"not a VGG-19: it has no block1_conv1 but {shown}")
    groups = {layer: child(parent, name) for layer, name in keras_names.items()}
    return {layer: group for layer, group in groups.items() if isinstance(group, h5py.Group)}


def _standard_names(parent: h5py.Group) -> dict[str, str]:
    # conv3_2 is called block3_conv2 in Keras.
    present = set(names(parent))
    named = {layer: f"block{layer[4]}_conv{layer[6]}" for layer in LAYERS}
    return {layer: name for layer, name in named.items() if name in present}


def _automatic_names(parent: h5py.Group) -> dict[str, str]:
    # conv2d, conv2d_1, ..., sorted by number: alphabetically, conv2d_10 comes before conv2d_2.
    matches = (re.fullmatch(r"conv2d(?:_(\d{1,6}))?", name) for name in names(parent))
    numbered = sorted((int(m[1] or 0), m[0]) for m in matches if m)
    if numbered and len(numbered) != len(LAYERS):
        raise WeightsError(f"not a VGG-19: it has {len(numbered)} convolutions instead of 16")
    return {layer: name for layer, (_, name) in zip(LAYERS, numbered, strict=False)}


def _arrays(group: h5py.Group, layer: str, allowance: Allowance) -> tuple[np.ndarray, np.ndarray]:
    datasets = _datasets(group, _MAX_DEPTH, allowance)
    kernels = [dataset for dataset in datasets if dataset.ndim == 4]
    biases = [dataset for dataset in datasets if dataset.ndim == 1]
    if len(kernels) != 1 or len(biases) != 1:
        raise WeightsError(
            f"not a VGG-19: {layer} ({group.name}) has {len(kernels)} kernels and {len(biases)} "
            "biases instead of one of each"
        )
    return read_array(kernels[0], allowance), read_array(biases[0], allowance)


def _datasets(group: h5py.Group, depth: int, allowance: Allowance) -> list[h5py.Dataset]:
    if depth == 0:
        raise WeightsError(f"{group.name} is nested too deeply")
    members = names(group)
    allowance.spend(parts=len(members))  # groups can be members of each other, on many paths
    found: list[h5py.Dataset] = []
    for name in members:
        item = child(group, name)
        found += [item] if isinstance(item, h5py.Dataset) else _datasets(item, depth - 1, allowance)
    return found
