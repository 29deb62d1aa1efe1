"""Output file names derived from picture names: unique, and valid in file systems and URLs."""

import hashlib
import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from jaxstyle.batch.sources import parts

_LONGEST = 180
"""Maximum bytes of a name, so that it stays below 200 with a number and an extension."""


def labels(paths: Iterable[str]) -> dict[str, str]:
    """Return a short unique label for every path or URL: its stem, prefixed by folders if needed.

    ``a/cat.jpg`` and ``b/cat.jpg`` become ``a-cat`` and ``b-cat``, whatever their parent folders.
    ``cat.jpg`` and ``cat.png`` in one folder become ``cat-jpg`` and ``cat-png``: neither is
    ``cat``, as the first of them was while it was alone. What is still equal is numbered in the
    order of the paths.
    """
    alike = defaultdict(dict)
    for path in sorted(set(paths)):
        *folders, name = parts(path) or ("",)
        stem = safe_name(os.path.splitext(name)[0]) or "picture"
        alike[same(stem)][path] = (*map(safe_name, folders), stem)
    wanted = {path: label for group in alike.values() for path, label in _prefixed(group).items()}
    wanted = _with_kinds(wanted)
    return dict(zip(wanted, numbered(list(wanted.values())), strict=True))


def safe_name(text: str) -> str:
    """Return a text as part of a file name that every file system and URL allows.

    Runs of letters, digits, accents, ``.`` and ``_`` are kept and joined by dashes; the result may
    be empty.

    >>> safe_name(" .What's #1? (copy)")
    'What-s-1-copy'
    """
    kept = (c if _keeps(c) else " " for c in unicodedata.normalize("NFC", text))
    return "-".join("".join(kept).split()).strip("-.")


def same(name: str) -> str:
    """Return a key that is equal for names that some file system treats as the same name."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def shortened(name: str) -> str:
    """Shorten a name that is too long: keep its beginning and end, with a hash between them."""
    data = name.encode()
    if len(data) <= _LONGEST:
        return name
    middle = f"-{hashlib.sha256(data).hexdigest()[:8]}-"
    half = (_LONGEST - len(middle)) // 2
    return data[:half].decode(errors="ignore") + middle + data[-half:].decode(errors="ignore")


def numbered(names: Sequence[str], taken: Collection[str] = ()) -> list[str]:
    """Return unique names, numbering repetitions: ``a``, ``a-2``, ``a-3``.

    Args:
      names: names to number; a numbered name never equals another of them.
      taken: names that must not be used.
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


def _with_kinds(wanted: Mapping[str, str]) -> dict[str, str]:
    """Add their extensions to equal labels of paths that differ in them."""
    kinds = {path: _kind(path) for path in wanted}
    of_label = defaultdict(set)
    for path, label in wanted.items():
        of_label[same(label)].add(kinds[path])

    def distinct(path: str, label: str) -> str:
        more = [kinds[path]] if len(of_label[same(label)]) > 1 else []
        return "-".join(filter(None, [label, *more]))

    return {path: distinct(path, label) for path, label in wanted.items()}


def _kind(path: str) -> str:
    """Return the extension of a path or URL, as part of a file name."""
    return safe_name(os.path.splitext(parts(path)[-1])[1]) if parts(path) else ""


def _keeps(character: str) -> bool:
    marks = unicodedata.category(character).startswith("M")
    return marks or character.isalnum() or character in "._"


def _prefixed(alike: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Prefix paths of one stem by as few of their last folders as distinguish them.

    Args:
      alike: folders and stem of each path, by path.
    """
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
