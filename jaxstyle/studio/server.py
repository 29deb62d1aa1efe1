"""The server: who may ask for what, and where the page's files come from."""

import base64
import errno
import hmac
import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import gradio as gr
import uvicorn
from fastapi import FastAPI, HTTPException
from fastapi.responses import FileResponse, PlainTextResponse, Response
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from jaxstyle.errors import JaxstyleError, UsageError
from jaxstyle.images import read_description
from jaxstyle.studio import examples
from jaxstyle.studio.history import History
from jaxstyle.studio.line import Line
from jaxstyle.studio.look import STYLE_SHEET, theme
from jaxstyle.studio.page import Page
from jaxstyle.studio.work import Studio

PORT, PORTS = 7860, 20
"""The usual port, and how many are tried from there on."""

LOOPBACK = ("127.0.0.1", "localhost", "::1")

PAUSE = 0.1
"""Seconds between two looks at whether the server shall end."""

GRACE = 20.0
"""Seconds that a run has to keep its picture when the server ends."""


@dataclass(frozen=True)
class Limits:
    """What a browser may ask for.

    Attributes:
      upload: bytes of a picture.
      pixels: pixels of a picture; None for as many as memory allows.
      waiting: pieces of work that may wait.
    """

    upload: int
    pixels: int | None
    waiting: int


ALONE = Limits(upload=2**30, pixels=None, waiting=50)
"""For the person who has started the server."""

SHARED = Limits(upload=64 * 2**20, pixels=100_000_000, waiting=10)
"""For everybody who has the password."""


