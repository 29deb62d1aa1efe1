"""The optimizers that a run can name: Optax transformations with a learning rate of 1.

A run multiplies their updates by its own learning rate (``step.Hyperparameters``), a traced number,
so that a new rate does not recompile the step. Any other Optax transformation can take their place.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, PyTree

from jaxstyle.optim.lbfgs import lbfgs as torch_lbfgs


def adam(
    *, betas: tuple[float, float] = (0.9, 0.99), epsilon: float = 1e-8
) -> optax.GradientTransformationExtraArgs:
    """Adam (Kingma & Ba 2014).

    The second moment forgets faster than usual (0.99, not 0.999): an image is optimized for
    hundreds of steps, not a hundred thousand.
    """
    return optax.with_extra_args_support(optax.adam(1.0, betas[0], betas[1], epsilon))


def sgd(*, momentum: float = 0.9) -> optax.GradientTransformationExtraArgs:
    """Gradient descent with Nesterov momentum."""
    return optax.with_extra_args_support(optax.sgd(1.0, momentum, nesterov=True))


def lbfgs(*, history: int = 100) -> optax.GradientTransformationExtraArgs:
    """L-BFGS as in Torch and PyTorch: one evaluation a step and no line search."""
    return optax.with_extra_args_support(torch_lbfgs(history))


def lbfgs_zoom(*, history: int = 10) -> optax.GradientTransformationExtraArgs:
    """Optax's L-BFGS with its zoom line search: several evaluations a step."""
    return optax.lbfgs(memory_size=history)


OPTIMIZERS: dict[str, Callable[..., optax.GradientTransformationExtraArgs]] = {
    "adam": adam,
    "sgd": sgd,
    "lbfgs": lbfgs,
    "lbfgs-zoom": lbfgs_zoom,
}

LEARNING_RATES: dict[str, Callable[[float], float]] = {
    "adam": lambda white: 0.02 * white,
    "sgd": lambda white: 0.1 * white**2,
    "lbfgs": lambda white: 1.0,
    "lbfgs-zoom": lambda white: 1.0,
}
"""The rate used where none is given, from the value of white (see ``in_units``): whatever that is,
the picture moves as much."""


def in_units(
    optimizer: optax.GradientTransformationExtraArgs, white: float
) -> optax.GradientTransformationExtraArgs:
    """The optimizer as it would act on an image whose white is ``white`` and not 1.

    Published learning rates, Adam's epsilon and L-BFGS' first step are meant for pixels in 0..255:
    with y = white x, the gradient to y is that to x divided by ``white``, and so is a step of y
    that is made in x.
    """
    if white == 1:
        return optimizer

    def times(tree: PyTree, factor: float) -> PyTree:
        return jax.tree.map(lambda leaf: leaf * factor, tree)

    def init(params: PyTree) -> PyTree:
        return optimizer.init(times(params, white))

    def update(
        updates: PyTree, state: PyTree, params: PyTree = None, **extra: PyTree
    ) -> tuple[PyTree, PyTree]:
        if "grad" in extra:
            value_fn = extra["value_fn"]
            extra["grad"] = times(extra["grad"], 1 / white)
            extra["value_fn"] = lambda scaled: value_fn(times(scaled, 1 / white))
        scaled = times(params, white)
        direction, state = optimizer.update(times(updates, 1 / white), state, scaled, **extra)
        return times(direction, 1 / white), state

    return optax.GradientTransformationExtraArgs(init, update)


def carry(before: PyTree, fresh: PyTree, height: int, width: int) -> PyTree:
    """The fresh state of an optimizer, with Adam's moments of the scale before resized into it.

    The first moment by bicubic and the second, which must stay positive, by bilinear
    interpolation, and the count of steps as it was (crowsonkb/style-transfer-pytorch). Optimizers
    without such moments start afresh.
    """
    mu, nu = optax.tree.get(before, "mu"), optax.tree.get(before, "nu")
    if mu is None or nu is None:
        return fresh
    count = optax.tree.get(before, "count")

    def resized(moment: Array, method: str) -> Array:
        return jax.image.resize(moment, (height, width, 3), method, antialias=False)

    positive = jnp.maximum(resized(nu, "linear"), 0)
    return optax.tree.set(fresh, count=count, mu=resized(mu, "cubic"), nu=positive)
