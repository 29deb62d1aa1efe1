"""Find the weights file, or have convert_weights fetch it; load it as a network."""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import jax
import jax.numpy as jnp
import numpy as np

from convert_weights.weights_file import Weights, WeightsError, read_weights
from jaxstyle.network.machine import cache_directory
from jaxstyle.network.vgg import VGG19, Padding, Pooling, Rounding

ENVIRONMENT = "JAXSTYLE_WEIGHTS"

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
    """The contents of a weights file, and what identifies it."""

    weights: Weights
    path: Path
    sha256: str


def cached_path() -> Path:
    """Where the default weights are kept: the user's cache directory."""
    return cache_directory() / "vgg19-normalized.h5"


def find(path: str | os.PathLike | None = None, tell: Callable[[str], None] = print) -> Path:
    """The weights file to use: ``path``, else $JAXSTYLE_WEIGHTS, else the cached default.

    If the default is not there yet it is fetched and converted, once; ``tell`` is given a line that
    says so. Several processes may do this at once.

    Raises:
      WeightsError: the file that was named is not there, or the default cannot be fetched.
    """
    named = path or os.environ.get(ENVIRONMENT)
    if named:
        found = Path(named)
        if not found.is_file():
            origin = "" if path else f" (from ${ENVIRONMENT})"
            raise WeightsError(f"{found}: no such weights file{origin}")
        return found
    cached = cached_path()
    if not cached.exists():
        from convert_weights import fetch  # seldom needed, and slow to import

        tell(f"No weights yet: fetching VGG-19 (88 MB, once) into {cached}")
        fetch.fetch_default(cached)
    return cached


def load(path: Path) -> Loaded:
    """Read and check a weights file.

    Raises:
      WeightsError: it is not one, or is damaged.
    """
    try:
        weights = read_weights(path)
    except WeightsError as error:
        if path != cached_path():
            raise
        raise WeightsError(f"{error}: delete it, and it is fetched again") from error
    with open(path, "rb") as file:
        return Loaded(weights, path, hashlib.file_digest(file, "sha256").hexdigest())


def loaded(given: str | os.PathLike | Loaded | None) -> Loaded:
    """Weights as a caller may give them: already loaded, a file, or None for the default.

    Raises:
      WeightsError: as ``find`` and ``load``.
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
    """The network of a weights file, expecting RGB in [0, 1] whatever the file's own convention.

    ``white`` is the value of white that the network is shown, in the units of 0..255 it was trained
    in: 256 is jcjohnson/neural-style's. ``mean`` is the color it takes for zero, RGB in [0, 1], in
    place of the file's own. The other options are those of ``VGG19``.
    """
    convolutions = {name: (c.kernel, c.bias) for name, c in weights.layers.items()}
    zero, std = np.asarray(weights.mean), np.asarray(weights.std)
    if weights.channel_order == "BGR":
        kernel, bias = convolutions["conv1_1"]
        convolutions["conv1_1"] = (kernel[:, :, ::-1], bias)
        zero, std = zero[::-1], std[::-1]
    if len(mean):
        zero = np.asarray(mean) * weights.scale
    # Converted on the host, and put on the device as they are: nothing is compiled for it.
    arrays = {n: (np.asarray(k, dtype), np.asarray(b, dtype)) for n, (k, b) in convolutions.items()}
    precise = jnp.promote_types(dtype, jnp.float32)
    return VGG19(
        jax.device_put(arrays),
        gain=jnp.asarray(weights.scale * (white / 255) / std, precise),
        offset=jnp.asarray(zero / std, precise),
        pooling=pooling,
        rounding=rounding,
        pooling_scale=pooling_scale,
        padding=padding,
        algorithms=algorithms,
        dtype=dtype,
    )
