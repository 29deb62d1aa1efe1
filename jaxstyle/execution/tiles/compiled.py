"""Ahead-of-time compilation of the tile programs: once for all tiles of all pictures."""

from collections.abc import Hashable
from functools import lru_cache
from typing import Any

import jax
from jaxtyping import PyTree

from jaxstyle.optim.program import shape_of


def compiled(function: Any, *arguments: PyTree, **static: Hashable) -> jax.stages.Compiled:
    """Compile a jitted function for the shapes of the arguments, once a process.

    Args:
      function: a function wrapped by ``jax.jit``.
      *arguments: arrays or `jax.ShapeDtypeStruct`.
      **static: static arguments.
    """
    leaves, structure = jax.tree.flatten(arguments)
    config: Any = jax.config
    precision = config.jax_default_matmul_precision
    shapes = tuple(map(shape_of, leaves))
    return _compiled(function, structure, shapes, tuple(static.items()), precision)


@lru_cache(maxsize=64)
def _compiled(
    function: Any,
    structure: Any,
    shapes: tuple[jax.ShapeDtypeStruct, ...],
    static: tuple[tuple[str, Hashable], ...],
    precision: str | None,
) -> jax.stages.Compiled:
    del precision  # part of the cache key only: tracing reads it from JAX's settings
    arguments = jax.tree.unflatten(structure, shapes)
    return function.lower(*arguments, **dict(static)).compile()


def call(function: Any, *arguments: PyTree, **static: Hashable) -> Any:
    """Call a jitted function, compiled by ``compiled``."""
    return compiled(function, *arguments, **static)(*arguments)
