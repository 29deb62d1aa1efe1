"""Tests of bench/pack.py: what it collects is complete and small."""

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench import pack
from bench.tpu import shapes_only
from convert_weights.vgg19 import LAYERS
from convert_weights.weights_file import read_weights


@pytest.mark.slow
def test_weights_to_conv5_1(tmp_path):
    blank, path = shapes_only().weights, tmp_path / "short.h5.gz"
    layers = {
        name: replace(layer, kernel=np.full_like(layer.kernel, 1 + number), bias=layer.bias + 0.5)
        for number, (name, layer) in enumerate(blank.layers.items())
    }
    full = replace(blank, layers=layers, mean=(103.0, 116.0, 123.0))
    pack.write_truncated(full, path)
    (tmp_path / "short.h5").write_bytes(gzip.decompress(path.read_bytes()))
    short = read_weights(tmp_path / "short.h5")
    names = list(LAYERS)
    last = names.index("conv5_1")
    for name in names[: last + 1]:
        np.testing.assert_array_equal(short.layers[name].kernel, full.layers[name].kernel)
        np.testing.assert_array_equal(short.layers[name].bias, full.layers[name].bias)
    assert not any(short.layers[name].kernel.any() for name in names[last + 1 :])
    for field in ("scale", "mean", "channel_order"):
        assert getattr(short, field) == getattr(full, field)
    assert path.stat().st_size < 26.5e6


def test_requirements_leave_out_what_is_there(tmp_path):
    project = tmp_path / "pyproject.toml"
    project.write_text('[project]\ndependencies = ["jax>=0.10,<0.12", "numpy>=2", "flax>=0.12"]\n')
    assert pack.requirements(project) == ["flax>=0.12"]


def test_what_others_need_is_listed_by_name():
    assert pack.requirement_lines(["flax>=0.12"], ["flax", "msgpack"]) == ["flax>=0.12", "msgpack"]


@pytest.mark.parametrize(
    ("requirement", "name"),
    [("flax>=0.12.8", "flax"), ("ml_dtypes", "ml-dtypes"), ("jax[cuda13]>=0.10", "jax")],
)
def test_names_are_compared_as_indexes_do(requirement, name):
    assert pack.name_of(requirement) == name


def test_only_what_is_missing_is_carried(tmp_path, monkeypatch):
    """A stub of pip writes four wheels; the folder has an old one from before."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    (folder / "old-1-py3-none-any.whl").touch()
    names = ("flax-1-py3-none-any", "jaxlib-1-cp312", "tensorstore-1-cp312", "msgpack-1-cp312")

    def leave(command, check):
        for name in names:
            Path(command[command.index("--dest") + 1], f"{name}.whl").touch()

    monkeypatch.setattr(pack.subprocess, "run", leave)
    assert pack.download(["flax"], folder) == ["flax", "msgpack"]
    assert {path.stem.split("-")[0] for path in folder.iterdir()} == {"flax", "msgpack"}
