"""Ctrl-C and SIGTERM, deferred until the program checks for them."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

INTERRUPTED = 130
TERMINATED = 143


class Terminated(KeyboardInterrupt):
    """SIGTERM was received: the system asks the process to end."""


STOPS = {
    signal.SIGINT: (KeyboardInterrupt, INTERRUPTED),
    signal.SIGTERM: (Terminated, TERMINATED),
}
"""The exception and the exit status of each signal."""


@contextmanager
def deferred_interrupt() -> Iterator[Callable[[], None]]:
    """Record Ctrl-C and SIGTERM in the block, and yield a function that raises a recorded one.

    It raises KeyboardInterrupt, or its subclass `Terminated` for SIGTERM. The signals are deferred
    because an exception thrown into XLA while it compiles can end the process without a message,
    and one thrown into a JAX callback is lost. A second signal ends the process at once. Outside
    the main thread, which alone receives signals, nothing is changed or raised.
    """
    seen: list[int] = []

    def remember(number: int, frame: object) -> None:
        if seen:  # not an exception: the code it would interrupt may be XLA, or catch it
            os._exit(STOPS[signal.Signals(number)][1])
        seen.append(number)

    def check() -> None:
        if seen:
            raise STOPS[signal.Signals(seen[0])][0]

    if threading.current_thread() is not threading.main_thread():
        yield check
        return
    before = {number: signal.signal(number, remember) for number in STOPS}
    try:
        yield check
    finally:
        for number, handler in before.items():
            # None stands for a handler set outside Python, which cannot be restored.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
