"""Errors about a file of weights name it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jaxstyle.errors import TemporaryFolderError, WeightsError, one_line


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
