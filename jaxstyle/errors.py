"""Every error that is raised on purpose, and how text from outside is quoted in one line."""

import difflib
import os
from collections.abc import Iterable


def printable(text: str) -> str:
    """Return text from outside as one line that no terminal takes for a command.

    Every run of white space becomes one space, and every other character that is not printable
    (control characters, escapes, changes of the writing direction, broken encodings) becomes "?".
    """
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))


def message_of(error: BaseException) -> str:
    """Return an exception's message as one line; if it has none, the name of its type."""
    return " ".join(str(error).split()) or type(error).__name__


def one_line(error: BaseException) -> str:
    """Return an exception's message as one non-empty line of at most 200 characters."""
    text = message_of(error)
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


class DamagedError(JaxstyleError, ValueError):
    """A file that this project wrote itself does not hold what it wrote there."""


class SettingError(JaxstyleError, ValueError):
    """A setting has a value that cannot be used. ``name`` is the setting's."""

    def __init__(self, name: str, problem: str):
        super().__init__(f"{name}: {problem}")
        self.name = name
        self.problem = printable(problem)

    def __reduce__(self) -> tuple:
        """Return what pickle makes a copy of, as between processes: it takes two arguments."""
        return type(self), (self.name, self.problem)


class ImageError(JaxstyleError):
    """A picture cannot be read or written; the message names it."""


class PictureSizeError(JaxstyleError, ValueError):
    """A picture, or the result asked for, has too few pixels for the layers in use."""


class UnknownLayerError(JaxstyleError, ValueError):
    """VGG-19 has no layer of this name."""


class TooSmallError(JaxstyleError, ValueError):
    """An image has too few pixels to reach the layer asked for."""


class MaskError(JaxstyleError, ValueError):
    """Masks cannot be used, or not together."""


class MapsError(JaxstyleError, ValueError):
    """A file of affine maps, or the photo to apply them to, is not usable."""


class DivergedError(JaxstyleError, RuntimeError):
    """The optimization left the finite numbers, and smaller steps did not help."""


class CheckpointError(JaxstyleError, RuntimeError):
    """A checkpoint cannot be written, read, or continued."""


class OutOfMemoryError(JaxstyleError, MemoryError):
    """A run needs more memory than there is."""


class JobsError(JaxstyleError, ValueError):
    """What was asked for is no list of jobs; the message names the culprit."""


class LedgerError(JaxstyleError, RuntimeError):
    """The output folder of a batch is in use, or was made with other settings."""


class StorageError(JaxstyleError, OSError):
    """A file or URL of a batch cannot be read or written; the message names it."""


class ClusterError(JaxstyleError, RuntimeError):
    """A Ray cluster cannot be joined, or its nodes cannot be used."""


class IncompleteError(JaxstyleError, RuntimeError):
    """Some of what was asked for could not be made; the rest was."""


class UsageError(JaxstyleError):
    """Arguments of a command that cannot be combined."""


class WouldReplaceError(LedgerError, UsageError):
    """Results that are there would be replaced, and nobody has asked for that."""