class SameOrigin:
    """Lets no page of another site ask for anything: browsers say where a request comes from.

    Args:
      app: what is protected.
    """

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] in ("http", "websocket") and self._foreign(scope):
            answer = PlainTextResponse("this was asked for by another site", 403)
            await answer(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _foreign(self, scope: Scope) -> bool:
        headers = dict(scope["headers"])
        origin, host = headers.get(b"origin"), headers.get(b"host", b"")
        if origin is not None and urlsplit(origin).netloc != host:
            return True
        asked = scope.get("method") not in ("GET", "HEAD")
        return asked and headers.get(b"sec-fetch-site") == b"cross-site"


class Password:
    """Lets only those in who know the password (HTTP Basic authentication; any user name).

    Args:
      app: what they are let into.
      password: the password.
    """

    def __init__(self, app: ASGIApp, password: str):
        self.app, self.password = app, password.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or ask for the password."""
        if scope["type"] in ("http", "websocket") and not self._known(scope):
            asking = {"WWW-Authenticate": 'Basic realm="jaxstyle studio", charset="UTF-8"'}
            answer = PlainTextResponse("a password is needed", 401, asking)
            await answer(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _known(self, scope: Scope) -> bool:
        given = dict(scope["headers"]).get(b"authorization", b"")
        kind, _, coded = given.partition(b" ")
        with suppress(ValueError):
            _, _, password = base64.b64decode(coded, validate=True).partition(b":")
            return kind.lower() == b"basic" and hmac.compare_digest(password, self.password)
        return False


def app_of(page: Page, password: str, limits: Limits) -> FastAPI:
    """Return the application that serves a page and the files it shows.

    Args:
      page: the page.
      password: what one has to know; empty for a server of this machine alone.
      limits: what one may ask for.
    """
    app = application(password)
    _add_files(app, page.history)
    shown = [examples.folder(), page.history.folder / "inputs"]
    return mounted(app, page.blocks, limits.upload, shown)


def application(password: str = "") -> FastAPI:
    """Return an application without pages, for those who know the password or are on this machine.

    Args:
      password: the password; empty for a server of this machine alone.
    """
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.add_middleware(SameOrigin)
    if password:
        app.add_middleware(Password, password=password)
    else:  # a page of another site must not reach it by a name of its own
        hosts = ["127.0.0.1", "localhost", "[::1]"]
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=hosts)
    return app


def mounted(
    app: FastAPI, blocks: gr.Blocks, upload: int = 0, shown: Sequence[Path] = ()
) -> FastAPI:
    """Return the application with a page at its root.

    Args:
      app: the application.
      blocks: the page.
      upload: bytes of a file that may be uploaded.
      shown: folders whose files the page may show.
    """
    whole = gr.mount_gradio_app(
        app,
        blocks,
        path="/",
        theme=theme(),
        css_paths=[STYLE_SHEET],
        allowed_paths=[str(folder) for folder in shown],
        max_file_size=upload,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        show_error=False,
        pwa=False,
        mcp_server=False,
        enable_monitoring=False,
    )
    blocks.has_launched = True  # or Gradio takes any file that a request names for an upload
    return whole


def _add_files(app: FastAPI, history: History) -> None:
    """Serve the files of the history and the examples, by names alone."""

    @app.get("/history/{kind}/{name}")
    def of_history(kind: str, name: str) -> Response:
        try:
            entry = history.entry(name)
            if kind == "recipe":
                return _download(read_description(entry.path), f"{entry.name}.json")
            path = entry.files()[kind]
        except (JaxstyleError, KeyError):
            raise HTTPException(404) from None
        return FileResponse(path, filename=path.name, content_disposition_type="inline")

    @app.get("/examples/{kind}/{name}")
    def of_examples(kind: str, name: str) -> Response:
        found = examples.picture(f"{kind}/{name}")
        if found is None:
            raise HTTPException(404)
        return FileResponse(found)


def _download(text: str, name: str) -> Response:
    header = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(text, media_type="application/json", headers=header)


def bound(host: str, port: int | None) -> socket.socket:
    """Return a socket bound to an address.

    Args:
      host: the host.
      port: the port; None for the usual one, or the next that is free.

    Raises:
      UsageError: it cannot be bound.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    problem = ""
    for each in [port] if port is not None else range(PORT, PORT + PORTS):
        server = socket.socket(family, socket.SOCK_STREAM)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind((host, each))
            server.listen(128)
        except OverflowError:
            server.close()
            raise UsageError(f"there is no port {each}: they go from 0 to 65535") from None
        except OSError as error:
            server.close()
            problem = error.strerror or str(error)
            if error.errno != errno.EADDRINUSE:
                raise UsageError(f"cannot serve at {host}:{each}: {problem}") from None
            continue
        return server
    raise UsageError(f"cannot serve at {host}:{port or PORT}: {problem}: choose another --port")


def address(server: socket.socket) -> str:
    """Return the URL of a socket, as one writes it into a browser."""
    host, port = server.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = socket.gethostname()
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def serve(
    history: History,
    weights: str | None,
    bound: socket.socket,
    password: str,
    pause: Callable[[], None],
) -> None:
    """Serve the studio until it is told to end; what is at work then is stopped and kept.

    Args:
      history: the folder of results.
      weights: path of the weights file; None for the default weights.
      bound: the socket to serve at.
      password: what one has to know; empty for a server of this machine alone.
      pause: called all the time; raises to end.
    """
    limits = SHARED if password else ALONE
    os.environ["GRADIO_TEMP_DIR"] = str(history.uploads)  # read when a page is made
    line = Line(limits.waiting, history.folder)
    page = Page(Studio(history, weights), line, limits.pixels)
    try:
        with in_background(app_of(page, password, limits), bound) as serving:
            while serving.is_alive():
                pause()
                serving.join(PAUSE)
    finally:
        line.stop()
        line.finish(GRACE)


@contextmanager
def in_background(app: FastAPI, bound: socket.socket) -> Iterator[threading.Thread]:
    """Serve an application in a thread during the block; it does not wait for open pages."""
    config = uvicorn.Config(
        app, log_level="critical", access_log=False, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    serving = threading.Thread(target=server.run, args=([bound],), name="server", daemon=True)
    serving.start()
    try:
        yield serving
    finally:
        server.should_exit = True
        serving.join(5)
