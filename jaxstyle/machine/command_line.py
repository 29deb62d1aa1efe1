"""What command lines have in common: standard streams, and a parser with errors of one line.

Whatever comes from outside is printed by `show`, as one plain line.
"""

import argparse
import io
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import takewhile
from typing import Any, NoReturn, TextIO, cast

from jaxstyle.errors import did_you_mean, printable

WRONG_USAGE = 2
OUTPUT = "standard output"


def open_streams() -> None:
    """Open the standard streams that are closed, on the null device, and let them print any text.

    Otherwise the next files to be opened would take their places, and be written to by ``print``.
    """
    for number, mode in enumerate((os.O_RDONLY, os.O_WRONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)  # takes the lowest free number, which is this one
    # Python has set those to None that were closed when it started.
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    errors = sys.stderr or os.fdopen(2, "w", closefd=False, errors="backslashreplace")
    sys.stderr = cast(TextIO, Lenient(errors))
    if os.name == "nt" and sys.stdout:  # a console there is no file
        sys.stdout.reconfigure(errors="backslashreplace")  # pyright: ignore
        return
    encoding = sys.stdout.encoding if sys.stdout else None
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(_Output(1, "w", closefd=False)),
        encoding,
        errors="backslashreplace",
        line_buffering=os.isatty(1),
    )


def show(text: str, stream: Any) -> None:
    """Print text from outside as one plain line on a standard stream, if there is one."""
    if stream is not None:
        print(printable(text), file=stream, flush=True)


class Lenient:
    """A text stream that may break, as when its terminal is closed: what it cannot take is dropped.

    Without it, a run would end at the first line that it prints.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write a text, if that is possible."""
        with suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush the stream, if that is possible."""
        with suppress(OSError, ValueError):
            self._stream.flush()


class _Output(io.FileIO):
    """Standard output, whose errors say so: those of ``print`` name no file."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            error.filename = OUTPUT
            raise


def output_failure(error: BaseException) -> str | None:
    """Return what to say of an error of standard output, which nothing is printed on any more.

    Returns:
      One line; empty if nobody reads the output, as when ``head`` has seen enough; None if it is
      another error.
    """
    if not isinstance(error, OSError) or error.filename != OUTPUT:
        return None
    # What is left in the buffer would fail again when Python ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if isinstance(error, BrokenPipeError):
        return ""
    return f"{OUTPUT} cannot be written: {error.strerror}"


def flag(name: str) -> str:
    """Return the flag of a setting or an argument: ``--style-weight`` for ``style_weight``."""
    return "--" + name.replace("_", "-")


def one_of(choices: Iterable[str]) -> dict[str, Any]:
    """Return options of ``add_argument`` for one of some words; suggest the nearest."""
    words = list(choices)

    def chosen(text: str) -> str:
        if text not in words:
            near = did_you_mean(text, words)
            raise argparse.ArgumentTypeError(f"{text!r} is not one of {', '.join(words)}{near}")
        return text

    return {"type": chosen, "metavar": f"{{{','.join(words)}}}"}


class Parser(argparse.ArgumentParser):
    """An ArgumentParser without abbreviated flags, whose errors are one line with a suggestion.

    Args:
      elsewhere: returns what to say about a flag that this parser does not have, such as which
        command has it; empty for nothing.
      **options: those of ArgumentParser.
    """

    def __init__(self, elsewhere: Callable[[str], str] = lambda flag: "", **options: Any):
        super().__init__(**{"allow_abbrev": False, **options})
        self._elsewhere = elsewhere

    @property
    def flags(self) -> list[str]:
        """The flags of this parser that have long names, with their dashes."""
        return [name for name in self._option_string_actions if name.startswith("--")]

    def print_help(self, file: Any = None) -> None:
        """Print the help; unlike argparse's own, fail where it cannot be written."""
        if stream := file or sys.stdout:
            stream.write(self.format_help())

    def error(self, message: str) -> NoReturn:
        self.exit(WRONG_USAGE, f"{self.prog}: {printable(message)} (see --help)\n")

    def parse_known_args(self, args=None, namespace=None):  # pyright: ignore
        return super().parse_known_args(self._checked(args), namespace)

    def parse_known_intermixed_args(self, args=None, namespace=None):  # pyright: ignore
        return super().parse_known_intermixed_args(self._checked(args), namespace)

    def _checked(self, args: Sequence[str] | None) -> list[str]:
        """Return the arguments, after refusing a flag that this parser does not have."""
        words = sys.argv[1:] if args is None else list(args)
        for word in takewhile(lambda word: word != "--", words):
            name = word.partition("=")[0]
            if word.startswith("--") and " " not in name and name not in self.flags:
                alike = [known for known in self.flags if known.rstrip("s") == name.rstrip("s")]
                about = (
                    did_you_mean(name, alike)
                    or self._elsewhere(name)
                    or did_you_mean(name, self.flags)
                )
                self.error(f"unrecognized arguments: {name}{about}")
        return words
