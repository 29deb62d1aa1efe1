"""Download a file over HTTP, with a progress bar on a terminal and a single line elsewhere."""

import base64
import http.client
import os
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from jaxstyle.errors import WeightsError, one_line, printable
from jaxstyle.machine.command_line import show
from jaxstyle.machine.temporary import new_file

MAX_BYTES = 2 << 30  # the largest published file, the .mat, has 535 million bytes
_TIMEOUT = 30  # seconds without receiving data
_BLOCK = 1 << 18


def is_url(text: str) -> bool:
    """Return whether a source on the command line is a URL rather than a path."""
    return text.lower().startswith(("http://", "https://"))


def download(
    url: str, directory: Path, limit: int = MAX_BYTES, settings: Mapping[str, str] | None = None
) -> Path:
    """Download a URL into a directory; the file is named after the last part of the URL's path.

    Args:
        limit: Maximum size in bytes; a larger file is refused.
        settings: pip's options `cert` and `proxy`; the system's settings are used by default.

    Returns:
        The path of the downloaded file.

    Raises:
        WeightsError: The connection or the transfer failed, or the file is too large.
    """
    name = Path(unquote(_split(url).path)).name
    path = directory / (name if name.strip(".") else "download")
    with open_url(url, settings or {}) as response:
        length = response.headers.get("Content-Length")
        total = int(length) if length and length.isdigit() else None
        if (total or 0) > limit:
            raise WeightsError(f"{without_password(url)}: {total} bytes, too large for a VGG-19")
        received = _save(response, path, total, limit, without_password(url))
    if total is not None and received != total:
        raise WeightsError(f"{without_password(url)}: cut short at {received} of {total} bytes")
    return path


@contextmanager
def open_url(
    url: str, settings: Mapping[str, str], headers: Mapping[str, str] | None = None
) -> Iterator[Any]:
    """Open a URL and yield the response.

    A user and password in the URL are sent to its own server only, never to a redirect's.

    Args:
        url: The address, with a login if the server needs one.
        settings: pip's options `cert` and `proxy`; the system's settings are used by default.
        headers: Additional request headers.

    Raises:
        WeightsError: Opening the URL or reading the response failed; the message is one line with
            the URL without its login.
    """
    parts = _split(url)
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    sent = {"User-Agent": "convert_weights", **(headers or {})}
    request = urllib.request.Request(bare, headers=sent)
    if parts.username:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        token = base64.b64encode(pair.encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {token}")
    try:
        with _opener(settings).open(request, timeout=_TIMEOUT) as response:
            yield response
    except (OSError, http.client.HTTPException, ValueError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise WeightsError(f"{without_password(url)}: {_reason(error)}") from error


def without_password(url: str) -> str:
    """Return the URL without login, query and fragment, so that it can be printed."""
    parts = _split(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        raise WeightsError(f"not a valid URL ({one_line(error)})") from error


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server returned {error.code} {error.reason}"
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, OSError) and cause.strerror and not isinstance(cause, ssl.SSLError):
        return cause.strerror
    return one_line(cause) if isinstance(cause, BaseException) else cause


def _opener(settings: Mapping[str, str]) -> urllib.request.OpenerDirector:
    context = ssl.create_default_context()
    if certificates := settings.get("cert"):
        is_directory = os.path.isdir(certificates)
        context.load_verify_locations(
            cafile=None if is_directory else certificates,
            capath=certificates if is_directory else None,
        )
    handlers: list[urllib.request.BaseHandler] = [urllib.request.HTTPSHandler(context=context)]
    if proxy := settings.get("proxy"):
        handlers.append(urllib.request.ProxyHandler({"http": proxy, "https": proxy}))
    return urllib.request.build_opener(*handlers)


def _save(response: Any, path: Path, total: int | None, limit: int, url: str) -> int:
    received = 0
    with new_file(path) as write, _progress(path.name, total) as advance:
        while block := response.read(_BLOCK):
            received += len(block)
            if received > limit:
                raise WeightsError(f"{url}: more than {limit} bytes, too large for a VGG-19")
            write(block)
            advance(len(block))
    return received


@contextmanager
def _progress(name: str, total: int | None) -> Iterator[Any]:
    # To standard error, because standard output is for results.
    if not (sys.stderr and sys.stderr.isatty()):
        size = f" ({total / 1e6:.1f} MB)" if total else ""
        show(f"downloading {name}{size}", sys.stderr)
        yield lambda count: None
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(f"downloading {printable(name)}", total=total)
        yield lambda count: progress.advance(task, count)
