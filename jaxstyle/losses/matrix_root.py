"""Square roots of covariance matrices from matrix products alone, which are fast on GPU and TPU.

Newton-Schulz iteration (Higham, "Functions of Matrices", 2008, equation 6.35), from Y = A / |A| and
Z = I with |A| the Frobenius norm:

    T = (3 I - Z Y) / 2,   Y <- Y T,   Z <- T Z;   then   Y -> (A / |A|)^1/2

Lin & Maji, "Improved Bilinear Pooling with CNN", BMVC 2017, use it in a network and compute the
gradient from the Lyapunov equation of the root, not by differentiating the iteration:

    R dR + dR R = dA,   so for   tr R:   R X + X R = I,   whose solution is   X = R^-1 / 2

They solve it by the iteration for the matrix sign, here with P = R / |R| and Q = I / |R|:

    T = (3 I - P^2) / 2,   P <- P T,   Q <- Q T;   then   Q -> R^-1

This is their iteration for a right-hand side of I: all matrices commute, so the commutators vanish.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

ITERATIONS = 12
"""Number of iterations, as in crowsonkb/style-transfer-pytorch. Each multiplies small eigenvalues
of Z Y by 2.25, so the roots of eigenvalues under 1e-5 of the largest come out too small. This is
part of the loss as that program defines it."""


def square_root(matrix: Float[Array, "c c"]) -> Float[Array, "c c"]:
    """Return the square root of a symmetric positive definite matrix.

    Do not differentiate it; see ``trace_of_root``.
    """
    eye = jnp.eye(matrix.shape[0], dtype=matrix.dtype)
    norm = jnp.linalg.norm(matrix)

    def improve(_, pair):
        y, z = pair
        t = (3 * eye - _product(z, y)) / 2
        return _product(y, t), _product(t, z)

    root, _ = jax.lax.fori_loop(0, ITERATIONS, improve, (matrix / norm, eye))
    return root * jnp.sqrt(norm)


def _inverse(root: Float[Array, "c c"]) -> Float[Array, "c c"]:
    eye = jnp.eye(root.shape[0], dtype=root.dtype)
    norm = jnp.linalg.norm(root)

    def improve(_, pair):
        p, q = pair
        t = (3 * eye - _product(p, p)) / 2
        return _product(p, t), _product(q, t)

    _, inverse = jax.lax.fori_loop(0, ITERATIONS, improve, (root / norm, eye / norm))
    return inverse


def _product(x: Float[Array, "c c"], y: Float[Array, "c c"]) -> Float[Array, "c c"]:
    # At the default precision of accelerators (10 bits) small eigenvalues turn negative and the
    # iteration diverges.
    return jnp.matmul(x, y, precision=jax.lax.Precision.HIGHEST)


@jax.custom_vjp
def trace_of_root(matrix: Float[Array, "c c"]) -> Float[Array, ""]:
    """Return the trace of the square root of a symmetric positive definite matrix.

    It is differentiable: its gradient is half the inverse of the root, from the Lyapunov equation
    in the module's docstring.
    """
    return jnp.trace(square_root(matrix))


def _forward(matrix: Float[Array, "c c"]) -> tuple[Float[Array, ""], Float[Array, "c c"]]:
    root = square_root(matrix)
    return jnp.trace(root), root


def _backward(root: Float[Array, "c c"], slope: Float[Array, ""]) -> tuple[Float[Array, "c c"]]:
    return (slope * _inverse(root) / 2,)


trace_of_root.defvjp(_forward, _backward)
