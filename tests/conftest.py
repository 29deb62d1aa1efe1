"""A small seeded network, quick compilation, and the tests that a plain run leaves out."""

import gc
import json
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle.compilation import persist
from jaxstyle.vgg import CHANNELS_PER_BLOCK, CONVOLUTIONS, VGG19
from jaxstyle.weights import cached_path

QUICK_COMPILATION = (
    "--xla_backend_optimization_level=0 "
    "--xla_backend_extra_options=xla_cpu_disable_new_fusion_emitters"
)
"""Flags of XLA for small programs that run once: they compile about ten times as fast."""

if QUICK_COMPILATION not in os.environ.get("XLA_FLAGS", ""):  # a worker inherits them
    os.environ["XLA_FLAGS"] = f"{QUICK_COMPILATION} {os.environ.get('XLA_FLAGS', '')}"
os.environ["NUMBA_DISABLE_JIT"] = "1"  # importing pymatting would compile for a minute

ROOT = Path(__file__).parents[1]


def pytest_configure(config):
    """Share compiled programs between workers, and keep them for the next run."""
    if not config.pluginmanager.hasplugin("cacheprovider"):
        return
    programs = config.cache.mkdir("programs")
    persist(programs)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(programs)  # for the processes that tests start
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"


def pytest_collection_modifyitems(items):
    """Tests with the real weights run where those are at hand already, and in CI."""
    if os.environ.get("CI") or cached_path().exists():
        return
    skip = pytest.mark.skip(reason="the real weights have not been fetched yet")
    for item in items:
        if item.get_closest_marker("real_weights"):
            item.add_marker(skip)


def pytest_collection_finish():
    """Spare the garbage collector what stays: it took a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 1000)


def small_arrays(seed: int = 0, shrink: int = 16) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """He-initialized kernels of a VGG-19 with ``shrink`` times fewer channels."""
    rng = np.random.default_rng(seed)
    arrays, fan_in = {}, 3
    for name in CONVOLUTIONS:
        channels = CHANNELS_PER_BLOCK[int(name[4]) - 1] // shrink
        kernel = rng.normal(0, np.sqrt(2 / (9 * fan_in)), (3, 3, fan_in, channels))
        bias = rng.normal(0, 0.1, channels)
        arrays[name] = kernel.astype(np.float32), bias.astype(np.float32)
        fan_in = channels
    return arrays


def small_network(dtype=jnp.float32, **options) -> VGG19:
    """A network of the real shape and depth, with few channels."""
    arrays = {
        name: (jnp.asarray(kernel), jnp.asarray(bias))
        for name, (kernel, bias) in small_arrays().items()
    }
    gain, offset = jnp.asarray([4.0, 4.5, 5.0]), jnp.asarray([2.0, 2.1, 1.9])
    return VGG19(arrays, gain, offset, dtype=dtype, **options)


def features(network: VGG19, image, layers) -> dict[str, jax.Array]:
    """Features by layer, compiled as one program: quicker than operation by operation."""
    return _features(network, image, tuple(layers))


_features = jax.jit(lambda network, image, layers: network(image, layers), static_argnums=2)


@pytest.fixture(scope="session")
def network() -> VGG19:
    return small_network()


@pytest.fixture
def picture():
    """A function from a seed and a size to an image with large and small structure."""

    def make(seed: int = 0, height: int = 48, width: int = 40) -> jax.Array:
        rng = np.random.default_rng(seed)
        y, x = np.mgrid[:height, :width] / 12.0
        waves = [np.sin(x * a + y * b + c) for a, b, c in rng.uniform(-2, 2, (3, 3))]
        image = 0.5 + 0.3 * np.stack(waves, axis=-1) + 0.05 * rng.normal(size=(height, width, 3))
        return jnp.asarray(image.clip(0, 1), jnp.float32)

    return make


SMALL_COMMAND = """
from bench.work import few_channels
from jaxstyle import tuning, weights
from jaxstyle.__main__ import entry
tuning.algorithms = lambda precision: {}
weights.find, weights.load = (lambda path, tell: path), (lambda path: few_channels())
entry()
"""
"""The command line, with a network of few channels and no algorithms to measure."""


def process_environment(devices: int = 1, **variables: str) -> dict[str, str]:
    """Return the environment of a Python process that finds the project and so many CPU devices."""
    # Of one device the same flags as in this process: they are part of what programs are kept by.
    more = f" --xla_force_host_platform_device_count={devices}" if devices > 1 else ""
    flags = os.environ["XLA_FLAGS"] + more
    own = {"PYTHONPATH": str(ROOT), "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", **variables}
    return {**os.environ, **own}


@pytest.fixture(scope="session", autouse=True)
def caches(tmp_path_factory):
    """What tests compile and measure is not the user's."""
    import jaxstyle.__main__
    from jaxstyle import tuning

    path = tmp_path_factory.mktemp("cache") / "convolutions.json"
    direct = {"direct": 1.0, "winograd": 2.0}
    path.write_text(json.dumps({f"{a}-{b}": direct for a, b in tuning.channels().values()}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jaxstyle.__main__, "persist", lambda: None)
        patch.setattr(tuning, "remembered_path", lambda: path)
        yield


@pytest.fixture
def float64():
    """Double precision for one test."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="session")
def weights_path(tmp_path_factory):
    """A weights file of the real shape with random kernels."""
    from convert_weights.weights_file import Convolution, Weights, write_weights

    layers = {name: Convolution(*arrays) for name, arrays in small_arrays(shrink=1).items()}
    weights = Weights(
        layers=layers,
        channel_order="BGR",
        scale=255.0,
        mean=(103.939, 116.779, 123.68),
        std=(58.0, 58.0, 58.0),
        padding="zeros",
        normalized=True,
        source="random",
        source_sha256="0" * 64,
        licence="none",
    )
    path = tmp_path_factory.mktemp("weights") / "random.h5"
    write_weights(path, weights, dtype="float16")
    return path


@pytest.fixture(scope="session")
def small_weights():
    """What a weights file would hold if VGG-19 had few channels: quick to run with."""
    from convert_weights.weights_file import Convolution, Weights
    from jaxstyle.weights import Loaded

    contents = Weights(
        layers={name: Convolution(*arrays) for name, arrays in small_arrays().items()},
        channel_order="BGR",
        scale=255.0,
        mean=(103.939, 116.779, 123.68),
        std=(58.0, 58.0, 58.0),
        normalized=True,
    )
    return Loaded(contents, Path("small.h5"), "0" * 64)


@pytest.fixture(scope="session")
def weights_file(weights_path):
    from jaxstyle import weights

    return weights.load(weights_path)
