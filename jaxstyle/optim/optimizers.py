"""The named optimizers of a run: Optax transformations with a learning rate of 1.

A run multiplies their updates by its learning rate (``step.Hyperparameters``), which is traced, so
that a new rate does not recompile the step. Any other Optax transformation can be used instead.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, PyTree

from jaxstyle.errors import SettingError
from jaxstyle.optim.lbfgs import lbfgs as torch_lbfgs


def adam(
    *, betas: tuple[float, float] = (0.5, 0.95), epsilon: float = 1e-8
) -> optax.GradientTransformationExtraArgs:
    """Return Adam (Kingma & Ba 2014).

    Its moments decay faster than usual (0.5 and 0.95, not 0.9 and 0.999), because a scale has tens
    of steps, not a hundred thousand, and begins with its largest gradients.
    """
    return optax.with_extra_args_support(optax.adam(1.0, betas[0], betas[1], epsilon))


def sgd(*, momentum: float = 0.9) -> optax.GradientTransformationExtraArgs:
    """Return gradient descent with Nesterov momentum."""
    return optax.with_extra_args_support(optax.sgd(1.0, momentum, nesterov=True))


def lbfgs(*, history: int = 100) -> optax.GradientTransformationExtraArgs:
    """Return L-BFGS as in Torch and PyTorch: one evaluation per step and no line search."""
    return torch_lbfgs(history)


def lbfgs_zoom(*, history: int = 10) -> optax.GradientTransformationExtraArgs:
    """Return Optax's L-BFGS with its zoom line search: several evaluations per step."""
    return optax.lbfgs(memory_size=history)


OPTIMIZERS: dict[str, Callable[..., optax.GradientTransformationExtraArgs]] = {
    "adam": adam,
    "sgd": sgd,
    "lbfgs": lbfgs,
    "lbfgs-zoom": lbfgs_zoom,
}

SCHEDULED = ("adam", "sgd")
"""Optimizers whose learning rate follows a schedule."""

IN_COORDINATES = ("adam",)
"""Optimizers that step other coordinates than pixels: the levels of a pyramid, opponent colors.
Gradient descent would not do it well: its steps of coarse levels, where the gradients of many
pixels add up, are far too large. L-BFGS finds the curvature itself, and was slower on levels: 120
steps of neural-style-pt at 128 pixels ended at a loss of 13.6 on three of them and 31.6 on five, at
12.3 on pixels."""

COSINE_PEAK = 1.5
"""Factor of a default learning rate with a cosine schedule, whose mean is lower."""

LEARNING_RATES: dict[str, Callable[[float], float]] = {
    "adam": lambda white: 0.02 * white,
    "sgd": lambda white: 0.1 * white**2,
    "lbfgs": lambda white: 1.0,
    "lbfgs-zoom": lambda white: 1.0,
}
"""Default learning rates, as functions of the value of white (see ``in_units``). They are chosen so
that the image changes by the same amount per step whatever that value is."""


def in_units(
    optimizer: optax.GradientTransformationExtraArgs, white: float
) -> optax.GradientTransformationExtraArgs:
    """Wrap an optimizer so that it acts as if white pixels had the value ``white`` instead of 1.

    Published learning rates, Adam's epsilon and the first step of L-BFGS are meant for pixels in
    0..255. With y = white * x, the gradient to y is the gradient to x divided by ``white``; the
    optimizer's step of y, divided by ``white``, is the step of x.
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


def resize_moments(before: PyTree, fresh: PyTree) -> PyTree:
    """Resize Adam's moments from one scale to the next, as crowsonkb/style-transfer-pytorch does.

    The first moment is resized by bicubic interpolation, the second, which must not become
    negative, by bilinear interpolation. The step count is kept.

    Args:
      before: the optimizer's state at the end of the previous scale.
      fresh: its initial state at the new scale.

    Returns:
      ``fresh`` with the counts and moments of every Adam in it replaced; all else is unchanged, and
      moments of pyramids whose numbers of levels differ.
    """

    def of_images(state: PyTree) -> bool:
        moments = jax.tree.leaves(getattr(state, "mu", None))
        kind = isinstance(state, optax.ScaleByAdamState)
        return kind and all(getattr(moment, "ndim", 0) == 3 for moment in moments)

    def resized(moment: Array, like: Any, method: str) -> Array:
        return jax.image.resize(moment, like.shape, method, antialias=False).astype(moment.dtype)

    def carried(old: PyTree, new: PyTree) -> PyTree:
        if not of_images(old) or jax.tree.structure(old) != jax.tree.structure(new):
            return new
        first = jax.tree.map(partial(resized, method="cubic"), old.mu, new.mu)
        second = jax.tree.map(partial(resized, method="linear"), old.nu, new.nu)
        positive = jax.tree.map(lambda moment: jnp.maximum(moment, 0), second)
        return new._replace(count=old.count, mu=first, nu=positive)

    return jax.tree.map(carried, before, fresh, is_leaf=of_images)


def searches_line(optimizer: optax.GradientTransformation) -> bool:
    """Return whether a transformation evaluates the loss of other images, as in a line search.

    It is tried on the shapes of a small image; nothing is computed.

    Raises:
      SettingError: it cannot be used: it is not hashable, it raises, or its state changes shape.
    """
    asked: list[bool] = []

    def value(image: Array) -> Array:
        asked.append(True)
        return jnp.sum(image**2)

    def one_update(image: Array) -> tuple[PyTree, PyTree, PyTree]:
        state, total = optimizer.init(image), value(image)
        asked.clear()
        update = optax.with_extra_args_support(optimizer).update
        updates, after = update(image, state, image, value=total, grad=image, value_fn=value)
        return state, after, optax.apply_updates(image, updates)

    try:
        hash(optimizer)
        before, after, _ = jax.eval_shape(one_update, jax.ShapeDtypeStruct((2, 2, 3), jnp.float32))
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise SettingError("optimizer", f"cannot be applied to an image: {reason}") from error
    kinds = [[(x.shape, x.dtype) for x in jax.tree.leaves(state)] for state in (before, after)]
    if kinds[0] != kinds[1]:
        raise SettingError("optimizer", "changes the shapes or dtypes of its state: see its init")
    return bool(asked)
