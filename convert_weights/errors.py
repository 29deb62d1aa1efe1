"""Exceptions: the base class of the project and the one of this package."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class JaxstyleError(Exception):
    """Base class of the project's errors; the message is one line saying what to do about it."""


class WeightsError(JaxstyleError):
    """A failure to read, recognize, fetch or write a weights file.

    The message is reduced to one printable line, even if it quotes names from a hostile file.
    """

    def __init__(self, message: str) -> None:
        line = " ".join(message[:2000].split())
        super().__init__("".join(c if c.isprintable() else "?" for c in line))


class DamagedError(JaxstyleError, ValueError):
    """A file that this project wrote itself does not hold what it wrote there."""


def one_line(error: BaseException) -> str:
    """Return an exception's message as one non-empty line of at most 200 characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."


@contextmanager
def naming(path: Path | str) -> Iterator[None]:
    """Prefix the message of every `WeightsError` raised inside the block with the file's path.

    Raises:
        WeightsError: "PATH: message", also in place of OSError and MemoryError.
    """
    try:
        yield
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    except MemoryError as error:
        raise WeightsError(f"{path}: needs more memory than is available") from error
    except OSError as error:
        reason = error.strerror or one_line(error)
        raise WeightsError(f"{path}: cannot be read: {reason}") from error
