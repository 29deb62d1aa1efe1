"""Signals: asked about at safe places, and put back as they were."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from jaxstyle.cli.interrupt import Terminated, deferred_interrupt
from tests.processes import process_environment

SIGNALS = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: Terminated}


@pytest.fixture
def handlers():
    """Handlers of the test's own, which are put back after it, also after an error."""
    mine = {number: lambda *_: None for number in SIGNALS}
    before = {number: signal.signal(number, handler) for number, handler in mine.items()}
    yield mine
    found = {number: signal.getsignal(number) for number in mine}
    for number, handler in before.items():
        signal.signal(number, handler)
    assert found == mine


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_an_error_where_it_is_asked_about(handlers, number):
    with pytest.raises(KeyboardInterrupt) as stop, deferred_interrupt() as check:
        check()
        os.kill(os.getpid(), number)
        check()
    assert type(stop.value) is SIGNALS[number]


def test_without_a_signal_nothing_happens(handlers):
    for _ in range(2):
        with deferred_interrupt() as check:
            check()
            assert signal.getsignal(signal.SIGTERM) is not handlers[signal.SIGTERM]


def test_another_thread_leaves_signals_alone(handlers):
    found = []

    def elsewhere():
        with deferred_interrupt() as check:
            check()
            found.append({number: signal.getsignal(number) for number in SIGNALS})

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert found == [handlers]


TWO_SIGNALS = """
import os, sys
from jaxstyle.cli.interrupt import deferred_interrupt
with deferred_interrupt():
    for number in sys.argv[1:]:
        os.kill(os.getpid(), int(number))
print("not reached")
"""


@pytest.mark.parametrize("numbers", [(2, 15), pytest.param((15, 2), marks=pytest.mark.slow)])
def test_a_second_signal_leaves_at_once(numbers):
    command = [sys.executable, "-c", TWO_SIGNALS, *map(str, numbers)]
    done = subprocess.run(command, capture_output=True, text=True, env=process_environment())
    assert (done.returncode, done.stdout, done.stderr) == (128 + numbers[-1], "", "")
