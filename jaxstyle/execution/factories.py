"""Factories that make the parts of a run from its settings: network, optimizer, precision."""

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxstyle.errors import SettingError
from jaxstyle.network import tuning, vgg, weights
from jaxstyle.optim import optimizers, solve
from jaxstyle.optim.coordinates import in_opponent_colors, on_levels
from jaxstyle.settings import Settings


def tuned_network(loaded: weights.Loaded, settings: Settings) -> vgg.VGG19:
    """Return the network with the convolution algorithms that are fastest on this machine."""
    chosen = tuning.algorithms(settings.precision)
    used = vgg.convolutions_before(settings.layers())
    return network_of(loaded, settings, {name: chosen[name] for name in used if name in chosen})


def network_of(
    loaded: weights.Loaded, settings: Settings, algorithms: Mapping[str, str] = MappingProxyType({})
) -> vgg.VGG19:
    """Return the network that the settings describe.

    Precision "auto" means float32 on CPU and bfloat16 on accelerators.

    Args:
      loaded: weights of the network.
      settings: settings of the run.
      algorithms: convolution algorithms by layer, see ``jaxstyle.network.tuning``.

    Raises:
      SettingError: the precision is float64, but ``jax_enable_x64`` is not set.
    """
    precision = settings.precision
    if precision == "auto":
        precision = "float32" if jax.default_backend() == "cpu" else "bfloat16"
    if precision == "float64" and not in_float64():
        raise SettingError("precision", "float64 needs JAX_ENABLE_X64=1 in the environment")
    return weights.network(
        loaded.weights,
        pooling=settings.pooling,
        rounding=settings.rounding,
        pooling_scale=settings.pooling_scale,
        padding=settings.padding,
        algorithms=algorithms,
        white=settings.network_white,
        mean=settings.network_mean,
        dtype=jnp.dtype(precision),
    )


def in_float64() -> bool:
    """Return whether JAX computes in double precision (``jax_enable_x64``)."""
    return jnp.result_type(float) == jnp.float64


def optimizer_of(settings: Settings) -> optax.GradientTransformation:
    """Return the optimizer of the settings.

    An Optax transformation is returned unchanged. A named optimizer gets its options from the
    settings, and its steps are scaled to the pixel range it was designed for.
    """
    if not isinstance(settings.optimizer, str):
        return settings.optimizer
    options: dict[str, dict[str, Any]] = {
        "adam": {"betas": settings.betas, "epsilon": settings.epsilon},
        "sgd": {"momentum": settings.momentum},
    }
    history = {} if settings.history is None else {"history": settings.history}
    chosen = options.get(settings.optimizer, history)
    name = settings.optimizer
    stepped = name in optimizers.IN_COORDINATES
    # The levels of a pyramid do not wrap around: they would make a seam.
    levels = settings.pyramid_levels if stepped and settings.padding != "circular" else 1
    opponents = settings.opponent_colors and stepped
    return _optimizer(name, settings.white, levels, opponents, tuple(chosen.items()))


@lru_cache(maxsize=64)
def _optimizer(
    name: str, white: float, levels: int, opponents: bool, options: tuple[tuple[str, Any], ...]
) -> optax.GradientTransformation:
    """Return one object for the same arguments, since programs are cached by their optimizer."""
    chosen = optimizers.OPTIMIZERS[name](**dict(options))
    chosen = on_levels(chosen, levels) if levels > 1 else chosen
    chosen = in_opponent_colors(chosen) if opponents else chosen
    return optimizers.in_units(chosen, white)


def rates_of(settings: Settings, steps: int = 0) -> solve.Hyperparameters:
    """Return the numeric hyperparameters of a step, which are traced: no change recompiles it.

    Args:
      settings: settings of the run.
      steps: number of steps of the scale.
    """
    bounds = {} if settings.clamp else {"low": -np.inf, "high": np.inf}
    return solve.Hyperparameters.of(
        settings.rate,
        average_decay=settings.average,
        decay=settings.learning_rate_decay,
        cosine_steps=steps if settings.follows_schedule else 0,
        **bounds,
    )


def matmul_precision(settings: Settings) -> str | None:
    """Return the precision of matrix products in a run, as JAX names it; None for JAX's default.

    By default, accelerators round float32 operands to a mantissa of ten or seven bits.
    """
    exact = settings.precision in ("float32", "float64")
    return "highest" if exact else solve.matmul_precision()


def report_every(settings: Settings) -> int:
    """Return the number of steps between two reports: many on accelerators, where each waits."""
    if jax.default_backend() == "cpu":
        return 1
    return solve.PATIENCE if settings.tolerance else 50
