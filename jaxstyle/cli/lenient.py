"""A standard error that may be gone."""

from contextlib import suppress
from typing import Any, TextIO


class Lenient:
    """A text stream that may break, as when its terminal is closed: what it cannot take is dropped.

    Without it, a run would end at the first line that it prints.
    """

    def __init__(self, stream: TextIO) -> None:
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
