"""Signals: asked about at safe places, told at once, and put back as they were."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from jaxstyle.cli.failures import interruptible
from jaxstyle.cli.interrupt import STOPS, Stopped, deferred_interrupt, outcome
from tests.processes import process_environment

WORDS = {
    "SIGINT": ("interrupted", 130),
    "SIGTERM": ("terminated", 143),
    "SIGHUP": ("terminated by SIGHUP", 129),
    "SIGXCPU": ("terminated by SIGXCPU", 152),
    "SIGUSR1": ("terminated by SIGUSR1", 138),
}


def deferred():
    return deferred_interrupt(lambda line: None)


@pytest.fixture
def handlers():
    """Handlers of the test's own, which are put back after it, also after an error."""
    mine = {number: lambda *_: None for number in STOPS}
    before = {number: signal.signal(number, handler) for number, handler in mine.items()}
    yield mine
    found = {number: signal.getsignal(number) for number in mine}
    for number, handler in before.items():
        signal.signal(number, handler)
    assert found == mine
    assert signal.set_wakeup_fd(-1) == -1


@pytest.mark.parametrize("number", STOPS, ids=lambda number: number.name)
def test_a_signal_is_an_error_where_it_is_asked_about(handlers, number):
    assert issubclass(Stopped, KeyboardInterrupt)
    with pytest.raises(Stopped) as stop, deferred() as check:
        check()
        os.kill(os.getpid(), number)
        check()
    assert stop.value.number == number


@pytest.mark.parametrize("name", WORDS)
def test_each_signal_has_its_exit_status(name):
    assert outcome(Stopped(getattr(signal, name))) == WORDS[name]


def test_an_interrupt_from_elsewhere_counts_as_ctrl_c():
    assert outcome(KeyboardInterrupt()) == ("interrupted", 130)


def test_without_a_signal_nothing_happens(handlers):
    for _ in range(2):
        with deferred() as check:
            check()
            assert signal.getsignal(signal.SIGTERM) is not handlers[signal.SIGTERM]
            os.kill(os.getpid(), signal.SIGWINCH)  # is no request to end


def test_signals_that_are_ignored_stay_ignored(handlers):
    for number in STOPS:  # as nohup does, or a shell in the background
        signal.signal(number, signal.SIG_IGN)
    try:
        with deferred() as check:
            for number in STOPS:
                os.kill(os.getpid(), number)
            check()
            assert {signal.getsignal(number) for number in STOPS} == {signal.SIG_IGN}
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def test_a_block_with_nothing_to_save_ends_at_its_end(handlers):
    reached = []
    with pytest.raises(Stopped), interruptible(lambda line: None):
        os.kill(os.getpid(), signal.SIGHUP)
        reached.append(True)
    assert reached


def test_another_thread_leaves_signals_alone(handlers):
    found = []

    def elsewhere():
        with deferred() as check:
            check()
            found.append({number: signal.getsignal(number) for number in STOPS})

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert found == [handlers]


BUSY = """
import ctypes, os, subprocess, sys
from contextlib import nullcontext
from jaxstyle.cli.failures import saving
from jaxstyle.cli.interrupt import deferred_interrupt

def tell(line):
    print(line, file=sys.stderr, flush=True)

def save(stop):
    stop.add_note("saved")

def busy(seconds):  # in C, where Python handles no signals, as in XLA
    ctypes.CDLL(None, use_errno=True).usleep(int(seconds * 1e6))

times, number = int(sys.argv[1]), int(sys.argv[2])
with deferred_interrupt(tell) as check, saving(check, nullcontext(), save, lambda: times == 1):
    subprocess.Popen(["sh", "-c", f"kill -{number} {os.getpid()}; sleep 0.7; " * times])
    for _ in range(600):
        busy(0.1)
"""


IDLE = pytest.mark.skipif("CI" in os.environ, reason="depends on how busy the machine is")


@pytest.mark.skipif(os.name == "nt", reason="signals of Unix")
@pytest.mark.parametrize(
    ("times", "number", "said"),
    [
        (1, signal.SIGHUP, "stopping...\njaxstyle: terminated by SIGHUP: saved\n"),
        pytest.param(2, signal.SIGINT, "stopping...\n", marks=[pytest.mark.slow, IDLE]),
    ],
    ids=["saves", "again"],
)
def test_a_program_that_is_busy_in_c_is_left_from_outside(times, number, said):
    command = [sys.executable, "-c", BUSY, str(times), str(int(number))]
    begin = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, env=process_environment())
    assert (done.stdout, done.stderr, done.returncode) == ("", said, 128 + number)
    assert time.monotonic() - begin < 30  # of the 60 for which it is busy


TWICE = """
import os, sys, time
from jaxstyle.cli.interrupt import deferred_interrupt
with deferred_interrupt(lambda line: None) as check:
    for number in sys.argv[1:]:
        os.kill(os.getpid(), int(number))
    time.sleep(1)
    print("still here")
"""


@pytest.mark.slow
@pytest.mark.parametrize("numbers", [(2, 2), (15, 1), (24, 24)], ids=str)
def test_a_request_that_is_sent_twice_is_one(numbers):
    """By timeout(1), by systemd, by the kernel each second."""
    command = [sys.executable, "-c", TWICE, *map(str, numbers)]
    done = subprocess.run(command, capture_output=True, text=True, env=process_environment())
    assert (done.returncode, done.stdout, done.stderr) == (0, "still here\n", "")
