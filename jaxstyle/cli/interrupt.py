"""Ctrl-C as a question asked at safe places."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

INTERRUPTED = 130


@contextmanager
def deferred_interrupt() -> Iterator[Callable[[], None]]:
    """While the block runs, Ctrl-C only raises a flag, and what is yielded raises it as an error.

    An exception thrown into XLA while it compiles can end the process without a word, and one
    thrown into a callback of JAX's is lost. A second Ctrl-C leaves at once.
    """
    seen = False

    def remember(number: int, frame: object) -> None:
        nonlocal seen
        if seen:
            os._exit(INTERRUPTED)
        seen = True

    def check() -> None:
        if seen:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, remember)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, before)
