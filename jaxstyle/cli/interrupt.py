"""Ctrl-C and the other signals that ask a program to end, deferred until it checks for them."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import NoReturn

NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGXCPU", "SIGUSR1", "SIGUSR2", "SIGBREAK")
"""Signals that end a process by default, and are sent to ask it to end.

SIGHUP: the terminal is gone. SIGXCPU: out of processor time. SIGUSR1, SIGUSR2: as batch systems
warn. SIGBREAK: Ctrl-Break on Windows.
"""

STOPS = tuple(getattr(signal, name) for name in NAMES if hasattr(signal, name))

_AGAIN = {number for number in STOPS if number.name in ("SIGINT", "SIGTERM", "SIGBREAK")}
"""Signals that end the process at once if they come again. Systems send the others repeatedly."""

_TOGETHER = 0.5
"""Seconds within which further signals are the same request: ``timeout`` sends each twice."""

_SAY_AFTER, _LEAVE_AFTER, _RETRY = 0.2, 0.8, 0.25
"""Seconds from a signal until it is told, from then until the program is left, and between tries
to leave it."""


class Stopped(KeyboardInterrupt):
    """The process was asked to end.

    Attributes:
      number: the signal.
    """

    def __init__(self, number: signal.Signals) -> None:
        super().__init__()
        self.number = number


def outcome(stop: KeyboardInterrupt) -> tuple[str, int]:
    """Return a word for how a command was ended, and its exit status."""
    number = stop.number if isinstance(stop, Stopped) else signal.SIGINT
    words = {"SIGINT": "interrupted", "SIGTERM": "terminated"}
    return words.get(number.name, f"terminated by {number.name}"), 128 + number


@dataclass
class Requests:
    """Requests to end the process. Call it to raise the first, once there is one.

    Attributes:
      tell: prints a line for the user.
      first: the first signal.
      leave: ends the process, if it can do so from another thread; else it returns.
      over: set once the main thread is about to end, so that nothing else has to be done.
      lock: held by the thread that ends the process.
    """

    tell: Callable[[str], None]
    first: signal.Signals | None = None
    leave: Callable[[Stopped], None] | None = None
    over: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self) -> None:
        """Raise Stopped if the process was asked to end."""
        if self.first is None:
            return
        if threading.current_thread() is threading.main_thread():
            with self.lock:  # for ever, if another thread ends the process
                self.over.set()
        raise Stopped(self.first)

    @contextmanager
    def may_leave(self, leave: Callable[[Stopped], None]) -> Iterator[None]:
        """Allow another thread to end the process while the block takes long to check.

        Args:
          leave: saves what there is and ends the process; returns if it cannot do so now.
        """
        self.leave = leave
        try:
            yield
        finally:
            with self.lock:
                self.leave = None

    def note(self, number: int, frame: object = None) -> None:
        """Record a signal."""
        self.first = self.first or signal.Signals(number)

    def watch(self, signals: socket.socket) -> None:
        """Act on signals as they arrive, until a zero does.

        The main thread may be inside XLA for a long time, where Python handles no signals.
        """
        since = None
        while True:
            for number in signals.recv(4096):
                if number == 0:
                    return
                if number not in STOPS:  # another signal that has a handler
                    continue
                if since is None:
                    since = time.monotonic()
                    self.note(number)
                    threading.Thread(target=self._hurry, daemon=True).start()
                elif number in _AGAIN and time.monotonic() - since > _TOGETHER:
                    leave_now(128 + number)

    def _hurry(self) -> None:
        """Say that the program is stopping, and end it, unless the main thread does so itself."""
        if self.over.wait(_SAY_AFTER):
            return
        self.tell("stopping...")
        wait = _LEAVE_AFTER
        while not self.over.wait(wait):
            wait = _RETRY
            with self.lock:
                if self.leave and self.first and not self.over.is_set():
                    self.leave(Stopped(self.first))


@contextmanager
def deferred_interrupt(tell: Callable[[str], None]) -> Iterator[Requests]:
    """Record requests to end in the block, and yield a function that raises a recorded one.

    It raises `Stopped`, a KeyboardInterrupt. The signals are deferred because an exception thrown
    into XLA while it compiles can end the process without a message, and one thrown into a JAX
    callback is lost. If they are not checked for at once, "stopping..." is told. A second Ctrl-C or
    SIGTERM ends the process at once. Signals that are ignored, as by ``nohup``, stay so. Outside
    the main thread, which alone receives signals, nothing is changed or raised.

    Args:
      tell: prints a line for the user.
    """
    requests = Requests(tell)
    if threading.current_thread() is not threading.main_thread():
        yield requests
        return
    reading, writing = socket.socketpair()
    writing.setblocking(False)
    watcher = threading.Thread(target=requests.watch, args=(reading,), daemon=True)
    before_fd = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    wanted = [number for number in STOPS if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, requests.note) for number in wanted}
    watcher.start()
    try:
        yield requests
    finally:
        for number, handler in before.items():
            # None stands for a handler set outside Python, which cannot be restored.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        signal.set_wakeup_fd(before_fd)
        requests.over.set()
        writing.send(b"\0")
        watcher.join()
        reading.close()
        writing.close()


def leave_now(status: int) -> NoReturn:
    """End the process at once, from any thread."""
    with suppress(OSError):
        if os.isatty(2):
            os.write(2, b"\x1b[?25h")  # a progress bar hides the cursor
    os._exit(status)
