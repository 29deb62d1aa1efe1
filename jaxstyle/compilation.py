"""Count and time what JAX compiles, by listening to its own events."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from jax import monitoring

_BACKEND = "/jax/core/compile/backend_compile_duration"
_PREFIX = "/jax/core/compile/"


@dataclass
class Compilations:
    """seconds: tracing, lowering and compiling. programs: how often each function was compiled."""

    seconds: float = 0.0
    programs: Counter[str] = field(default_factory=Counter)


@contextmanager
def counted() -> Iterator[Compilations]:
    """Everything compiled in this process while the block runs.

    >>> import jax, jax.numpy as jnp
    >>> def double(x):
    ...     return 2 * x
    >>> with counted() as compiled:
    ...     _ = jax.jit(double)(jnp.ones(3)), jax.jit(double)(jnp.zeros(3))
    >>> compiled.programs["double"]
    1
    """
    tally = Compilations()

    def listen(event: str, duration_secs: float, **details: str | int) -> None:
        if event.startswith(_PREFIX):
            tally.seconds += duration_secs
        if event == _BACKEND:
            name = str(details.get("fun_name", ""))
            tally.programs[name.removeprefix("jit(").removesuffix(")")] += 1

    monitoring.register_event_duration_secs_listener(listen)
    try:
        yield tally
    finally:
        monitoring.unregister_event_duration_listener(listen)
