"""Conversion of failures to one line on standard error and an exit status."""

import sys
from collections.abc import Callable
from contextlib import suppress

from convert_weights.command_line import WRONG_USAGE, flag, output_failure
from convert_weights.errors import one_line, printable
from jaxstyle.cli.environment import variables
from jaxstyle.cli.interrupt import INTERRUPTED, TERMINATED, Terminated
from jaxstyle.errors import HostFlagsError, JaxstyleError, SettingError, UsageError

FAILED = 1
EXPECTED = (JaxstyleError, OSError, MemoryError)


def exit_status(command: Callable[[], None], debug: bool) -> int:
    """Run a command and return its exit status, after printing any failure in one line.

    It is no failure if the output is closed early, as by ``head``.

    Args:
      command: parses arguments and does what they say.
      debug: raise exceptions instead.
    """
    try:
        try:
            command()
        except SystemExit:  # argparse has printed help or an error
            sys.stdout.flush()
            raise
        sys.stdout.flush()
    except Exception as error:
        said = output_failure(error)
        if said is not None:
            return _print_failure(said, FAILED, error) if said else 0
        if debug:
            raise
        return _failed(error)
    except KeyboardInterrupt as stop:
        if debug:
            raise
        if isinstance(stop, Terminated):
            return _print_failure("terminated", TERMINATED, stop)
        return _print_failure("interrupted", INTERRUPTED, stop)
    return 0


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
    return _print_failure(_unexpected(error), FAILED, error)


def _unexpected(error: Exception) -> str:
    said = f"{type(error).__name__}: {one_line(error)}" if str(error) else type(error).__name__
    named = f", perhaps because of {variables()}: try without" if variables() else ""
    return f"unexpected {said}{named} (--debug shows where)"


def _print_failure(message: str, status: int, error: BaseException) -> int:
    # Notes tell what was saved nevertheless; JAX's begin with a rule, and are about tracebacks.
    notes = [note for note in getattr(error, "__notes__", ()) if not note.startswith("---")]
    line = ": ".join([message, *notes])
    with suppress(OSError):  # nobody can be told
        print(f"jaxstyle: {printable(line)}", file=sys.stderr)
    return status
