"""3x3 convolutions by two algorithms.

    "direct"    XLA's own convolution: the fastest on accelerators
    "winograd"  F(4x4, 3x3): 36 multiplications for a tile of 4 x 4 outputs; "direct" takes 144

On CPU, ``jaxstyle.network.tuning`` measures which is faster. The gradient to the input is a
convolution too, with the kernel rotated by 180 degrees and its channels swapped: both kernels are
transformed once, not in every step.
"""

import math
from collections.abc import Callable, Sequence
from functools import cache, partial, reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.custom_batching import custom_vmap
from jax.custom_derivatives import custom_vjp_primal_tree_values
from jaxtyping import Array, Float

from jaxstyle.machine.programs import jit

ALGORITHMS = ("direct", "winograd")

DIMENSIONS = ("NHWC", "HWIO", "NHWC")

TILE = 4  # side of a tile of outputs
WINDOW = TILE + 2  # side of the window of inputs that a tile depends on

ALIGNMENT = 64  # bytes, of arrays on CPU

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
    """A kernel transformed for the "winograd" algorithm.

    Attributes:
      forward: for the convolution.
      backward: for its gradient to the input.
    """

    forward: list[Float[Array, "6 n m"]]
    backward: list[Float[Array, "6 m n"]]


def prepare(kernel: Float[Array, "3 3 n m"], algorithm: str) -> Prepared | None:
    """Transform a kernel for ``convolve``, on the host so that nothing has to be compiled.

    Args:
      kernel: an array, not a tracer.
      algorithm: one of ``ALGORITHMS``.

    Returns:
      Two transformed kernels, each four times the size of the kernel; None for "direct".

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
    """Convolve a batch of feature maps with a 3x3 kernel.

    Args:
      x: the feature maps.
      kernel: the kernel.
      prepared: ``prepare(kernel, algorithm)``, which selects the algorithm.
      margin: rows and columns of zero padding on each side; 1 keeps the size.
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


def _forward(margin: int, x: Any, kernel: Any, prepared: Prepared) -> tuple[Array, tuple]:
    values = custom_vjp_primal_tree_values((x, kernel, prepared))
    return _fast(margin, *values), (_for_kernel(x, kernel), values[2])


def _backward(margin: int, kept: tuple, gradient: Array) -> tuple:
    both, prepared = kept
    to_x = winograd(gradient, prepared.backward, 2 - margin)
    return to_x, _to_kernel(both, margin, gradient), None


def _for_kernel(x: Any, kernel: Any) -> tuple[Array, Array] | None:
    """Return what the gradient to the kernel is computed from; None if it is not asked for."""
    return (x.value, kernel.value) if kernel.perturbed else None


def _to_kernel(both: tuple[Array, Array] | None, margin: int, gradient: Array) -> Array | None:
    if both is None:
        return None
    x, kernel = both
    return jax.vjp(lambda k: direct(x, k, margin), kernel)[1](gradient)[0]


_fast.defvjp(_forward, _backward, symbolic_zeros=True)


def direct(
    x: Float[Array, "b h w n"], kernel: Float[Array, "3 3 n m"], margin: int
) -> Float[Array, "b h2 w2 m"]:
    """Convolve by XLA's own convolution; see ``convolve``."""
    around = ((margin, margin), (margin, margin))
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), around, dimension_numbers=DIMENSIONS)


@jax.custom_vjp
def _unpadded(x: Array, kernel: Array) -> Array:
    """Convolve directly without padding, on CPU.

    XLA is faster there with a column of zeros on one side, cut off afterwards, than without any
    padding. This does not hold for the gradient.
    """
    around = ((0, 0), (0, 1))
    y = jax.lax.conv_general_dilated(x, kernel, (1, 1), around, dimension_numbers=DIMENSIONS)
    return y[:, :, :-1]


def _unpadded_forward(x: Any, kernel: Any) -> tuple[Array, tuple]:
    return _unpadded(x.value, kernel.value), (x.value, kernel.value, _for_kernel(x, kernel))


def _unpadded_backward(kept: tuple, gradient: Array) -> tuple:
    x, kernel, both = kept
    (to_x,) = jax.vjp(lambda x: direct(x, kernel, 0), x)[1](gradient)
    return to_x, _to_kernel(both, 0, gradient)


_unpadded.defvjp(_unpadded_forward, _unpadded_backward, symbolic_zeros=True)


