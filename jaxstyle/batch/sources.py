"""The pictures that a folder, a glob or a list stands for, here or at a URL."""

import os
from urllib.parse import unquote

from jaxstyle.batch.storage import is_url, listing, local_copy, matching
from jaxstyle.errors import JobsError, StorageError
from jaxstyle.images import EXTENSIONS

_WEB = ("http://", "https://")


def pictures(source: str) -> list[str]:
    """The paths or URLs of the pictures that a source stands for.

    A folder stands for the pictures in it and a glob for those that match, by name; a .txt file for
    the paths and URLs on its lines, in their order, relative to its own folder, without blank lines
    and those that begin with #; anything else for itself. A URL on the web is a folder only if it
    ends in a slash, since a picture's may have no extension.

    Raises:
      JobsError: there is no such source, no picture in it, or it cannot be read.
    """
    try:
        found, where = _found(source)
    except StorageError as error:
        raise JobsError(str(error)) from error
    if not found:
        raise JobsError(f"{source}: {where}")
    return found


def read_text(path: str) -> str:
    """The UTF-8 text at a path or URL, with or without a byte order mark.

    Raises:
      JobsError: it cannot be read.
    """
    try:
        with local_copy(path) as local:
            return local.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise JobsError(f"{path}: is not a text in UTF-8: save it as such") from None
    except StorageError as error:
        raise JobsError(str(error)) from error
    except OSError as error:
        raise JobsError(f"{path}: cannot be read: {error.strerror or error}") from error


def located(path: str, beside: str) -> str:
    """A path as the file ``beside`` means it: relative to the folder that this file is in.

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
    """The folders that a path or URL names, and at the end its file.

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
    """The pictures, and what to say where there are none."""
    there = is_url(source) or os.path.exists(source)
    if _is_folder(source):
        inside = [path for path in listing(source) if _is_picture(path)]
        return inside, "there are no pictures in this folder"
    if _is_pattern(source):
        matches = [path for path in matching(source) if _is_picture(path)]
        return matches, "no picture matches this pattern"
    if there and _extension(source) == ".txt":
        lines = (line.strip() for line in read_text(source).split("\n"))
        listed = [located(line, source) for line in lines if line and not line.startswith("#")]
        return listed, "no picture is named in this list"
    return [source] if there else [], "there is no such folder or file"


def _is_folder(source: str) -> bool:
    if not is_url(source):
        return os.path.isdir(source)
    if source.endswith("/") or source.startswith(_WEB) or _is_pattern(source):
        return source.endswith("/")
    return _extension(source) not in (".txt", *EXTENSIONS)


def _is_pattern(source: str) -> bool:
    """A file may have a name that looks like one; a question mark on the web means a query."""
    if not is_url(source) and os.path.exists(source):
        return False
    return any(sign in source for sign in ("*[" if source.startswith(_WEB) else "*[?"))


def _is_picture(path: str) -> bool:
    return _extension(path) in EXTENSIONS and not parts(path)[-1].startswith(".")


def _extension(path: str) -> str:
    return os.path.splitext(parts(path)[-1])[1].lower() if parts(path) else ""
