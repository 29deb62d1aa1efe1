"""Failures as one line on standard error and an exit status."""

import argparse
import os
import sys
from collections.abc import Callable

from jaxstyle.cli.flags import WRONG_USAGE, flag
from jaxstyle.cli.interrupt import INTERRUPTED, TERMINATED, Terminated
from jaxstyle.errors import HostFlagsError, JaxstyleError, SettingError, UsageError

FAILED = 1
EXPECTED = (JaxstyleError, OSError, MemoryError)


def exit_status(
    command: Callable[[argparse.Namespace], None], namespace: argparse.Namespace
) -> int:
    """Run a command. What went wrong is said in one line; ``--debug`` shows the traceback."""
    try:
        command(namespace)
        if sys.stdout:  # it may have been closed from the start
            sys.stdout.flush()
    except BrokenPipeError:  # whoever reads has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        if namespace.debug:
            raise
        return _failed(error)
    except KeyboardInterrupt as stop:
        if namespace.debug:
            raise
        if isinstance(stop, Terminated):
            return _say("terminated", TERMINATED, stop)
        return _say("interrupted", INTERRUPTED, stop)
    return 0


def _failed(error: Exception) -> int:
    if isinstance(error, SettingError):
        return _say(f"{flag(error.name)} {error.problem}", WRONG_USAGE, error)
    if isinstance(error, UsageError | HostFlagsError):
        return _say(str(error), WRONG_USAGE, error)
    if isinstance(error, EXPECTED):
        return _say(str(error) or type(error).__name__, FAILED, error)
    if "RESOURCE_EXHAUSTED" in str(error):
        return _say("out of memory: lower --size, or use a device with more", FAILED, error)
    summary = f"unexpected {type(error).__name__}: {error} (--debug shows where)"
    return _say(summary, FAILED, error)


def _say(message: str, status: int, error: BaseException) -> int:
    # Notes say what was saved all the same; file names may hold anything.
    line = ": ".join([message, *getattr(error, "__notes__", ())])
    printable = "".join(c if c.isprintable() else " " for c in line)
    print("jaxstyle: " + " ".join(printable.split()), file=sys.stderr)
    return status
