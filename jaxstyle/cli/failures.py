"""Failures as one line on standard error and an exit status."""

import argparse
import sys
from collections.abc import Callable

from jaxstyle.cli.flags import WRONG_USAGE, flag
from jaxstyle.image import ImageError
from jaxstyle.settings import SettingError
from jaxstyle.solve import DivergedError
from jaxstyle.stylize import PictureSizeError
from jaxstyle.weights import WeightsError

FAILED = 1
INTERRUPTED = 130

EXPECTED = (ImageError, WeightsError, PictureSizeError, DivergedError, OSError, MemoryError)


class UsageError(Exception):
    """A combination of arguments that cannot be meant."""


def exit_status(
    command: Callable[[argparse.Namespace], None], namespace: argparse.Namespace
) -> int:
    """Run a command. What went wrong is said in one line; ``--debug`` shows the traceback."""
    try:
        command(namespace)
    except Exception as error:
        if namespace.debug:
            raise
        return _failed(error)
    except KeyboardInterrupt as stop:
        if namespace.debug:
            raise
        return _say(str(stop) or "interrupted", INTERRUPTED)
    return 0


def _failed(error: Exception) -> int:
    if isinstance(error, SettingError):
        return _say(f"{flag(error.name)} {error.problem}", WRONG_USAGE)
    if isinstance(error, UsageError):
        return _say(str(error), WRONG_USAGE)
    if isinstance(error, EXPECTED):
        return _say(str(error) or type(error).__name__, FAILED)
    if "RESOURCE_EXHAUSTED" in str(error):
        return _say("out of memory: lower --size, or use a device with more", FAILED)
    summary = f"unexpected {type(error).__name__}: {error} (--debug shows where)"
    return _say(summary, FAILED)


def _say(message: str, status: int) -> int:
    print("jaxstyle: " + " ".join(message.split()), file=sys.stderr)
    return status
