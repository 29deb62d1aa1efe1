"""3x3 convolutions by two algorithms, for the machine to choose from.

    "direct"    whatever XLA makes of a convolution: the right thing on accelerators
    "winograd"  F(4x4, 3x3): 36 multiplications for a tile of outputs where direct takes 144

On CPU, ``jaxstyle.network.tuning`` measures which is the fastest. The gradient to the input is a
convolution too, with the kernel turned by half a turn and its channels exchanged: both are prepared
once, and not in every step.
"""

from collections.abc import Callable, Sequence
from functools import cache, partial, reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Float

ALGORITHMS = ("direct", "winograd")

DIMENSIONS = ("NHWC", "HWIO", "NHWC")

TILE = 4
WINDOW = TILE + 2

# Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks", arXiv:1509.09308, section 4.2:
# the transforms of F(4, 3), which interpolates at 0, 1, -1, 2, -2 and infinity.
OF_INPUT = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
OF_KERNEL = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
OF_OUTPUT = (
    (1, 1, 1, 1, 1, 0),
    (0, 1, -1, 2, -2, 0),
    (0, 1, 1, 4, 4, 0),
    (0, 1, -1, 8, -8, 1),
)


class Prepared(NamedTuple):
    """A kernel as "winograd" wants it, for the convolution and for its gradient."""

    forward: list[Float[Array, "6 n m"]]
    backward: list[Float[Array, "6 m n"]]


def prepare(kernel: Float[Array, "3 3 n m"], algorithm: str) -> Prepared | None:
    """What ``convolve`` needs beside the kernel: nothing for the direct algorithm.

    Computed on the host, where nothing has to be compiled for it: the kernel must be an array, not
    a tracer. It is four times the kernel, twice.

    Raises:
      ValueError: there is no such algorithm.
    """
    if algorithm not in ALGORITHMS:
        raise ValueError(f"{algorithm!r} is not one of {', '.join(ALGORITHMS)}")
    if algorithm == "direct":
        return None
    on_host = np.asarray(kernel)
    turned = np.flip(on_host, (0, 1)).swapaxes(2, 3)
    return Prepared(winograd_kernels(on_host), winograd_kernels(turned))


def convolve(
    x: Float[Array, "b h w n"],
    kernel: Float[Array, "3 3 n m"],
    prepared: Prepared | None,
    *,
    margin: int = 1,
) -> Float[Array, "b h2 w2 m"]:
    """Convolve ``x``, with ``margin`` rows and columns of zeros around it, with a 3x3 kernel.

    A margin of 1 keeps the size. ``prepared`` is ``prepare(kernel, algorithm)``.
    """
    if prepared is not None:
        return _fast(margin, x, kernel, prepared)
    if margin == 0 and jax.default_backend() == "cpu":
        return _unpadded(x, kernel)
    return direct(x, kernel, margin)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _fast(margin: int, x: Array, kernel: Array, prepared: Prepared) -> Array:
    del kernel
    return winograd(x, prepared.forward, margin)


def _forward(margin: int, x: Array, kernel: Array, prepared: Prepared) -> tuple[Array, tuple]:
    return _fast(margin, x, kernel, prepared), (x, kernel, prepared)


def _backward(margin: int, kept: tuple, gradient: Array) -> tuple:
    x, kernel, prepared = kept
    to_x = winograd(gradient, prepared.backward, 2 - margin)
    # Compiled, as in a run, nothing of this is computed where nobody asks for it.
    (to_kernel,) = jax.vjp(lambda k: direct(x, k, margin), kernel)[1](gradient)
    return to_x, to_kernel, None


_fast.defvjp(_forward, _backward)


def direct(
    x: Float[Array, "b h w n"], kernel: Float[Array, "3 3 n m"], margin: int
) -> Float[Array, "b h2 w2 m"]:
    """The convolution of the compiler."""
    around = ((margin, margin), (margin, margin))
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), around, dimension_numbers=DIMENSIONS)


@jax.custom_vjp
def _unpadded(x: Array, kernel: Array) -> Array:
    """The direct convolution with no margin, for CPU: XLA is faster there with a column of zeros to
    one side, that is cut off again, than with nothing around; not so for the gradient."""
    around = ((0, 0), (0, 1))
    y = jax.lax.conv_general_dilated(x, kernel, (1, 1), around, dimension_numbers=DIMENSIONS)
    return y[:, :, :-1]


def _unpadded_forward(x: Array, kernel: Array) -> tuple[Array, tuple]:
    return _unpadded(x, kernel), (x, kernel)


