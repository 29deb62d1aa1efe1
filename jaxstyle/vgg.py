"""VGG-19 as a Flax module: the features that every loss of the project is measured on.

Simonyan & Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition",
arXiv:1409.1556, configuration E, without its fully connected layers.

The module is a pytree: it goes straight into ``jax.jit``, ``jax.grad`` and ``jax.vmap``. Kernels
and the preprocessing are leaves; pooling and padding are static.
"""

import difflib
import os
import re
from collections.abc import Iterable, Mapping
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

Pooling = Literal["max", "average"]
Padding = Literal["zeros", "reflect", "replicate", "reflect-first", "replicate-first"]
POOLINGS: tuple[str, ...] = get_args(Pooling)
PADDINGS: tuple[str, ...] = get_args(Padding)

CONVOLUTIONS_PER_BLOCK = (2, 2, 4, 4, 4)
CHANNELS_PER_BLOCK = (64, 128, 256, 512, 512)


def _layer_names() -> Iterable[str]:
    for block, convolutions in enumerate(CONVOLUTIONS_PER_BLOCK, start=1):
        for index in range(1, convolutions + 1):
            yield f"conv{block}_{index}"
            yield f"relu{block}_{index}"
        yield f"pool{block}"


LAYERS: tuple[str, ...] = tuple(_layer_names())
"""Every layer by name, in the order of the network: conv is before its ReLU, relu after it."""

CONVOLUTIONS: tuple[str, ...] = tuple(name for name in LAYERS if name.startswith("conv"))


class UnknownLayerError(ValueError):
    """A layer name that VGG-19 does not have."""


class TooSmallError(ValueError):
    """An image with too few pixels to reach the layer asked for."""


def canonical_layer(name: str) -> str:
    """The project's name of a layer.

    Keras names are accepted: ``block4_conv2`` is ``relu4_2`` (Keras counts the activation as part
    of the convolution) and ``block4_pool`` is ``pool4``.

    Raises:
      UnknownLayerError: with the nearest existing name, if VGG-19 has no such layer.
    """
    alias = re.sub(r"^block(\d)_conv(\d)$", r"relu\1_\2", name.strip().lower())
    alias = re.sub(r"^block(\d)_pool$", r"pool\1", alias)
    if alias in LAYERS:
        return alias
    raise UnknownLayerError(f"VGG-19 has no layer {name!r}: did you mean {_nearest(alias)}?")


def _nearest(word: str) -> str:
    def likeness(layer: str) -> tuple[int, float]:
        common_prefix = len(os.path.commonprefix([word, layer]))
        return common_prefix, difflib.SequenceMatcher(None, word, layer).ratio()

    return max(LAYERS, key=likeness)


def smallest_side(layers: Iterable[str]) -> int:
    """The fewest pixels a side may have for every one of ``layers`` to exist."""
    halvings = max((_pools_before(layer) for layer in layers), default=0)
    return 2**halvings


def _pools_before(layer: str) -> int:
    until = LAYERS.index(layer) + 1
    return sum(name.startswith("pool") for name in LAYERS[:until])


