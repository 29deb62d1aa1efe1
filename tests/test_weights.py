"""Which weights file is used, and the network it becomes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from convert_weights import fetch
from convert_weights.weights_file import Convolution, WeightsError, write_weights
from jaxstyle import weights
from tests.conftest import features


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache directory, and no weights named in the environment."""
    monkeypatch.delenv(weights.ENVIRONMENT, raising=False)
    monkeypatch.setattr(
        weights.platformdirs, "user_cache_dir", lambda *_, **__: str(tmp_path / "c")
    )
    return tmp_path / "c" / "vgg19-normalized.h5"


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


def test_the_default_is_fetched_once_and_the_user_is_told(cache, monkeypatch):
    fetched, told = [], []

    def fetch_default(path: Path) -> None:
        fetched.append(path)
        path.parent.mkdir()
        path.write_bytes(b"weights")

    monkeypatch.setattr(fetch, "fetch_default", fetch_default)
    assert weights.find(tell=told.append) == cache
    assert weights.find(tell=told.append) == cache
    assert fetched == [cache]
    assert len(told) == 1
    assert str(cache) in told[0]


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
    with pytest.raises(WeightsError, match="delete it, and it is fetched again"):
        weights.load(weights.find())


def test_every_convention_becomes_the_same_network(weights_file, picture):
    """BGR in 0..255 with a mean, against the same kernels rewritten for RGB in [0, 1]."""
    source = weights_file.weights
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


def test_loading_identifies_the_file(weights_path, tmp_path, weights_file):
    again = weights.load(weights_path)
    assert again.sha256 == weights_file.sha256
    other = tmp_path / "other.h5"
    write_weights(other, replace(weights_file.weights, source="another"), dtype="float16")
    assert weights.load(other).sha256 != again.sha256
