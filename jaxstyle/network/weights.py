"""Find, fetch (by convert_weights) and load weights files, and build networks from them."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import jax
import jax.numpy as jnp
import numpy as np

from convert_weights.weights_file import Weights, WeightsError, read_weights
from jaxstyle.machine import host
from jaxstyle.machine.files import sha256
from jaxstyle.network.vgg import VGG19, Padding, Pooling, Rounding

ENVIRONMENT = "JAXSTYLE_WEIGHTS"
"""Environment variable with the path of the weights file."""

__all__ = [
    "ENVIRONMENT",
    "Loaded",
    "WeightsError",
    "cached_path",
    "find",
    "load",
    "loaded",
    "network",
]


@dataclass(frozen=True)
class Loaded:
    """The contents of a weights file, with its path and the SHA-256 digest of the file."""

    weights: Weights
    path: Path
    sha256: str


def cached_path() -> Path | None:
    """Return the path of the default weights, in the user's cache directory; None without one."""
    directory = host.cache_directory()
    return directory and directory / "vgg19-normalized.h5"


def find(path: str | os.PathLike | None = None, tell: Callable[[str], None] = print) -> Path:
    """Return the weights file to use: ``path``, else $JAXSTYLE_WEIGHTS, else the cached default.

    If the default is not in the cache, it is fetched and converted first. Several processes may do
    this at the same time.

    Args:
      path: a weights file.
      tell: called with a message for the user before the default is fetched.

    Raises:
      WeightsError: the named file does not exist, or the default cannot be fetched.
    """
    named = path or os.environ.get(ENVIRONMENT)
    if named:
        found = Path(named)
        if not found.is_file():
            problem = "not a regular file" if found.exists() else "no such weights file"
            origin = "" if path else f" (from ${ENVIRONMENT})"
            raise WeightsError(f"{found}: {problem}{origin}")
        return found
    cached = cached_path()
    if cached and os.path.exists(cached):
        return cached
    problem = host.cache_problem()
    if problem or not cached:
        raise WeightsError(
            f"there is no place to keep the VGG-19 weights ({problem}): set XDG_CACHE_HOME to a "
            "folder that can be written, or give --weights VGG19.h5, which 'python -m "
            "convert_weights -o VGG19.h5' makes"
        )
    from convert_weights import fetch  # rarely needed and slow to import

    tell(f"Fetching the VGG-19 weights (88 MB, only once) into {cached}")
    fetch.fetch_default(cached)
    return cached


def load(path: Path) -> Loaded:
    """Read and check a weights file.

    Raises:
      WeightsError: it is not a weights file, or is damaged.
    """
    try:
        weights = read_weights(path)
    except WeightsError as error:
        if path != cached_path():
            raise
        raise WeightsError(f"{error}: delete the file to fetch it again") from error
    return Loaded(weights, path, sha256(path))


def loaded(given: str | os.PathLike | Loaded | None) -> Loaded:
    """Return weights as they are if already loaded; else load them from a file.

    Args:
      given: loaded weights, the path of a weights file, or None for the file that ``find`` returns.

    Raises:
      WeightsError: the file is missing or damaged, or the default cannot be fetched.
    """
    return given if isinstance(given, Loaded) else load(find(given))


def network(
    weights: Weights,
    *,
    pooling: Pooling = "max",
    rounding: Rounding = "floor",
    pooling_scale: bool = False,
    padding: Padding = "zeros",
    algorithms: Mapping[str, str] = MappingProxyType({}),
    white: float = 255.0,
    mean: Sequence[float] = (),
    dtype: jnp.dtype | type = jnp.float32,
) -> VGG19:
    """Build the network of a weights file, for RGB images in [0, 1].

    The channel order, scale and mean of the file are converted. Options that are not listed are
    those of ``VGG19``.

    Args:
      weights: contents of a weights file.
      white: value of a white pixel in the network's input, which was trained on 0..255;
        jcjohnson/neural-style uses 256.
      mean: color that is subtracted from the image, RGB in [0, 1]; empty for the file's own.
    """
    convolutions = {name: (c.kernel, c.bias) for name, c in weights.layers.items()}
    zero, std = np.asarray(weights.mean), np.asarray(weights.std)
    if weights.channel_order == "BGR":
        kernel, bias = convolutions["conv1_1"]
        convolutions["conv1_1"] = (kernel[:, :, ::-1], bias)
        zero, std = zero[::-1], std[::-1]
    if len(mean):
        zero = np.asarray(mean) * weights.scale
    # Converted on the host, so that nothing has to be compiled.
    arrays = {n: (np.asarray(k, dtype), np.asarray(b, dtype)) for n, (k, b) in convolutions.items()}
    precise = jnp.promote_types(dtype, jnp.float32)
    gain, offset = weights.scale * (white / 255) / std, zero / std
    return VGG19(
        jax.device_put(arrays),
        *jax.device_put((np.asarray(gain, precise), np.asarray(offset, precise))),
        pooling=pooling,
        rounding=rounding,
        pooling_scale=pooling_scale,
        padding=padding,
        algorithms=algorithms,
        dtype=dtype,
    )
