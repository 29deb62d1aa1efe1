"""Conversion of failures to one line on standard error and an exit status."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import NoReturn, TypeVar

from jaxstyle.cli.environment import platform_problem, variables
from jaxstyle.cli.interrupt import Requests, Stopped, deferred_interrupt, leave_now, outcome
from jaxstyle.errors import (
    JaxstyleError,
    SettingError,
    UsageError,
    message_of,
    one_line,
)
from jaxstyle.machine.command_line import WRONG_USAGE, output_failure, show

FAILED = 1
EXPECTED = (JaxstyleError, OSError, MemoryError)

T = TypeVar("T")


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


@contextmanager
def saving(
    requests: Requests,
    shown: AbstractContextManager[T],
    save: Callable[[BaseException], None],
    can_save: Callable[[], bool] = lambda: True,
) -> Iterator[T]:
    """Save what a block has made if it ends early. If it takes long to end, another thread does it.

    Args:
      requests: requests to end the process.
      shown: shows the progress of the block.
      save: saves what there is, and adds a note about it to the exception.
      can_save: whether another thread can save it now.

    Yields:
      What ``shown`` yields.
    """
    with ExitStack() as stack:
        value = stack.enter_context(shown)

        def leave(stop: Stopped) -> None:
            if can_save():
                save(stop)
                stack.close()
                end_now(stop)

        try:
            with requests.may_leave(leave):
                yield value
        except (Exception, KeyboardInterrupt) as stop:
            save(stop)
            raise


def _failed(error: Exception) -> int:
    if isinstance(error, SettingError):
        from jaxstyle.cli.flags import flag_of  # which imports JAX

        return _print_failure(f"{flag_of(error.name)} {error.problem}", WRONG_USAGE, error)
    if isinstance(error, UsageError):
        return _print_failure(str(error), WRONG_USAGE, error)
    if repr(error) == "MemoryError()" or "failed to map" in str(error):
        # The latter is of the loader of libraries.
        said = "out of memory: too little is left to this process (see ulimit -v)"
        return _print_failure(said, FAILED, error)
    if isinstance(error, EXPECTED):
        return _print_failure(message_of(error), FAILED, error)
    if "RESOURCE_EXHAUSTED" in str(error):
        return _print_failure(
            "out of memory: lower --size, or use a device with more memory", FAILED, error
        )
    return _print_failure(_unexpected(error), FAILED, error)


def _unexpected(error: Exception) -> str:
    if problem := platform_problem():
        return problem
    said = f"{type(error).__name__}: {one_line(error)}" if str(error) else type(error).__name__
    named = f", perhaps because of {variables()}: try without" if variables() else ""
    return f"unexpected {said}{named} (--debug shows where)"


def _print_failure(message: str, status: int, error: BaseException) -> int:
    # Notes tell what was saved nevertheless; JAX's begin with a rule, and are about tracebacks.
    notes = [note for note in getattr(error, "__notes__", ()) if not note.startswith("---")]
    line = ": ".join([message, *notes])
    show(f"jaxstyle: {line}", sys.stderr)
    return status
