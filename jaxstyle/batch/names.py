"""File names made of the names of pictures: unique, and fit for any file system and any URL."""

import hashlib
import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from jaxstyle.batch.sources import parts

_LONGEST = 180
"""Bytes of a name: with a number and an extension it stays below 200."""


def labels(paths: Iterable[str]) -> dict[str, str]:
    """A short name for every path or URL: its stem, where needed after some of its folders.

    ``a/cat.jpg`` and ``b/cat.jpg`` become ``a-cat`` and ``b-cat``, whatever is above these folders;
    pictures that no folder tells apart (``cat.jpg`` and ``cat.png``) are numbered, by path.
    """
    alike = defaultdict(dict)
    for path in sorted(set(paths)):
        *folders, name = parts(path) or ("",)
        stem = safe(os.path.splitext(name)[0]) or "picture"
        alike[same(stem)][path] = (*map(safe, folders), stem)
    wanted = {path: label for group in alike.values() for path, label in _told_apart(group).items()}
    return dict(zip(wanted, numbered(list(wanted.values())), strict=True))


def safe(text: str) -> str:
    """Letters, digits, accents, dots, dashes and underscores of a text, a dash for all between.

    >>> safe(" .What's #1? (copy)")
    'What-s-1-copy'
    """
    kept = (c if _keeps(c) else " " for c in unicodedata.normalize("NFC", text))
    return "-".join("".join(kept).split()).strip("-.")


def same(name: str) -> str:
    """What is equal for names that some file system takes for the same one."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def shortened(name: str) -> str:
    """The name, or its beginning and its end around a hash of it where it is too long."""
    data = name.encode()
    if len(data) <= _LONGEST:
        return name
    middle = f"-{hashlib.sha256(data).hexdigest()[:8]}-"
    half = (_LONGEST - len(middle)) // 2
    return data[:half].decode(errors="ignore") + middle + data[-half:].decode(errors="ignore")


def numbered(names: Sequence[str], taken: Collection[str] = ()) -> list[str]:
    """The names, those that came before, or are ``taken``, with a number: ``a``, ``a-2``, ``a-3``.

    A number is never such that it makes another one of the names.
    """
    used = {same(name) for name in taken}
    kept = used | {same(name) for name in names}
    last, unique = defaultdict(lambda: 1), []
    for name in names:
        key, free = same(name), name
        while same(free) in used or (free != name and same(free) in kept):
            last[key] += 1
            free = f"{name}-{last[key]}"
        used.add(same(free))
        unique.append(free)
    return unique


def _keeps(character: str) -> bool:
    marks = unicodedata.category(character).startswith("M")
    return marks or character.isalnum() or character in "._"


def _told_apart(alike: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Paths of one stem with as many of their last folders as tell each from the others."""
    common = len(os.path.commonprefix([names[:-1] for names in alike.values()]))
    depth = max(map(len, alike.values())) - common
    padded = {path: ("",) * depth + names[common:] for path, names in alike.items()}
    keys = {path: tuple(map(same, names[-depth:])) for path, names in padded.items()}
    ends = Counter(key[-size:] for key in keys.values() for size in range(1, depth + 1))
    found = {}
    for path, key in keys.items():
        size = next(n for n in range(1, depth + 1) if ends[key[-n:]] == ends[key])
        found[path] = "-".join(filter(None, padded[path][-size:]))
    return found
