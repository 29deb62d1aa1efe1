"""PyAV, the optional package that brings FFmpeg along, and its errors in words."""

from types import ModuleType

from jaxstyle.errors import ImageError, message_of


def pyav() -> ModuleType:
    """Return the module ``av``, imported only where it is needed.

    Raises:
      ImageError: It is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise ImageError("clips need PyAV: pip install 'jaxstyle[video]'") from error
    return av


def reason(error: BaseException) -> str:
    """Return why FFmpeg failed, without the name of the file, which the caller tells."""
    return getattr(error, "strerror", None) or message_of(error)
