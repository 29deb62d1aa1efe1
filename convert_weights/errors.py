"""The base of this project's exceptions, and the one of this package."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class JaxstyleError(Exception):
    """Something cannot be done; the message is one line that says what, and what to do about it."""


class WeightsError(JaxstyleError):
    """A weights file cannot be read, recognized, fetched or written.

    `str()` is one printable line, even where it quotes names out of a hostile file.
    """

    def __init__(self, message: str) -> None:
        line = " ".join(message[:2000].split())
        super().__init__("".join(c if c.isprintable() else "?" for c in line))


def one_line(error: BaseException) -> str:
    """The message of any exception on one line of at most 200 characters, never empty."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."


@contextmanager
def naming(path: Path | str) -> Iterator[None]:
    """Put the name of the file in front of every complaint raised inside the block.

    Raises:
        WeightsError: "PATH: what is wrong", also in place of OSError and MemoryError.
    """
    try:
        yield
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    except MemoryError as error:
        raise WeightsError(f"{path}: asks for more memory than there is") from error
    except OSError as error:
        reason = error.strerror or one_line(error)
        raise WeightsError(f"{path}: cannot be read: {reason}") from error
