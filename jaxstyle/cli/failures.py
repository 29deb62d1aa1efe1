"""Conversion of failures to one line on standard error and an exit status."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from jaxstyle.cli.flags import WRONG_USAGE, flag
from jaxstyle.cli.interrupt import Requests, deferred_interrupt, leave_now, outcome
from jaxstyle.errors import HostFlagsError, JaxstyleError, SettingError, UsageError

FAILED = 1
EXPECTED = (JaxstyleError, OSError, MemoryError)


def exit_status(
    command: Callable[[argparse.Namespace], None], namespace: argparse.Namespace
) -> int:
    """Run a command and return its exit status, after printing any failure in one line.

    With ``--debug`` the exception is raised instead. It is no failure if the output is closed
    early, as by ``head``.
    """
    try:
        command(namespace)
        if sys.stdout:  # None if it was closed before the start
            sys.stdout.flush()
    except BrokenPipeError:  # the reader of a pipe has closed it, as head does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        if namespace.debug:
            raise
        return _failed(error)
    except KeyboardInterrupt as stop:
        if namespace.debug:
            raise
        return ended(stop)
    return 0


def ended(stop: KeyboardInterrupt) -> int:
    """Print that a command was ended, and how; return its exit status."""
    return _print_failure(*outcome(stop), stop)


def end_now(stop: KeyboardInterrupt) -> NoReturn:
    """Print that a command was ended, and end the process at once, from any thread."""
    leave_now(ended(stop))


@contextmanager
def interruptible(tell: Callable[[str], None]) -> Iterator[Requests]:
    """Let a block that takes long be interrupted, in which there is nothing to be saved.

    Args:
      tell: prints a line for the user.

    Yields:
      A function that raises KeyboardInterrupt if the process was asked to end.
    """
    with deferred_interrupt(tell) as check, check.may_leave(end_now):
        yield check
        check()


def _failed(error: Exception) -> int:
    if isinstance(error, SettingError):
        return _print_failure(f"{flag(error.name)} {error.problem}", WRONG_USAGE, error)
    if isinstance(error, UsageError | HostFlagsError):
        return _print_failure(str(error), WRONG_USAGE, error)
    if isinstance(error, EXPECTED):
        return _print_failure(str(error) or type(error).__name__, FAILED, error)
    if "RESOURCE_EXHAUSTED" in str(error):
        return _print_failure(
            "out of memory: lower --size, or use a device with more memory", FAILED, error
        )
    summary = f"unexpected {type(error).__name__}: {error} (--debug shows where)"
    return _print_failure(summary, FAILED, error)


def _print_failure(message: str, status: int, error: BaseException) -> int:
    # Notes tell what was saved nevertheless. File names may contain unprintable characters.
    line = ": ".join([message, *getattr(error, "__notes__", ())])
    printable = "".join(c if c.isprintable() else " " for c in line)
    print("jaxstyle: " + " ".join(printable.split()), file=sys.stderr)
    return status
