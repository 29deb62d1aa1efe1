"""Large files for a while: a folder for them that does not stay behind."""

import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from jaxstyle.errors import TemporaryFolderError, one_line
from jaxstyle.machine.files import remove_leftovers, temporary_name


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Create a folder for temporary files, and delete it after the block.

    It is also deleted on signals that end the process. Those of processes that were killed without
    any notice are deleted first.

    Raises:
        TemporaryFolderError: It cannot be created.
    """
    try:
        parent = Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        reason = "there is no folder for temporary files with free space: set TMPDIR to one"
        raise TemporaryFolderError(reason) from error
    remove_leftovers(parent)
    folder = parent / temporary_name()
    with cleaned_up():
        with _writing(parent):
            folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def new_file(path: Path) -> Iterator[Callable[[bytes], None]]:
    """Create a file in a temporary folder and yield a function that appends to it.

    Raises:
        TemporaryFolderError: The file cannot be written. Other errors are not those of the file.
    """
    folder = path.parent.parent

    def write(block: bytes) -> None:
        with _writing(folder):
            file.write(block)
            file.flush()

    with _writing(folder):
        file = open(path, "wb")  # noqa: SIM115
    with file:
        yield write


@contextmanager
def cleaned_up() -> Iterator[None]:
    """Let signals that end the process by default end the block first, which deletes its files.

    Outside the main thread, which alone receives signals, nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    known = [getattr(signal, name, None) for name in ("SIGTERM", "SIGHUP")]
    changed = [number for number in known if number and signal.getsignal(number) == signal.SIG_DFL]
    for number in changed:
        signal.signal(number, _end)
    ended = None
    try:
        yield
    except _Ended as error:
        ended = error.number
    finally:
        for number in changed:
            signal.signal(number, signal.SIG_DFL)
    if ended is not None:
        signal.raise_signal(ended)


class _Ended(BaseException):
    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def _end(number: int, frame: object) -> None:
    raise _Ended(number)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or one_line(error)
        raise TemporaryFolderError(
            f"{folder}: temporary files cannot be written: {reason}; make room there, or set "
            "TMPDIR to another folder"
        ) from error
