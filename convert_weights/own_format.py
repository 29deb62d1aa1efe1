"""Find the parts of a file in this project's own format, as `weights_file` describes it.

Attributes are read, but of the arrays only where they are: each is one plain block of the file,
which the caller reads by itself.
"""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from convert_weights.hdf5 import child, open_hdf5, require_numbers
from convert_weights.vgg19 import LAYERS
from convert_weights.weights import FORMAT_VERSION, Parsed, Place
from jaxstyle.errors import WeightsError

NAME = "weights of this project (HDF5)"
_MAX_TEXT = 2000  # bytes


def find_parts(path: Path) -> Parsed:
    """Return the attributes of a file in this format, and the place of every array.

    Raises:
        WeightsError: It is not such a file, or is damaged.
    """
    if not h5py.is_hdf5(path):
        raise WeightsError("not an HDF5 file; convert it with python -m convert_weights first")
    with open_hdf5(path) as file:
        if not is_own(file):
            raise WeightsError(
                "not a weights file of this project; make one with python -m convert_weights SOURCE"
            )
        return Parsed(NAME, _attributes(file.attrs), places=_places(file))


def is_own(file: h5py.File) -> bool:
    """Return whether an open HDF5 file has the attributes of this format."""
    return "format_version" in file.attrs and "channel_order" in file.attrs


def _attributes(attributes: h5py.AttributeManager) -> dict[str, Any]:
    version = int(_numbers(attributes, "format_version", 1)[0])
    if version != FORMAT_VERSION:
        raise WeightsError(
            f"its format version is {version}, but only version {FORMAT_VERSION} is supported; "
            "update this program or convert the source again"
        )
    order = _text(attributes, "channel_order")
    if order not in ("RGB", "BGR"):
        raise WeightsError(f"attribute channel_order is {order!r}, not RGB or BGR")
    padding = _text(attributes, "padding")
    if padding not in ("zeros", "reflect", "replicate"):
        raise WeightsError(f"attribute padding is {padding!r}, not zeros, reflect or replicate")
    return {
        "channel_order": order,
        "scale": _numbers(attributes, "scale", 1)[0],
        "mean": _numbers(attributes, "mean", 3),
        "std": _numbers(attributes, "std", 3),
        "normalized": bool(_numbers(attributes, "normalized", 1)[0]),
        "source": _text(attributes, "source"),
        "source_sha256": _text(attributes, "source_sha256"),
        "licence": _text(attributes, "licence"),
        "padding": padding,
        "format_version": version,
    }


def _places(file: h5py.File) -> dict[str, tuple[Place, Place]]:
    groups = {name: child(file, name) for name in LAYERS}
    return {
        name: (_place(child(group, "kernel")), _place(child(group, "bias")))
        for name, group in groups.items()
    }


def _place(array: h5py.Group | h5py.Dataset) -> Place:
    found = require_numbers(array)
    offset = found.id.get_offset()
    if offset is None:
        raise WeightsError(f"{found.name} is compressed or in chunks, which this format never is")
    return Place(found.dtype.str, found.shape, offset)


def _text(attributes: h5py.AttributeManager, name: str) -> str:
    value = _attribute(attributes, name)
    if not isinstance(value, bytes):
        raise WeightsError(f"attribute {name} is not text")
    if len(value) > _MAX_TEXT:
        raise WeightsError(f"attribute {name} has more than {_MAX_TEXT} bytes")
    return value.decode("utf-8", "surrogateescape")


def _numbers(attributes: h5py.AttributeManager, name: str, count: int) -> list[float]:
    value = np.asarray(_attribute(attributes, name))
    if value.dtype.kind not in "fiub" or value.size != count or not np.isfinite(value).all():
        raise WeightsError(f"attribute {name} is not {count} finite number{'s' * (count > 1)}")
    return [float(number) for number in value.reshape(-1)]


def _attribute(attributes: h5py.AttributeManager, name: str) -> Any:
    if name not in attributes:
        raise WeightsError(f"attribute {name} is missing")
    if attributes.get_id(name).dtype.kind == "O":
        raise WeightsError(f"attribute {name} has variable length, which this format does not use")
    return attributes[name]
