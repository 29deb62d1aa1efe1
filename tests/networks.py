"""Networks of VGG-19's depth with few channels and seeded kernels: quick to compile and to run."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from convert_weights.weights_file import Convolution, Weights
from jaxstyle.network.vgg import CHANNELS_PER_BLOCK, CONVOLUTIONS, VGG19
from jaxstyle.network.weights import Loaded


def small_arrays(seed: int = 0, shrink: int = 16) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return He-initialized kernels of a VGG-19 with ``shrink`` times fewer channels."""
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
    """Return a network that holds ``small_arrays()``."""
    arrays = {
        n: (np.asarray(k, dtype), np.asarray(b, dtype)) for n, (k, b) in small_arrays().items()
    }
    gain, offset = jnp.asarray([4.0, 4.5, 5.0]), jnp.asarray([2.0, 2.1, 1.9])
    return VGG19(jax.device_put(arrays), gain, offset, dtype=dtype, **options)


def contents(shrink: int = 16) -> Weights:
    """Return what a weights file with ``small_arrays`` holds."""
    return Weights(
        layers={name: Convolution(*arrays) for name, arrays in small_arrays(0, shrink).items()},
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


def small_weights() -> Loaded:
    """Return ``contents`` as they are when a file of them has been read."""
    return Loaded(contents(), Path("small.h5"), "0" * 64)


def features(network: VGG19, image, layers) -> dict[str, jax.Array]:
    """Return features by layer, compiled as one program: quicker than operation by operation."""
    return _features(network, image, tuple(layers))


_features = jax.jit(lambda network, image, layers: network(image, layers), static_argnums=2)
