"""Detect the format of a weights file from its content, never its name, and read it.

Runs in a process of its own: see `sandbox`.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import h5py

from convert_weights.hdf5 import names, open_hdf5
from convert_weights.keras import is_keras, read_keras
from convert_weights.matconvnet import is_matconvnet, read_matconvnet
from convert_weights.own_format import find_parts, is_own
from convert_weights.pytorch import read_pytorch
from convert_weights.weights import Parsed, Weights
from jaxstyle.errors import WeightsError


@dataclass(frozen=True)
class Format:
    """A supported file format: its human-readable name and its reader."""

    name: str
    read: Callable[[Path], Weights]


MATCONVNET = Format("MatConvNet .mat (MATLAB v5)", read_matconvnet)
MATCONVNET_73 = Format("MatConvNet .mat (MATLAB v7.3, HDF5)", read_matconvnet)
KERAS = Format("Keras (HDF5)", read_keras)
PYTORCH = Format("PyTorch (zip)", read_pytorch)
PYTORCH_LEGACY = Format("PyTorch (legacy)", read_pytorch)

_KNOWN = "a MatConvNet .mat, a Keras .h5, a PyTorch .pth or a file written by convert_weights"


def read_any(path: Path) -> Parsed:
    """Read a weights file of any supported format.

    Raises:
        WeightsError: The format is unknown, or the file is not a VGG-19, or is damaged.
    """
    found = identify(path)
    if found is None:
        return find_parts(path)
    weights = found.read(path)
    values = {
        each.name: getattr(weights, each.name) for each in fields(weights) if each.name != "layers"
    }
    layers = {name: (layer.kernel, layer.bias) for name, layer in weights.layers.items()}
    return Parsed(found.name, values, layers)


def identify(path: Path) -> Format | None:
    """Return the format of a file, detected from its content; None if it is this project's own.

    Raises:
        WeightsError: The format is unknown; the message says what the file looks like.
    """
    with open(path, "rb") as file:
        head = file.read(128)
    if h5py.is_hdf5(path):
        return _identify_hdf5(path, head)
    if head[124:128] in (b"\x00\x01IM", b"\x01\x00MI"):  # version 1, either byte order
        return MATCONVNET
    if head.startswith(b"PK\x03\x04"):
        return PYTORCH
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):  # a pickle
        return PYTORCH_LEGACY
    raise WeightsError(_describe_unknown(head))


def _identify_hdf5(path: Path, head: bytes) -> Format | None:
    with open_hdf5(path) as file:
        if head.startswith(b"MATLAB 7.3") or is_matconvnet(file):
            return MATCONVNET_73
        if is_own(file):
            return None
        if is_keras(file):
            return KERAS
        shown = ", ".join(names(file)[:3]) or "nothing"
    raise WeightsError(f"an HDF5 file that contains {shown}; expected {_KNOWN}")


def _describe_unknown(head: bytes) -> str:
    start = head.lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "a web page, not weights: the download failed"
    if start.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the file itself: run git lfs pull"
    return f"unknown format; expected {_KNOWN}"
