"""Compilation: counting and timing it, caching its results on disk, doing it in the background."""

import os
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, TypeVar

import jax
from jax import monitoring

from jaxstyle.machine import host

KEPT_BYTES = 2**30
"""Size limit of the persistent cache of compiled programs."""

Item = TypeVar("Item")
Made = TypeVar("Made")

_PAUSE = 0.1
"""Seconds between two calls of ``pause``."""

_BACKEND = "/jax/core/compile/backend_compile_duration"
_PREFIX = "/jax/core/compile/"
_USUAL_RULES = {
    "numpy_dtype_promotion": "standard",
    "numpy_rank_promotion": "allow",
    "transfer_guard": "allow",
}


@dataclass
class Compilations:
    """A tally of compilations.

    Attributes:
      seconds: total time of tracing, lowering and compiling.
      count: number of programs that were compiled, or read from the persistent cache.
    """

    seconds: float = 0.0
    count: int = 0


@contextmanager
def counted(*, here: bool = False) -> Iterator[Compilations]:
    """Count and time all compilations in this process while the block runs.

    Args:
      here: count only those of the current thread.

    >>> import jax, jax.numpy as jnp
    >>> def double(x):
    ...     return 2 * x
    >>> ones, zeros = jnp.ones(3), jnp.zeros(3)
    >>> with counted() as compiled:
    ...     _ = jax.jit(double)(ones), jax.jit(double)(zeros)
    >>> compiled.count
    1
    """
    tally, thread = Compilations(), threading.get_ident()

    def listen(event: str, duration_secs: float, **details: str | int) -> None:
        if here and threading.get_ident() != thread:
            return
        if event.startswith(_PREFIX):
            tally.seconds += duration_secs
        if event == _BACKEND:
            tally.count += 1

    monitoring.register_event_duration_secs_listener(listen)
    try:
        yield tally
    finally:
        monitoring.unregister_event_duration_listener(listen)


@contextmanager
def usual_rules() -> Iterator[None]:
    """Compute by JAX's own default rules in the block.

    Others, of type promotion, ranks and transfers, are for code that was written with them in mind.
    """
    with ExitStack() as stack:
        for name, value in _USUAL_RULES.items():
            stack.enter_context(getattr(jax, name)(value))
        yield


def use_usual_rules() -> None:
    """Compute by JAX's own default rules in the whole process: see ``usual_rules``."""
    for name, value in _USUAL_RULES.items():
        jax.config.update(f"jax_{name}", value)


def one_ahead(
    function: Callable[[Item], Made],
    items: Sequence[Item],
    pause: Callable[[], None] = lambda: None,
) -> Iterator[tuple[Item, Made]]:
    """Yield each item with its function value, while the next value is computed in the background.

    The background thread inherits JAX's thread-local settings: double precision, default device.

    Args:
      function: computes a value.
      items: what to compute values for, in order.
      pause: called several times a second while a value is waited for; may raise to end it.
    """
    config: Any = jax.config
    double, device = config.jax_enable_x64, config.jax_default_device

    def made(item: Item) -> Made:
        with jax.enable_x64(double), jax.default_device(device), usual_rules():
            return function(item)

    background = ThreadPoolExecutor(1)
    try:
        waiting = background.submit(made, items[0])
        for index, item in enumerate(items):
            while not wait([waiting], timeout=_PAUSE).done:
                pause()
            ready = waiting.result()
            if items[index + 1 :]:
                waiting = background.submit(made, items[index + 1])
            yield item, ready
    finally:
        background.shutdown(wait=False, cancel_futures=True)


def in_turn(function: Callable[[Item], Made], items: Sequence[Item]) -> Iterator[tuple[Item, Made]]:
    """Yield each item with its function value, computed on demand, without a background thread.

    Needed where several devices compute together: they must all receive programs in the same order.
    Two threads could enqueue them in different orders on each device or host: a deadlock.
    """
    return ((item, function(item)) for item in items)


def persist(directory: Path | None = None) -> None:
    """Enable JAX's persistent compilation cache, unless the user has configured it already.

    The cache is limited to ``KEPT_BYTES``. Without a directory that can be written, it stays
    disabled.

    Args:
      directory: where to keep it; if None, a folder in the user's cache directory.
    """
    config: Any = jax.config
    # JAX warns about an entry left unfinished by another process, or about a folder it cannot use,
    # then simply compiles again.
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache")
    if config.jax_compilation_cache_dir or "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    programs, cached = directory, host.cache_directory()
    if directory is None and cached:
        programs = cached / "programs"
        directory = programs / host.fingerprint()
    if programs is None or directory is None or host.unwritable(directory):
        return
    config.update("jax_compilation_cache_dir", str(directory))
    config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    _trim(programs)


def _trim(directory: Path) -> None:
    """Delete empty cache entries, and the oldest until at most ``KEPT_BYTES`` are left.

    A full disk leaves empty entries, and JAX never replaces an entry.
    """
    try:
        files = [(path, path.stat()) for path in directory.rglob("*-cache")]
        files.sort(key=lambda file: file[1].st_mtime, reverse=True)
        for (path, stat), total in zip(
            files, accumulate(stat.st_size for _, stat in files), strict=True
        ):
            if total > KEPT_BYTES or not stat.st_size:
                path.unlink(missing_ok=True)
    except OSError:
        pass  # another process is trimming it, or the folder is not writable