class Convolution(nnx.Module):
    """A 3x3 convolution with bias; padding is the caller's.

    Args:
      kernel: height x width x in x out.
      bias: one number per output channel.
    """

    def __init__(self, kernel: Float[Array, "3 3 n m"], bias: Float[Array, " m"]):
        self.kernel = nnx.Param(kernel)
        self.bias = nnx.Param(bias)

    def __call__(self, x: Float[Array, "1 h2 w2 n"]) -> Float[Array, "1 h w m"]:
        y = jax.lax.conv_general_dilated(
            x, self.kernel[...], (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return y + self.bias[...]


class VGG19(nnx.Module):
    """VGG-19 to pool5.

    Args:
      convolutions: (kernel, bias) by layer name, all sixteen, kernels HWIO with RGB input.
      gain, offset: the preprocessing of the weights' source, per RGB channel:
        ``x = image * gain - offset`` for an image in [0, 1].
      pooling: "max", or "average" as Gatys et al. 2016 recommend for synthesis (section 2).
      padding: what surrounds each map before a convolution. "zeros" is how the network was
        trained; "reflect" and "replicate" apply to all convolutions, "...-first" to conv1_1 alone.
      dtype: in which the convolutions are computed; features come out in it.
    """

    def __init__(
        self,
        convolutions: Mapping[str, tuple[Array, Array]],
        gain: Float[Array, "3"],
        offset: Float[Array, "3"],
        *,
        pooling: Pooling = "max",
        padding: Padding = "zeros",
        dtype: jnp.dtype | type = jnp.float32,
    ):
        self.convolutions = nnx.Dict(
            {
                name: Convolution(jnp.asarray(kernel, dtype), jnp.asarray(bias, dtype))
                for name, (kernel, bias) in convolutions.items()
            }
        )
        self.gain = nnx.Param(jnp.asarray(gain))
        self.offset = nnx.Param(jnp.asarray(offset))
        self.pooling = pooling
        self.padding = padding
        self.dtype = jnp.dtype(dtype)

    def __call__(
        self, image: Float[Array, "h w 3"], layers: Iterable[str]
    ) -> dict[str, Float[Array, "_ _ _"]]:
        """Features of one image by layer name, computing no further than the deepest one.

        Args:
          image: sRGB values in [0, 1].
          layers: canonical layer names. "conv" is before the ReLU, "relu" after it.

        Returns:
          height x width x channels arrays, smaller by two at each pooling (odd sizes round down).

        Raises:
          TooSmallError: a side is too short to be halved that often.
        """
        wanted = frozenset(layers)
        if unknown := wanted.difference(LAYERS):
            canonical_layer(min(unknown))  # raises, with a suggestion
        _require_side(image.shape, wanted)
        x = (image * self.gain[...] - self.offset[...]).astype(self.dtype)[None]
        features = {}
        depth = max((LAYERS.index(name) + 1 for name in wanted), default=0)
        for name in LAYERS[:depth]:
            x = self._layer(name, x)
            if name in wanted:
                features[name] = x[0]
        return features

    def _layer(self, name: str, x: Float[Array, "1 _ _ _"]) -> Float[Array, "1 _ _ _"]:
        if name.startswith("relu"):
            return jax.nn.relu(x)
        if name.startswith("pool"):
            return _pool(x, self.pooling)
        return self.convolutions[name](_pad(x, self._padding_mode(name)))

    def _padding_mode(self, name: str) -> str:
        mode, _, only_first = self.padding.partition("-")
        return "zeros" if only_first and name != CONVOLUTIONS[0] else mode


def _require_side(shape: tuple[int, ...], layers: frozenset[str]) -> None:
    height, width = shape[:2]
    needed = smallest_side(layers)
    if min(height, width) < needed:
        deepest = max(layers, key=LAYERS.index)
        raise TooSmallError(
            f"an image of {width}x{height} pixels is too small for {deepest}: "
            f"both sides need at least {needed}"
        )


def _pad(x: Float[Array, "1 h w c"], mode: str) -> Float[Array, "1 h2 w2 c"]:
    margin = ((0, 0), (1, 1), (1, 1), (0, 0))
    if mode == "zeros":
        return jnp.pad(x, margin)
    # A map of one pixel has nothing to reflect: repeating it is the nearest thing.
    reflectable = mode == "reflect" and min(x.shape[1:3]) > 1
    return jnp.pad(x, margin, mode="reflect" if reflectable else "edge")


def _pool(x: Float[Array, "1 h w c"], pooling: str) -> Float[Array, "1 h2 w2 c"]:
    """2x2 pooling, stride 2; a last odd row or column is dropped.

    Four strided slices rather than ``reduce_window``: its gradient is a scatter that XLA runs
    slowly, theirs is a handful of selects.
    """
    _, height, width, _ = x.shape
    even = x[:, : height // 2 * 2, : width // 2 * 2]
    corners = [even[:, i::2, j::2] for i in (0, 1) for j in (0, 1)]
    if pooling == "average":
        return sum(corners[1:], corners[0]) / 4
    return jnp.maximum(jnp.maximum(corners[0], corners[1]), jnp.maximum(corners[2], corners[3]))
