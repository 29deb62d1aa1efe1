"""Detect the format of a weights file from its content, never its name, and read it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import h5py

from convert_weights.archive import read_archive
from convert_weights.errors import WeightsError, naming
from convert_weights.files import sha256
from convert_weights.hdf5 import names, open_hdf5
from convert_weights.keras import is_keras, read_keras
from convert_weights.matconvnet import is_matconvnet, read_matconvnet
from convert_weights.pytorch import read_pytorch
from convert_weights.weights_file import Weights, is_weights, parse_weights, require_file


@dataclass(frozen=True)
class Format:
    """A supported file format: its human-readable name and its reader."""

    name: str
    read: Callable[[Path], Weights]


OURS = Format("weights of this project (HDF5)", parse_weights)
MATCONVNET = Format("MatConvNet .mat (MATLAB v5)", read_matconvnet)
MATCONVNET_73 = Format("MatConvNet .mat (MATLAB v7.3, HDF5)", read_matconvnet)
KERAS = Format("Keras (HDF5)", read_keras)
PYTORCH = Format("PyTorch (zip)", read_pytorch)
PYTORCH_LEGACY = Format("PyTorch (legacy)", read_pytorch)
ARCHIVE = Format("source archive with PyTorch weights", read_archive)

_KNOWN = "a MatConvNet .mat, a Keras .h5, a PyTorch .pth or a file written by convert_weights"


def load_source(path: Path) -> Weights:
    """Read a weights file of any supported format.

    The file's name and SHA-256 are recorded as the source of the weights, except that weights in
    this project's own format keep the source recorded in them.

    Raises:
        WeightsError: One line with the path of the file and what is wrong with it.
    """
    with naming(path):
        weights = identify(path).read(path)
        if weights.source:
            return weights
        return replace(weights, source=path.name, source_sha256=sha256(path))


def identify(path: Path) -> Format:
    """Return the format of a file, detected from its content.

    Raises:
        WeightsError: The format is unknown; the message says what the file looks like.
    """
    require_file(path)
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
    if head.startswith(b"\x1f\x8b"):  # gzip
        return ARCHIVE
    raise WeightsError(_describe_unknown(head))


def _identify_hdf5(path: Path, head: bytes) -> Format:
    with open_hdf5(path) as file:
        if head.startswith(b"MATLAB 7.3") or is_matconvnet(file):
            return MATCONVNET_73
        if is_weights(file):
            return OURS
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
