"""Tests of detecting formats by content."""

import re

import h5py
import numpy as np

from convert_weights import formats, sources
from tests.cases import for_each
from tests.convert_weights.conftest import refusal


def test_a_file_of_this_project_keeps_its_source(written, scratch):
    path = scratch / "vgg19.mat"
    path.write_bytes(written)
    assert formats.identify(path) is None
    found = sources.load_source(path)
    assert (found.source, found.source_sha256) == ("random.pth", "0" * 64)


@for_each(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"hello", "unknown format; expected a MatConvNet .mat"),
        (b"\x00" * 1000, "unknown format; expected a MatConvNet .mat"),
        (b"\x89PNG\r\n\x1a\n", "unknown format; expected a MatConvNet .mat"),
        (b"\n <!doctype html>", "a web page, not weights"),
        (b"<HTML><body>", "a web page, not weights"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"PK\x03\x04nothing", "damaged or truncated zip archive"),
        (b"\x80\x02", "damaged or truncated pickle"),
        (b"\x1f\x8b", "not the archive"),
        (b"\x89HDF\r\n\x1a\n", "HDF5|not a weights file"),
        (b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM", "not a VGG-19 of MatConvNet"),
    ],
)
def test_a_file_that_is_not_weights_is_refused(tmp_path, content, message):
    path = tmp_path / "vgg19.pth"
    path.write_bytes(content)
    assert re.search(message, refusal(sources.load_source, path))


def test_hdf5_of_something_else_is_refused(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["temperatures"] = np.ones(3)
    told = refusal(sources.load_source, tmp_path / "x.h5")
    assert "an HDF5 file that contains temperatures; expected" in told
