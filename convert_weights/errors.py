"""Exceptions: the base class of the project and the one of this package."""

import difflib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


class JaxstyleError(Exception):
    """Base class of the project's errors; the message is one line saying what to do about it.

    It is made printable and not too long, as it may quote names, text or bytes of a hostile file.
    """

    def __init__(self, message: str) -> None:
        text = printable(message)
        super().__init__(text if len(text) <= 2000 else f"{text[:1500]}...{text[-497:]}")


class WeightsError(JaxstyleError):
    """A failure to read, recognize, fetch or write a weights file."""


class TemporaryFolderError(WeightsError):
    """The folder for temporary files is full, or nothing can be written there."""


def printable(text: str) -> str:
    """Return text from outside as one line that no terminal takes for a command.

    Every run of white space becomes one space, and every other character that is not printable
    (control characters, escapes, changes of the writing direction, broken encodings) becomes "?".
    """
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))


def one_line(error: BaseException) -> str:
    """Return an exception's message as one non-empty line of at most 200 characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """Return a suggestion that ends an error about ``word``; empty if no word is like it.

    >>> did_you_mean("Nose", ["content", "noise"])
    ': did you mean noise?'
    """
    # Without dashes, which would make all flags alike.
    known = {one.lstrip("-"): one for one in sorted(words, key=lambda one: (len(one), one))}
    word = word.lstrip("-").lower()
    longer = [one for one in known if len(word) > 2 and one.startswith(word)]
    near = longer or difflib.get_close_matches(word, known, n=5)
    # Of near words that with the same beginning: for conv2_3 conv2_1, not conv5_3.
    best = max(near, key=lambda one: len(os.path.commonprefix([word, one])), default="")
    return f": did you mean {known[best]}?" if best else ""


@contextmanager
def naming(path: Path | str) -> Iterator[None]:
    """Prefix the message of every `WeightsError` raised inside the block with the file's path.

    A `TemporaryFolderError` is left as it is: the file is not to blame.

    Raises:
        WeightsError: "PATH: message", also in place of OSError and MemoryError.
    """
    try:
        yield
    except TemporaryFolderError:
        raise
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    except MemoryError as error:
        raise WeightsError(f"{path}: needs more memory than is available") from error
    except OSError as error:
        reason = error.strerror or one_line(error)
        raise WeightsError(f"{path}: cannot be read: {reason}") from error


class DamagedError(JaxstyleError, ValueError):
    """A file that this project wrote itself does not hold what it wrote there."""
