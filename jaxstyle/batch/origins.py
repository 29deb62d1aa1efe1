"""How the pictures of an output folder were made, by what they say, and from which files."""

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from jaxstyle import images
from jaxstyle.batch.storage import is_url, local_copy
from jaxstyle.errors import DamagedError, ImageError, StorageError
from jaxstyle.machine.files import sha256
from jaxstyle.machine.plain_json import parsed

MOST_SHOWN = 3
"""Most settings that a message tells."""


@dataclass(frozen=True)
class Stamp:
    """A file as it was when it was read.

    Attributes:
      size: its bytes.
      modified: time of its last change, in nanoseconds.
      sha256: hash of its content; empty if unknown, as that of a URL.
    """

    size: int = 0
    modified: int = 0
    sha256: str = ""


def stamps(paths: Sequence[str]) -> list[Stamp]:
    """Return the stamps of files, as they are now."""
    known = [(path, size_and_time(path)) for path in paths]
    return [Stamp(*now, _hash(path, *now)) if now else Stamp() for path, now in known]


def changed(paths: Sequence[str], before: Sequence[Stamp]) -> str:
    """Return the first file whose content differs from that of its stamp; empty if none does.

    A file is read only if its time has changed and its size has not. One that is missing has not
    changed: what was made of it is still right.
    """
    for path, stamp in zip(paths, before, strict=False):
        now = size_and_time(path)
        if not (now and stamp.sha256) or now == (stamp.size, stamp.modified):
            continue
        if now[0] != stamp.size or _hash(path, *now) != stamp.sha256:
            return path
    return ""


def size_and_time(path: str) -> tuple[int, int] | None:
    """Return size and time of a local file; None of a URL or where there is no such file."""
    if is_url(path):
        return None
    try:
        about = os.stat(path)
    except OSError:
        return None
    return (about.st_size, about.st_mtime_ns) if stat.S_ISREG(about.st_mode) else None


@lru_cache(maxsize=4096)
def _hash(path: str, size: int, modified: int) -> str:
    """Return the hash of a file of this size and time; cached, since styles are used many times."""
    del size, modified
    try:
        return sha256(Path(path))
    except OSError:
        return ""


def description_of(path: str) -> str:
    """Return what a picture says about how it was made; empty if it says nothing."""
    try:
        with local_copy(path) as local:
            return images.read_description(local)
    except (ImageError, StorageError):
        return ""


def difference(before: str, now: str) -> str:
    """Return in which settings and sources a picture differs from what it would be made with now.

    Args:
      before: what the picture says about how it was made.
      now: what it would say.

    >>> difference('{"settings": {"size": 64}}', '{"settings": {"size": 96}}')
    'with size 64, not 96'
    """
    old, new = _values(before), _values(now)
    if not old:
        return "in a way that it does not say"
    names = [name for name in {**new, **old} if old.get(name) != new.get(name)]
    told = [f"{n} {_shown(old.get(n))}, not {_shown(new.get(n))}" for n in names[:MOST_SHOWN]]
    more = [f"{len(names) - MOST_SHOWN} other settings"] if names[MOST_SHOWN:] else []
    return f"with {', and '.join([*told, *more]) or 'the same settings, from elsewhere'}"


def _values(text: str) -> dict[str, Any]:
    """Return the settings and sources in a picture's description; empty if it has none."""
    try:
        record = parsed(text, dict[str, dict[str, Any]])
    except DamagedError:
        return {}
    values = record.get("jaxstyle", record)
    settings = values.get("settings")
    return {**values, "settings": None, **(settings if isinstance(settings, Mapping) else {})}


def _shown(value: Any) -> str:
    """Return a setting or a source for a message, shortened."""
    if isinstance(value, float):
        return f"{value:.9g}"
    if isinstance(value, list):
        value = " ".join(map(_shown, value))
    text = "none" if value in (None, "", {}) else str(value)
    return text if len(text) <= 60 else f"{text[:28]}...{text[-28:]}"