def winograd_kernels(kernel: Float[np.ndarray, "3 3 n m"]) -> list[Float[Array, "6 n m"]]:
    """Transform a kernel: its values at the 6 x 6 points, one array for each row of points.

    They are separate arrays because XLA would copy slices of a single one.
    """
    transform = np.kron(OF_KERNEL, OF_KERNEL).astype(kernel.dtype)
    points = _aligned((WINDOW, WINDOW, *kernel.shape[2:]), kernel.dtype)
    np.matmul(transform, kernel.reshape(9, -1), out=points.reshape(WINDOW**2, -1))
    return jax.device_put(list(points))


def _aligned(shape: tuple[int, ...], dtype: np.dtype) -> Float[np.ndarray, "..."]:
    """Return an array, not filled, that JAX takes without copying it: at a multiple of 64 bytes."""
    size = math.prod(shape) * dtype.itemsize
    room = np.empty(size + ALIGNMENT, np.uint8)
    start = -room.ctypes.data % ALIGNMENT
    return room[start : start + size].view(dtype).reshape(shape)


@jit(size=500_000, static_argnames="margin")
def winograd(
    x: Float[Array, "b h w n"], kernels: Sequence[Float[Array, "6 n m"]], margin: int
) -> Float[Array, "b h2 w2 m"]:
    """Convolve by F(4x4, 3x3) (Lavin & Gray, equation 12): 4 x 4 outputs from 6 x 6 inputs.

    Under ``jax.vmap`` with shared kernels, the tiles of all images are rows of the same matrix
    products.

    Args:
      x: the feature maps.
      kernels: ``winograd_kernels`` of the kernel.
      margin: rows and columns of zero padding on each side.
    """
    return _winograd(margin)(x, list(kernels))


@cache
def _winograd(margin: int) -> Callable[[Array, list[Array]], Array]:
    """Return ``winograd`` with a rule for ``jax.vmap``, whose own would transpose each product."""
    one_batch = custom_vmap(partial(_tile_by_tile, margin))

    @one_batch.def_vmap
    def many_batches(
        size: int, batched: Sequence, x: Array, kernels: list[Array]
    ) -> tuple[Array, bool]:
        if not batched[0] or any(batched[1]):  # rare: not optimized
            axes = [0 if batched[0] else None, [0 if each else None for each in batched[1]]]
            return jax.vmap(partial(_tile_by_tile, margin), axes)(x, kernels), True
        merged = one_batch(x.reshape(-1, *x.shape[2:]), kernels)
        return merged.reshape(size, -1, *merged.shape[1:]), True

    return one_batch


def _tile_by_tile(margin: int, x: Array, kernels: Sequence[Array]) -> Array:
    """Compute ``winograd`` with one array and one matrix product for each row of points.

    One array for each point would be no faster and take XLA four times as long to compile. Most
    operations are those of ``lax``: with so many, those of jnp would dominate the time to trace a
    step.
    """
    batch = x.shape[0]
    height, width = (side - 2 + 2 * margin for side in x.shape[1:3])
    down, across = -(-height // TILE), -(-width // TILE)
    # Zeros after the last row and column complete the last tiles; their outputs are cut off.
    more = [TILE * tiles - side + margin for tiles, side in ((down, height), (across, width))]
    around = ((0, 0, 0), (margin, more[0], 0), (margin, more[1], 0), (0, 0, 0))
    padded = lax.pad(x, jnp.zeros((), x.dtype), around)
    rows = _combined(OF_INPUT, [_every_tile(padded, i, down, axis=1) for i in range(WINDOW)])
    halves = []
    for row, kernel in zip(rows, kernels, strict=True):
        columns = [_every_tile(row, j, across, axis=2) for j in range(WINDOW)]
        points = jnp.stack(_combined(OF_INPUT, columns))
        product = jnp.matmul(points.reshape(WINDOW, batch * down * across, -1), kernel)
        # A matrix product, although it is small: it compiles much faster.
        transform = jnp.asarray(OF_OUTPUT, product.dtype)
        half = jnp.matmul(transform, product.reshape(WINDOW, -1))
        halves.append(half.reshape(TILE, batch, down, across, -1))
    tiles = [row.transpose(1, 2, 3, 0, 4) for row in _combined(OF_OUTPUT, halves)]
    whole = jnp.stack(tiles, axis=2).reshape(batch, TILE * down, TILE * across, -1)
    return whole[:, :height, :width]


def _combined(
    matrix: Sequence[Sequence[int]], parts: Sequence[Float[Array, "*size"]]
) -> list[Float[Array, "*size"]]:
    """Return one linear combination of the parts for each row of the matrix."""
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
    """Return every fourth row (or column) from ``first``: one for each tile along the axis."""
    return lax.slice_in_dim(x, first, first + TILE * (tiles - 1) + 1, TILE, axis)
