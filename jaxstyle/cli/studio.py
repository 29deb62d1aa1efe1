"""The command ``jaxstyle studio [--folder DIR] [--host H] [--port N]``."""

import argparse
import getpass
import importlib
import os
import secrets
import sys
import webbrowser
from pathlib import Path
from types import ModuleType
from typing import Any

import platformdirs

from jaxstyle.cli.common import DEBUG_HELP, WEIGHTS_HELP, Tell, teller
from jaxstyle.cli.failures import interruptible
from jaxstyle.errors import UsageError

HELP = "Open the studio: a web page to paint with."
FOLDER_HELP = "where pictures are kept (default: {})"
HOST_HELP = (
    "address to serve at; the default, 127.0.0.1, is for this machine alone; 0.0.0.0 is for all, "
    "and demands a password: $JAXSTYLE_PASSWORD, or asked for, or made up and printed"
)
PORT_HELP = "port to serve at (default: 7860, or the next free one)"
OPEN_HELP = "open a browser (default: if there is a screen)"
SHORTEST_PASSWORD = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add = parser.add_argument
    add("--folder", metavar="DIR", type=Path, help=FOLDER_HELP.format(default_folder()))
    add("--host", metavar="ADDRESS", default="127.0.0.1", help=HOST_HELP)
    add("--port", metavar="N", type=int, help=PORT_HELP)
    add("--open", action=argparse.BooleanOptionalAction, default=None, help=OPEN_HELP)
    add("--weights", metavar="VGG19.h5", help=WEIGHTS_HELP)
    add("--quiet", action="store_true", help="print nothing but errors")
    add("--debug", action="store_true", help=DEBUG_HELP)


def main(arguments: argparse.Namespace) -> None:
    """Serve the studio until it is interrupted."""
    tell = teller(arguments.quiet)
    server, history = studio_module("server"), studio_module("history")
    folder = arguments.folder or default_folder()
    with history.locked(folder):
        _serve(arguments, server, history.History(folder), tell)


def _serve(arguments: argparse.Namespace, server: Any, history: Any, tell: Tell) -> None:
    """Serve a history at the address that the arguments give."""
    password = "" if arguments.host in server.LOOPBACK else password_for(arguments.host, tell)
    bound = server.bound(arguments.host, arguments.port)
    url = server.address(bound)
    tell(f"the studio is at {url} (Ctrl-C ends it); pictures are kept in {history.folder}")
    if arguments.open or (arguments.open is None and has_screen()):
        webbrowser.open(url)
    with interruptible(tell) as check:
        server.serve(history, arguments.weights, bound, password, check)


def studio_module(name: str) -> ModuleType:
    """Import a module of the studio.

    Raises:
      UsageError: what it needs is not installed.
    """
    try:
        return importlib.import_module(f"jaxstyle.studio.{name}")
    except ModuleNotFoundError as error:
        raise UsageError(f"this needs Gradio ({error}): pip install 'jaxstyle[studio]'") from error


def default_folder() -> Path:
    """Return the folder for pictures in the user's data directory."""
    return Path(platformdirs.user_data_dir("jaxstyle", appauthor=False)) / "studio"


def password_for(host: str, tell: Tell) -> str:
    """Return the password for a server that others can reach: given, asked for or made up.

    Raises:
      UsageError: it is too short.
    """
    password = os.environ.get("JAXSTYLE_PASSWORD", "")
    if not password and sys.stdin.isatty() and sys.stderr.isatty():
        password = getpass.getpass("Password for the studio (empty: one is made up): ")
    if not password:
        password = secrets.token_urlsafe(12)
        # It is needed to get in: printed even if --quiet.
        print(f"the password of the studio at {host} is {password}", file=sys.stderr, flush=True)
    if len(password) < SHORTEST_PASSWORD:
        raise UsageError(f"the password is too short: {SHORTEST_PASSWORD} characters at least")
    return password


def has_screen() -> bool:
    """Return whether a browser can be opened for the user."""
    if not sys.stderr.isatty() or "SSH_CONNECTION" in os.environ:
        return False
    windows = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return sys.platform in ("darwin", "win32") or bool(windows)
