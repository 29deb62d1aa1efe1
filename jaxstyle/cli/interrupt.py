"""Ctrl-C, and being told to end, as a question asked at safe places."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

INTERRUPTED = 130
TERMINATED = 143


class Terminated(KeyboardInterrupt):
    """SIGTERM: the system wants the machine back."""


STOPS = {
    signal.SIGINT: (KeyboardInterrupt, INTERRUPTED),
    signal.SIGTERM: (Terminated, TERMINATED),
}
"""What each signal raises, and the exit status after it."""


@contextmanager
def deferred_interrupt() -> Iterator[Callable[[], None]]:
    """While the block runs, Ctrl-C and SIGTERM only raise a flag, and what is yielded raises it as
    an error: KeyboardInterrupt, or its kind ``Terminated``.

    An exception thrown into XLA while it compiles can end the process without a word, and one
    thrown into a callback of JAX's is lost. A second signal leaves at once. Signals come to the
    main thread: in any other one nothing is changed, and nothing raised.
    """
    seen: list[int] = []

    def remember(number: int, frame: object) -> None:
        if seen:
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
            # None is a handler that was not Python's, which cannot be put back.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
