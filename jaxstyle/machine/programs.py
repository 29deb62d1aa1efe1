"""Compiled programs: ``jit``, which keeps the programs of the last shapes only.

JAX keeps all that it traces and compiles as long as the function lives. With each new size of
pictures, a process would grow by 60 MB and 500 memory maps, of which Linux allows it 65,530.
"""

import gc
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import update_wrapper, wraps
from typing import Any

import jax
from jaxtyping import PyTree

from jaxstyle.machine.kept import Kept
from jaxstyle.machine.resources import memory_maps

MOST = 256
"""Number of jitted functions to keep: one for each function and shapes of its arguments."""

MOST_BYTES = 400_000_000
"""Bytes of jitted functions to keep, as ``size`` says: those of the five scales of a preset."""

MOST_MAPS = 15_000
"""Number of the process's memory maps above which ``make_room`` empties JAX's own caches too."""

MOST_DROPPED = 50
"""Number of jitted functions dropped after which it does so: of each, JAX keeps parts of the trace.
Of pictures made at three scales, those are the functions of about four sizes, and 40 MB."""

SMALL = 4_000_000
"""Bytes of what is kept for an ordinary function."""

STEP = 60_000_000
"""Bytes of what is kept for an optimizer step of VGG-19 on CPU: 40 MB of program, and what was
traced. It hardly depends on the size of the picture."""


@dataclass
class _Emptied:
    """The state after JAX's caches were last emptied.

    Attributes:
      maps: the memory maps that were left.
      dropped: the functions that had been dropped.
    """

    maps: int = 0
    dropped: int = 0


_emptied = _Emptied()
_kept: Kept["tuple[Any, int]"] = Kept(MOST, MOST_BYTES, lambda held: held[1])


class Jitted:
    """A function that JAX compiles, of which only what was used last is kept.

    Each combination of shapes has a ``jax.jit`` of its own. When that is dropped, JAX drops what it
    traced and compiled for it.
    """

    def __init__(self, function: Callable[..., Any], size: int, options: dict[str, Any]):
        self.function, self.size, self.options = function, size, options
        update_wrapper(self, function)

    def __call__(self, *arguments: Any, **more: Any) -> Any:
        """Call the function, compiled."""
        return self.of(*arguments, **more)(*arguments, **more)

    def lower(self, *arguments: Any, **more: Any) -> jax.stages.Lowered:
        """Lower the function for the shapes of its arguments: see ``jax.jit``."""
        return self.of(*arguments, **more).lower(*arguments, **more)

    def trace(self, *arguments: Any, **more: Any) -> jax.stages.Traced:
        """Trace the function for the shapes of its arguments: see ``jax.jit``."""
        return self.of(*arguments, **more).trace(*arguments, **more)

    def eval_shape(self, *arguments: Any, **more: Any) -> PyTree:
        """Return the shapes of the result: see ``jax.jit``."""
        return self.of(*arguments, **more).eval_shape(*arguments, **more)

    def of(self, *arguments: Any, **more: Any) -> Any:
        """Return the ``jax.jit`` for these arguments."""
        leaves, tree = jax.tree.flatten((arguments, more))
        key = self, tree, tuple(map(_shape, leaves))
        return _kept.get(key, lambda: (self._new(), self.size))[0]

    def _new(self) -> Any:
        """Return a ``jax.jit`` of a new function: those of one function share their caches."""
        function = self.function

        @wraps(function)
        def new(*arguments: Any, **more: Any) -> Any:
            return function(*arguments, **more)

        return jax.jit(new, **self.options)

    def clear_cache(self) -> None:
        """Drop what is kept."""
        _kept.drop(lambda key: key[0] is self)


def jit(*, size: int = SMALL, **options: Any) -> Callable[[Callable[..., Any]], Jitted]:
    """Return a decorator like ``jax.jit``, of whose programs only the last are kept.

    Args:
      size: rough bytes that are kept for the function.
      **options: those of ``jax.jit``.
    """
    return lambda function: Jitted(function, size, options)


def _shape(x: Any) -> Hashable:
    """Return what tells the shapes of arguments apart, and those that are not traced."""
    if isinstance(x, int | float):
        return type(x)
    return getattr(x, "shape", x)


def make_room() -> None:
    """Empty JAX's own caches if they hold too much. Call this between runs.

    They are also those of other programs of the process, which are compiled again where needed.
    Where others hold memory maps that stay, it is not done again until there are a third more.
    """
    mapped = memory_maps() > max(MOST_MAPS, _emptied.maps * 4 / 3)
    if mapped or _kept.dropped - _emptied.dropped > MOST_DROPPED:
        jax.clear_caches()
        gc.collect()
        _emptied.maps, _emptied.dropped = memory_maps(), _kept.dropped
