"""VGG-19 as a Flax module: computes the features that the losses compare.

Simonyan & Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition",
arXiv:1409.1556, configuration E, without its fully connected layers.

The module is a pytree that can be passed to ``jax.jit``, ``jax.grad`` and ``jax.vmap``. Kernels and
the preprocessing are leaves; pooling and padding are static. Their variants reproduce those of
other programs.
"""

import re
from collections.abc import Container, Iterable, Mapping
from functools import partial
from itertools import groupby
from types import MappingProxyType
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from jaxstyle.errors import ImageError, TooSmallError, UnknownLayerError, did_you_mean
from jaxstyle.network.convolution import convolve, prepare
from jaxstyle.network.pooling import (
    POOLING_SCALES,
    POOLINGS,
    ROUNDINGS,
    Pooling,
    Rounding,
    pool,
    rounds_up,
)

__all__ = [
    "CONVOLUTIONS",
    "LAYERS",
    "PADDINGS",
    "POOLINGS",
    "ROUNDINGS",
    "VGG19",
    "Padding",
    "Pooling",
    "Rounding",
    "TooSmallError",
    "UnknownLayerError",
    "blocks",
    "canonical_layer",
    "convolutions_before",
    "pool",
    "rounds_up",
    "smallest_side",
]

Padding = Literal["zeros", "reflect", "replicate", "circular", "reflect-first", "replicate-first"]
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


def canonical_layer(name: str) -> str:
    """Return the canonical name of a layer, one of ``LAYERS``.

    Keras names are accepted: ``block4_conv2`` is ``relu4_2`` (Keras counts the activation as part
    of the convolution) and ``block4_pool`` is ``pool4``.

    Raises:
      UnknownLayerError: VGG-19 has no such layer; the message suggests the most similar name.
    """
    alias = re.sub(r"^block(\d)_conv(\d)$", r"relu\1_\2", name.strip().lower())
    alias = re.sub(r"^block(\d)_pool$", r"pool\1", alias)
    if alias in LAYERS:
        return alias
    there = ": it has conv1_1 to conv5_4, relu1_1 to relu5_4, and pool1 to pool5"
    raise UnknownLayerError(f"VGG-19 has no layer {name!r}{did_you_mean(alias, LAYERS) or there}")


def smallest_side(layers: Iterable[str]) -> int:
    """Return the fewest pixels that each side of an image needs for all of ``layers``.

    With fewer, pooling that rounds odd sizes down leaves no pixels. If it rounds up, any size would
    work, but deep features would consist of padding only, so the limit is the same.
    """
    halvings = max((_pools_before(layer) for layer in layers), default=0)
    return 2**halvings


def convolutions_before(layers: Iterable[str]) -> tuple[str, ...]:
    """Return the names of the convolutions needed for the features of ``layers``."""
    depth = max((LAYERS.index(layer) for layer in layers), default=-1)
    return tuple(name for name in LAYERS[: depth + 1] if name in CONVOLUTIONS)


