"""Optax transformations by name.

Every optimizer here returns a *direction* that already points downhill; the solver multiplies it by
the learning rate, a traced number, so that changing the rate never recompiles.
"""

from collections.abc import Callable

import optax


def adam() -> optax.GradientTransformationExtraArgs:
    """Adam (Kingma & Ba 2014), beta 0.9 and 0.99.

    The second moment forgets faster than usual (0.99, not 0.999): an image is optimized for
    hundreds of steps, not a hundred thousand.
    """
    return optax.with_extra_args_support(
        optax.chain(optax.scale_by_adam(b1=0.9, b2=0.99), optax.scale(-1.0))
    )


def sgd() -> optax.GradientTransformationExtraArgs:
    """Gradient descent with Nesterov momentum 0.9."""
    return optax.with_extra_args_support(
        optax.chain(optax.trace(decay=0.9, nesterov=True), optax.scale(-1.0))
    )


def lbfgs() -> optax.GradientTransformationExtraArgs:
    """Optax's L-BFGS (memory 10) with its zoom line search: several evaluations a step."""
    return optax.lbfgs()


OPTIMIZERS: dict[str, Callable[[], optax.GradientTransformationExtraArgs]] = {
    "adam": adam,
    "sgd": sgd,
    "lbfgs": lbfgs,
}

LEARNING_RATES: dict[str, float] = {"adam": 0.02, "sgd": 0.1, "lbfgs": 1.0}
"""The rate used where none is given, for images in [0, 1]."""
