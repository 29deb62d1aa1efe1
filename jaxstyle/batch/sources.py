"""Expansion of a folder, a glob or a list file into the pictures it stands for, local or by URL."""

import io
import os
from urllib.parse import unquote

from jaxstyle.batch.storage import is_url, listing, local_copy, matching
from jaxstyle.errors import JobsError, StorageError
from jaxstyle.images import EXTENSIONS
from jaxstyle.machine.input_files import open_input

_WEB = ("http://", "https://")


def pictures(source: str) -> list[str]:
    """Return the paths or URLs of the pictures that a source stands for.

    - A folder: the pictures in it, sorted by name.
    - A glob: the pictures that match, sorted by name.
    - A .txt file: the paths and URLs on its lines, in their order and relative to its folder; blank
      lines and lines that begin with # are skipped.
    - Anything else: itself.

    An http(s) URL is a folder only if it ends in a slash, since a picture's URL may have no
    extension.

    Raises:
      JobsError: the source does not exist, contains no picture, or cannot be read.
    """
    try:
        found, where = _found(source)
    except StorageError as error:
        raise JobsError(str(error)) from error
    if not found:
        raise JobsError(f"{source}: {where}")
    return found


def read_text(path: str) -> str:
    """Read a UTF-8 text file at a path or URL, with or without a byte order mark.

    Raises:
      JobsError: the file cannot be read or is not UTF-8.
    """
    try:
        with (
            local_copy(path) as local,
            io.TextIOWrapper(open_input(local), "utf-8-sig") as file,
        ):
            return file.read()
    except UnicodeDecodeError:
        raise JobsError(f"{path}: is not UTF-8 text: save it as UTF-8") from None
    except StorageError as error:
        raise JobsError(str(error)) from error
    except OSError as error:
        raise JobsError(f"{path}: cannot be read: {error.strerror or error}") from error


def located(path: str, beside: str) -> str:
    """Resolve a path that a file contains, relative to the folder of that file, ``beside``.

    >>> located("../a.jpg", beside="gs://bucket/lists/photos.txt")
    'gs://bucket/a.jpg'
    """
    if is_url(path) or os.path.isabs(path):
        return path
    scheme, mark, file = beside.rpartition("://")
    folder = os.path.dirname(file)
    joined = os.path.join(folder, path)
    return scheme + mark + os.path.normpath(joined).replace(os.sep, "/") if mark else joined


def parts(path: str) -> tuple[str, ...]:
    """Split a path or URL into its folders and file name; the host of a URL counts as a folder.

    >>> parts("https://example.org/photos/a%20cat.jpg?width=100")
    ('example.org', 'photos', 'a cat.jpg')
    """
    if not is_url(path):
        return tuple(os.path.normpath(path).replace(os.sep, "/").split("/"))
    rest = path.split("://", 1)[-1]
    if path.startswith(_WEB):
        rest = unquote(rest.split("?")[0].split("#")[0])
    return tuple(part for part in rest.split("/") if part)


def _found(source: str) -> tuple[list[str], str]:
    """Return the pictures of a source, and the error message for the case that there are none."""
    exists = is_url(source) or os.path.exists(source)
    if _is_folder(source):
        inside = [path for path in listing(source) if _is_picture(path)]
        return inside, "there are no pictures in this folder"
    if _is_pattern(source):
        matches = [path for path in matching(source) if _is_picture(path)]
        return matches, "no picture matches this pattern"
    if exists and _extension(source) == ".txt":
        lines = (line.strip() for line in read_text(source).split("\n"))
        listed = [located(line, source) for line in lines if line and not line.startswith("#")]
        return listed, "this list names no pictures"
    return [source] if exists else [], "there is no such folder or file"


def _is_folder(source: str) -> bool:
    if not is_url(source):
        return os.path.isdir(source)
    if source.endswith("/") or source.startswith(_WEB) or _is_pattern(source):
        return source.endswith("/")
    return _extension(source) not in (".txt", *EXTENSIONS)


def _is_pattern(source: str) -> bool:
    """Return whether a source is a glob, unless a file has that very name.

    In http(s) URLs a question mark begins a query.
    """
    if not is_url(source) and os.path.exists(source):
        return False
    return any(sign in source for sign in ("*[" if source.startswith(_WEB) else "*[?"))


def _is_picture(path: str) -> bool:
    return _extension(path) in EXTENSIONS and not parts(path)[-1].startswith(".")


def _extension(path: str) -> str:
    return os.path.splitext(parts(path)[-1])[1].lower() if parts(path) else ""