def blocks(layers: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the names of all layers needed for the features of ``layers``, grouped by block."""
    depth = max((LAYERS.index(layer) + 1 for layer in layers), default=0)
    each = groupby(LAYERS[:depth], key=lambda name: name.partition("_")[0][-1])
    return [tuple(names) for _, names in each]


def _pools_before(layer: str) -> int:
    until = LAYERS.index(layer) + 1
    return sum(name.startswith("pool") for name in LAYERS[:until])


class Convolution(nnx.Module):
    """A 3x3 convolution with bias.

    Args:
      kernel: height x width x input channels x output channels.
      bias: one number per output channel.
      algorithm: one of ``jaxstyle.network.convolution.ALGORITHMS``.
    """

    def __init__(
        self,
        kernel: Float[Array, "3 3 n m"],
        bias: Float[Array, " m"],
        algorithm: str = "direct",
    ):
        self.kernel = nnx.Param(kernel)
        self.bias = nnx.Param(bias)
        self.prepared = nnx.data(prepare(kernel, algorithm))

    def __call__(self, x: Float[Array, "1 h w n"], mode: str) -> Float[Array, "1 h w m"]:
        """Convolve to the same size, with padding by ``mode``.

        Args:
          mode: "zeros", "reflect", "replicate" or "circular".
        """
        return self.within(x, margin=1) if mode == "zeros" else self.within(_pad(x, mode))

    def within(self, x: Float[Array, "1 h w n"], margin: int = 0) -> Float[Array, "1 h2 w2 m"]:
        """Convolve with ``margin`` rows and columns of zero padding on each side."""
        return convolve(x, self.kernel[...], self.prepared, margin=margin) + self.bias[...]


class VGG19(nnx.Module):
    """VGG-19 up to pool5.

    Args:
      convolutions: (kernel, bias) by layer name, all sixteen; kernels are HWIO with RGB input.
      gain, offset: preprocessing that the weights were trained with, per RGB channel:
        ``x = image * gain - offset`` for an image in [0, 1].
      pooling: "max", or "average" as Gatys et al. 2016 recommend for synthesis (section 2), or
        "l2", the root of the sum of squares.
      rounding: "floor": pooling drops a last odd row or column; "ceil": it pools them as incomplete
        windows, like TensorFlow's SAME; "ceil-max": "ceil" for max pooling and "floor" for the
        others, as in networks that Torch loads from Caffe files.
      pooling_scale: multiply pooled maps by `POOLING_SCALES`.
      padding: padding of each map before a convolution. The network was trained with "zeros".
        "reflect" and "replicate" apply to all convolutions, "...-first" to conv1_1 alone.
        "circular" wraps around, for textures that tile without a seam.
      algorithms: algorithm of each convolution by layer name; "direct" where missing.
      dtype: number format of the convolutions and the features.

    Attributes:
      checkpointed: whether each block is recomputed for its gradient, so that only the maps between
        blocks are kept (Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016).
    """

    checkpointed = False

    def __init__(
        self,
        convolutions: Mapping[str, tuple[Array, Array]],
        gain: Float[Array, "3"],
        offset: Float[Array, "3"],
        *,
        pooling: Pooling = "max",
        rounding: Rounding = "floor",
        pooling_scale: bool = False,
        padding: Padding = "zeros",
        algorithms: Mapping[str, str] = MappingProxyType({}),
        dtype: jnp.dtype | type = jnp.float32,
    ):
        self.convolutions = nnx.Dict(
            {
                name: Convolution(
                    jnp.asarray(kernel, dtype),
                    jnp.asarray(bias, dtype),
                    algorithms.get(name, "direct"),
                )
                for name, (kernel, bias) in convolutions.items()
            }
        )
        precise = jnp.promote_types(dtype, jnp.float32)
        self.gain = nnx.Param(jnp.asarray(gain, precise))
        self.offset = nnx.Param(jnp.asarray(offset, precise))
        self.pooling: Pooling = pooling
        self.rounding: Rounding = rounding
        self.pooling_scale = pooling_scale
        self.padding = padding
        self.dtype = jnp.dtype(dtype)

    def __call__(
        self, image: Float[Array, "h w 3"], layers: Iterable[str]
    ) -> dict[str, Float[Array, "_ _ _"]]:
        """Compute the features of one image by layer name, up to the deepest of ``layers``.

        Args:
          image: sRGB values in [0, 1].
          layers: canonical layer names. "conv" is before the ReLU, "relu" after it.

        Returns:
          height x width x channels arrays, halved at each pooling (odd sizes by `rounding`).

        Raises:
          ImageError: not an array of floats of shape height x width x 3.
          TooSmallError: a side is shorter than ``smallest_side(layers)``.
          UnknownLayerError: VGG-19 has no layer of that name.
        """
        wanted = frozenset(layers)
        require_image("the image", image)
        if unknown := wanted.difference(LAYERS):
            canonical_layer(min(unknown))  # raises, with a suggestion
        _require_side(image.shape, wanted)
        x = self.preprocessed(image)[None]
        features = {}
        for block in blocks(wanted):
            run = partial(self._block, block, wanted)
            x, found = (jax.checkpoint(run) if self.checkpointed else run)(x)
            features |= found
        return features

    def preprocessed(self, image: Float[Array, "h w 3"]) -> Float[Array, "h w 3"]:
        """Return the input of the first convolution: ``image * gain - offset``."""
        return (image * self.gain[...] - self.offset[...]).astype(self.dtype)

    def _block(
        self, block: Iterable[str], wanted: Container[str], x: Float[Array, "1 _ _ _"]
    ) -> tuple[Float[Array, "1 _ _ _"], dict[str, Float[Array, "_ _ _"]]]:
        """Return the last map of a block, and the features of its wanted layers."""
        features = {}
        for name in block:
            x = self._layer(name, x)
            if name in wanted:
                features[name] = x[0]
        return x, features

    def with_checkpoints(self) -> "VGG19":
        """Return a network with the same arrays whose gradients take less memory and more time.

        See ``checkpointed``.
        """
        return self._with(checkpointed=True)

    def sides(self, height: int, width: int, layer: str) -> tuple[int, int]:
        """Return height and width of a layer's map, for an image of that height and width."""
        up = rounds_up(self.pooling, self.rounding)
        for _ in range(_pools_before(layer)):
            height, width = (height + up) // 2, (width + up) // 2
        return height, width

    def padded(self, padding: Padding) -> "VGG19":
        """Return a network with the same arrays and another padding."""
        return self._with(padding=padding)

    def bordered(self) -> "VGG19":
        """Return the network for style pictures, which do not wrap around even if the result does.

        With circular padding, the jump between their opposite borders would be part of the style.
        """
        return self.padded("reflect") if self.padding == "circular" else self

    def direct(self) -> "VGG19":
        """Return a network with the same arrays and the "direct" algorithm for all convolutions.

        The other algorithms take longer to compile, which does not pay off for a single run.
        """
        return self._with(
            convolutions=nnx.Dict(
                {n: Convolution(c.kernel[...], c.bias[...]) for n, c in self.convolutions.items()}
            )
        )

    def _with(self, **changes: Any) -> "VGG19":
        """Return a network with the same arrays and some attributes changed.

        It is rebuilt as a pytree because, under a JAX transformation, Flax does not allow changing
        a module that was created outside of it.
        """
        other = jax.tree.map(lambda leaf: leaf, self)
        for name, value in changes.items():
            setattr(other, name, value)
        return other

    def computation(self) -> dict[str, str]:
        """Return the number format ("dtype") and the algorithm of every convolution by name."""
        each = {
            n: "direct" if c.prepared is None else "winograd" for n, c in self.convolutions.items()
        }
        return {"dtype": self.dtype.name, **each}

    def _layer(self, name: str, x: Float[Array, "1 _ _ _"]) -> Float[Array, "1 _ _ _"]:
        if name.startswith("relu"):
            return jax.nn.relu(x)
        if name.startswith("pool"):
            return self.pooled(x)
        return self.convolutions[name](x, self.padding_mode(name))

    def pooled(self, x: Float[Array, "1 h w c"]) -> Float[Array, "1 h2 w2 c"]:
        """Return a map halved by pooling, scaled if ``pooling_scale`` is set."""
        halved = pool(x, self.pooling, self.rounding)
        return halved * POOLING_SCALES[self.pooling] if self.pooling_scale else halved

    def padding_mode(self, name: str) -> str:
        """Return the padding of a convolution: one of "zeros", "reflect", "replicate", "circular".

        Args:
          name: layer name of the convolution.
        """
        mode, _, only_first = self.padding.partition("-")
        return "zeros" if only_first and name != CONVOLUTIONS[0] else mode


def require_image(name: str, image: Any) -> None:
    """Raise ImageError unless an array holds floats of shape height x width x 3.

    Args:
      name: noun phrase for the array in the message, as "the image".
      image: the array.
    """
    if not isinstance(image, jax.Array | np.ndarray):
        raise ImageError(f"{name} is a {type(image).__name__}: expected an array")
    shape, dtype = image.shape, image.dtype
    if len(shape) != 3 or shape[-1] != 3:
        raise ImageError(f"{name} has shape {shape}: expected height x width x 3")
    if not jnp.issubdtype(dtype, jnp.floating):
        raise ImageError(
            f"{name} is an array of {dtype}: expected floats in [0, 1] (8 bits divided by 255)"
        )


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
    if mode == "circular":
        return jnp.pad(x, margin, mode="wrap")
    # A map one pixel wide or high has no second pixel to reflect: repeat the only one.
    reflectable = mode == "reflect" and min(x.shape[1:3]) > 1
    return jnp.pad(x, margin, mode="reflect" if reflectable else "edge")
