"""Every error that this package raises on purpose: one clear line that says what is wrong."""

from convert_weights.errors import JaxstyleError, WeightsError, printable

__all__ = ["JaxstyleError", "WeightsError"]


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


class HostsError(JaxstyleError, RuntimeError):
    """The hosts of a batch did not find each other."""


class HostFlagsError(HostsError):
    """The flags that describe the hosts of a batch contradict each other."""


class IncompleteError(JaxstyleError, RuntimeError):
    """Some of what was asked for could not be made; the rest was."""


class UsageError(JaxstyleError):
    """Arguments of a command that cannot be combined."""


class WouldReplaceError(LedgerError, UsageError):
    """Results that are there would be replaced, and nobody has asked for that."""
