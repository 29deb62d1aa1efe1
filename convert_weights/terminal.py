"""Printing: whatever comes from outside reaches the terminal as one plain line."""

from typing import TextIO

from convert_weights.errors import printable


def show(text: str, stream: TextIO | None) -> None:
    """Print a line on a standard stream, which is None if it was closed before the start."""
    if stream is not None:
        print(printable(text), file=stream, flush=True)
