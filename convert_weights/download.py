"""One file from one URL to disk, with a progress bar on terminals and one line elsewhere."""

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

from convert_weights.errors import WeightsError, one_line

MAX_BYTES = 2 << 30  # the largest published file, the .mat, takes 535 million
_TIMEOUT = 30  # seconds without a byte
_BLOCK = 1 << 18


def is_url(text: str) -> bool:
    """Whether a source on the command line is an address and not a path."""
    return text.lower().startswith(("http://", "https://"))


def download(
    url: str, directory: Path, limit: int = MAX_BYTES, settings: Mapping[str, str] | None = None
) -> Path:
    """Download a URL into a directory, under the last part of its path as the file name.

    Args:
        limit: bytes; a larger file is refused.
        settings: `cert` and `proxy` as pip knows them; the system's where absent.

    Raises:
        WeightsError: no connection, an error of the server, a transfer cut short, or too large.
    """
    name = Path(unquote(_split(url).path)).name
    path = directory / (name if name.strip(".") else "download")
    with open_url(url, settings or {}) as response:
        length = response.headers.get("Content-Length")
        total = int(length) if length and length.isdigit() else None
        if (total or 0) > limit:
            raise WeightsError(f"{without_password(url)}: {total} bytes, too large for VGG-19")
        received = _save(response, path, total, limit, without_password(url))
    if total is not None and received != total:
        raise WeightsError(f"{without_password(url)}: cut short at {received} of {total} bytes")
    return path


@contextmanager
def open_url(
    url: str, settings: Mapping[str, str], headers: Mapping[str, str] | None = None
) -> Iterator[Any]:
    """Open a URL; a user and password in it are sent to its own server only.

    Raises:
        WeightsError: one line with the URL, less its password, for every failure inside the block.
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
    """The URL as it may be printed."""
    parts = _split(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        raise WeightsError(f"not an address on the web ({one_line(error)})") from error


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code} {error.reason}"
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
    with open(path, "wb") as output, _progress(path.name, total) as advance:
        while block := response.read(_BLOCK):
            received += len(block)
            if received > limit:
                raise WeightsError(f"{url}: more than {limit} bytes, too large for VGG-19")
            output.write(block)
            advance(len(block))
    return received


@contextmanager
def _progress(name: str, total: int | None) -> Iterator[Any]:
    # On standard error: standard output is for results.
    if not sys.stderr.isatty():
        size = f" ({total / 1e6:.1f} MB)" if total else ""
        print(f"downloading {name}{size}", file=sys.stderr, flush=True)
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
        task = progress.add_task(f"downloading {name}", total=total)
        yield lambda count: progress.advance(task, count)
