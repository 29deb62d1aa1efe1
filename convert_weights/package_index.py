"""Find the URL of a package's file in the index that pip is configured to use.

`pip download` executes the setup.py of a source distribution to obtain its metadata. To avoid that,
pip's public commands are only asked for its configuration; the project's page in the index is read
directly (the simple repository API: HTML of PEP 503, JSON of PEP 691).
"""

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit
from urllib.request import url2pathname

from convert_weights.download import open_url, without_password
from jaxstyle.errors import WeightsError

_MAX_PAGE = 16 << 20  # bytes
_ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.5"


def pip_settings() -> dict[str, str]:
    """Return pip's configuration (`index-url`, `cert`, ...): files, environment, default index.

    Raises:
        WeightsError: This Python has no pip.
    """
    settings = parse_settings(_pip("config", "list"))
    if "index-url" not in settings:  # pip's own default, which no command but its help tells
        help = _pip("download", "--help")
        default = re.search(r"--index-url .*?\(default (\S+?)\)", help, re.DOTALL)
        settings |= {"index-url": default[1]} if default else {}
    return settings


def _pip(*arguments: str) -> str:
    """Run pip and return what it prints, in lines as long as they are."""
    result = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "10000"},
        check=False,
    )
    if result.returncode != 0:
        raise WeightsError("pip does not run in this Python (install it: python -m ensurepip)")
    return result.stdout


def parse_settings(listing: str) -> dict[str, str]:
    """Parse the output of `pip config list`.

    As in pip, environment variables override the section [download], which overrides [global].
    """
    found: dict[str, dict[str, str]] = {"global": {}, "download": {}, ":env:": {}}
    for line in listing.splitlines():
        match = re.fullmatch(r"(global|download|:env:)\.([\w-]+)=(.*)", line.strip())
        if match:
            section, option, value = match.groups()
            found[section][option] = str(ast.literal_eval(value))
    return {**found["global"], **found["download"], **found[":env:"]}


def find_file(name: str, location: str, settings: Mapping[str, str]) -> str:
    """Find the URL of a file on a page that lists a project's files.

    Args:
        name: The file name.
        location: URL of an index page of the project, or of a local folder; see `locations`.
        settings: pip's options `cert` and `proxy`.

    Raises:
        WeightsError: The location cannot be read, or does not list the file.
    """
    base = location if location.endswith("/") else location + "/"
    if urlsplit(base).scheme == "file":
        folder = Path(url2pathname(urlsplit(base).path))
        if (folder / name).is_file():
            return (folder / name).as_uri()
        if not (folder / "index.html").is_file():
            raise WeightsError(f"{location}: has no {name}")
        base += "index.html"
    with open_url(base, settings, {"Accept": _ACCEPT}) as response:
        page = response.read(_MAX_PAGE).decode("utf-8", "replace")
        is_json = "json" in response.headers.get("Content-Type", "")
        address = response.geturl()
    for link in _links_of_json(page) if is_json else _links_of_html(page):
        if unquote(urlsplit(link).path).rpartition("/")[2] == name:
            return _with_login(urljoin(address, link), location)
    raise WeightsError(f"{without_password(location)}: has no {name}")


def locations(project: str, settings: Mapping[str, str]) -> list[str]:
    """Return the URLs of pages that may list the files of a project, in the order to try them.

    Args:
        project: Name of the project; normalized as in PEP 503.
        settings: pip's options, of which `find-links`, `no-index`, `index-url` and
            `extra-index-url` are used.
    """
    links = [_as_url(place) for place in settings.get("find-links", "").split()]
    if settings.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        return links
    indexes = [settings.get("index-url", ""), *settings.get("extra-index-url", "").split()]
    page = re.sub(r"[-_.]+", "-", project).lower()  # the normalized name of PEP 503
    return links + [f"{index.rstrip('/')}/{page}/" for index in indexes if index]


def _as_url(place: str) -> str:
    return place if "://" in place else Path(place).expanduser().absolute().as_uri()


def _with_login(url: str, location: str) -> str:
    """Return the URL with the login of `location`, if both have the same scheme and server."""
    parts, origin = urlsplit(url), urlsplit(location)
    login, _, server = origin.netloc.rpartition("@")
    if login and parts.netloc == server and parts.scheme == origin.scheme:
        return urlunsplit(parts._replace(netloc=origin.netloc))
    return url


def _links_of_json(page: str) -> list[str]:
    try:
        files = json.loads(page)["files"]
        return [file["url"] for file in files if isinstance(file["url"], str)]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise WeightsError("the index did not return a list of files (PEP 691)") from error


def _links_of_html(page: str) -> list[str]:
    parser = _Anchors()
    parser.feed(page)
    return parser.links


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        target = dict(attrs).get("href") if tag == "a" else None
        if target:
            self.links.append(target)
