"""Format counts, durations and sizes in bytes for people."""


def count_of(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless it is one: ``2 steps``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def clock(seconds: float) -> str:
    """Format seconds as ``0:07`` or ``1:02:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def about(seconds: float | None) -> str:
    """Format a duration as ``about 62 s``, ``about 12 min`` or ``about 3 h``."""
    if seconds is None:
        return "not known"
    if seconds < 120:
        return f"about {seconds:.0f} s" if seconds >= 1 else "under 1 s"
    return f"about {seconds / 60:.0f} min" if seconds < 7200 else f"about {seconds / 3600:.0f} h"


def in_bytes(count: int) -> str:
    """Format a number of bytes: ``680 MB``, ``2.4 GB``."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