def _unpadded_backward(kept: tuple, gradient: Array) -> tuple:
    return jax.vjp(partial(direct, margin=0), *kept)[1](gradient)


_unpadded.defvjp(_unpadded_forward, _unpadded_backward)


def winograd_kernels(kernel: Float[np.ndarray, "3 3 n m"]) -> list[Float[Array, "6 n m"]]:
    """The kernel at the 6 x 6 points, row by row: a slice of one array would be copied."""
    points = np.kron(OF_KERNEL, OF_KERNEL).astype(kernel.dtype) @ kernel.reshape(9, -1)
    return jax.device_put(list(points.reshape(WINDOW, WINDOW, *kernel.shape[2:])))


@partial(jax.jit, static_argnames="margin")
def winograd(
    x: Float[Array, "b h w n"], kernels: Sequence[Float[Array, "6 n m"]], margin: int
) -> Float[Array, "b h2 w2 m"]:
    """Lavin & Gray, equation 12, tile by tile of 4 x 4 outputs from windows of 6 x 6 inputs.

    Under ``jax.vmap``, with the kernels shared, all images' tiles are rows of the same products.
    """
    return _winograd(margin)(x, list(kernels))


@cache
def _winograd(margin: int) -> Callable[[Array, list[Array]], Array]:
    """``winograd`` with its own rule for ``jax.vmap``, which would transpose every product."""
    one_batch = custom_vmap(partial(_tile_by_tile, margin))

    @one_batch.def_vmap
    def many_batches(
        size: int, batched: Sequence, x: Array, kernels: list[Array]
    ) -> tuple[Array, bool]:
        if not batched[0] or any(batched[1]):  # nobody maps over kernels for their speed
            axes = [0 if batched[0] else None, [0 if each else None for each in batched[1]]]
            return jax.vmap(partial(_tile_by_tile, margin), axes)(x, kernels), True
        merged = one_batch(x.reshape(-1, *x.shape[2:]), kernels)
        return merged.reshape(size, -1, *merged.shape[1:]), True

    return one_batch


def _tile_by_tile(margin: int, x: Array, kernels: Sequence[Array]) -> Array:
    """A row of points is one array and one product: as many arrays as points would be no faster,
    and take XLA four times as long to compile. In ``lax`` throughout: with as many operations as
    these, NumPy's semantics would be most of the time it takes to trace a step.
    """
    batch = x.shape[0]
    height, width = (side - 2 + 2 * margin for side in x.shape[1:3])
    down, across = -(-height // TILE), -(-width // TILE)
    # Beyond the last row and column come zeros up to whole tiles; what they give is cut off.
    more = [TILE * tiles - side + margin for tiles, side in ((down, height), (across, width))]
    around = ((0, 0, 0), (margin, more[0], 0), (margin, more[1], 0), (0, 0, 0))
    padded = lax.pad(x, jnp.zeros((), x.dtype), around)
    rows = _combined(OF_INPUT, [_every_tile(padded, i, down, axis=1) for i in range(WINDOW)])
    halves = []
    for row, kernel in zip(rows, kernels, strict=True):
        columns = [_every_tile(row, j, across, axis=2) for j in range(WINDOW)]
        points = jnp.stack(_combined(OF_INPUT, columns))
        product = jnp.matmul(points.reshape(WINDOW, batch * down * across, -1), kernel)
        # As a product of matrices too, small as it is: it compiles in no time.
        transform = jnp.asarray(OF_OUTPUT, product.dtype)
        half = jnp.matmul(transform, product.reshape(WINDOW, -1))
        halves.append(half.reshape(TILE, batch, down, across, -1))
    tiles = [row.transpose(1, 2, 3, 0, 4) for row in _combined(OF_OUTPUT, halves)]
    whole = jnp.stack(tiles, axis=2).reshape(batch, TILE * down, TILE * across, -1)
    return whole[:, :height, :width]


def _combined(
    matrix: Sequence[Sequence[int]], parts: Sequence[Float[Array, "*size"]]
) -> list[Float[Array, "*size"]]:
    """One linear combination of the parts for each row of the matrix."""
    used = (
        [
            p if f == 1 else lax.mul(p, np.asarray(f, p.dtype))
            for f, p in zip(row, parts, strict=True)
            if f
        ]
        for row in matrix
    )
    return [reduce(lax.add, terms) for terms in used]


def _every_tile(x: Array, first: int, tiles: int, axis: int) -> Array:
    """The pixel of a number ``first`` or later of each tile along an axis."""
    return lax.slice_in_dim(x, first, first + TILE * (tiles - 1) + 1, TILE, axis)
