"""A studio in a process of its own, and a browser that looks at it."""

import asyncio
import gc
import re
import shutil
import signal
import subprocess
import sys
import threading
import warnings
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from jaxstyle import images
from jaxstyle.images import Picture
from jaxstyle.runs.recipe import Recipe
from jaxstyle.settings import resolve
from tests.processes import SMALL_COMMAND, process_environment

CHROMIUM = shutil.which("chromium")
MISSING = CHROMIUM is None and "there is no chromium (Debian: apt-get install chromium)"
BROWSER = pytest.mark.skipif(bool(MISSING), reason=str(MISSING))
"""Of tests that need a browser."""

SECONDS = 60_000
"""Milliseconds that a page may take for what is awaited; the machine may be busy."""


@contextmanager
def making_a_page():
    """Make a page in the block: Gradio leaves event loops open, about which Python warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        asyncio.set_event_loop(None)
        gc.collect()


UPLOADED = "img[src*='file=']"
"""A picture that the server has received already."""


class Server:
    """A studio in a process of its own.

    Attributes:
      url: its address.
      said: lines that it has printed.
      process: the process.
    """

    def __init__(self, folder, *flags, code="", **variables):
        self.folder = Path(folder)
        words = ["studio", "--folder", str(folder), "--port", "0", *flags]
        self.process = subprocess.Popen(
            [sys.executable, "-c", code + SMALL_COMMAND, *words],
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            env=process_environment(**variables),
        )
        self.said, self.url = [], ""
        for line in self.process.stderr:
            self.said.append(line)
            if found := re.search(r"http://\S+", line):
                self.url = found[0]
                break
        assert self.url, self.said
        # What it prints is read, or it would wait for that once the pipe is full.
        self._reader = threading.Thread(target=lambda: self.said.extend(self.process.stderr))
        self._reader.start()

    def status(self, name):
        """Return a number of /proc/PID/status."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"^{name}:\s+(\d+)", text, re.MULTILINE)[1])

    def end(self, number=signal.SIGINT):
        """Send a signal and wait for the end; return the exit status."""
        self.process.send_signal(number)
        status = self.process.wait(60)
        self._reader.join()
        self.process.stderr.close()
        return status


@contextmanager
def serving(folder, *flags, tracebacks=False, **options):
    """Serve a studio during the block; it must not print a traceback, unless it may."""
    server = Server(folder, *flags, **options)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.end()
        assert tracebacks or "Traceback" not in "".join(server.said), "".join(server.said)


@pytest.fixture(scope="session")
def studio(tmp_path_factory):
    """A studio that tests share."""
    with serving(tmp_path_factory.mktemp("studio")) as server:
        yield server


@pytest.fixture
def browser():
    """A browser, Debian's own."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def visit(browser):
    """A function that opens the page of a studio; nothing may fail there, or go to other hosts."""
    hosts, problems, own = set(), [], set()

    def open_page(server, **options):
        own.add(urlsplit(server.url).netloc)
        page = browser.new_page(**options)
        page.set_default_timeout(SECONDS)
        page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(server.url)
        page.wait_for_selector("#go")
        return page

    yield open_page
    assert hosts - {""} <= own, "requests to other hosts"
    assert not problems


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """A folder with a photo and two style pictures."""
    folder = tmp_path_factory.mktemp("pictures")
    for seed, name in enumerate(("photo", "style", "other")):
        rng = np.random.default_rng(seed)
        y, x = np.mgrid[:96, :128] / 12.0
        waves = [np.sin(x * a + y * b) for a, b in rng.uniform(-2, 2, (3, 2))]
        image = 0.5 + 0.4 * np.stack(waves, axis=-1)
        images.write(folder / f"{name}.png", Picture(image.astype(np.float32)))
    return folder


@pytest.fixture
def recipe(pictures):
    """A recipe of a small picture."""
    settings = resolve(size=32, steps=3, content_layers="relu1_1", style_layers="relu1_1")
    return Recipe(str(pictures / "photo.png"), (str(pictures / "style.png"),), settings)


def give(page, pictures, *styles, size="64"):
    """Upload a photo and style pictures, and choose a size."""
    page.set_input_files("#photo input[type=file]", pictures / "photo.png")
    names = styles or ("style",)
    page.set_input_files("#styles input[type=file]", [pictures / f"{n}.png" for n in names])
    page.wait_for_selector(f"#photo {UPLOADED}")
    page.locator(f"#styles {UPLOADED}").nth(len(names) - 1).wait_for()
    choose_size(page, size)


def choose_size(page, size):
    """Type a size."""
    field = page.get_by_label("Size", exact=True)
    field.fill(size)
    field.press("Enter")


def setting(page, name, text):
    """Type a value into the field of a setting under "More"."""
    if not page.is_visible("#setting-steps"):
        page.click("button:has-text('More')")
        page.wait_for_timeout(500)  # its fields get their values
    field = page.locator(f"#setting-{name} input, #setting-{name} textarea").first
    field.fill(text)
    field.press("Tab")


def press(page, button="#go"):
    """Press a button that asks for work; what the easel shows until then does not count."""
    page.evaluate("document.querySelector('#easel .easel').dataset.old = true")
    page.click(f"{button}:not([disabled])")


def start_long(visit, server, pictures):
    """Start a run that lasts for long, in a new page; return the page."""
    page = visit(server)
    give(page, pictures)
    setting(page, "steps", "3000")
    press(page)
    wait_for(page, "running .curve svg")
    return page


def wait_for(page, state):
    """Wait until the easel shows a state, such as "done" or "running .curve", of new work."""
    states = state, "done", "stopped", "failed", "asking"
    selectors = [f"#easel .easel:not([data-old]).{each}" for each in states]
    page.wait_for_selector(", ".join(selectors))
    assert page.query_selector(selectors[0]), page.inner_text("#easel")


def finished(page):
    """Wait until what was asked for is done; return the names of files to download."""
    wait_for(page, "done")
    page.wait_for_selector("#links a")
    return [link.get_attribute("href") for link in page.query_selector_all("#links a")]


def newest(folder):
    """Return the newest picture of a folder."""
    return max(Path(folder).glob("*.png"), key=lambda path: path.stat().st_mtime_ns)


def count(folder):
    """Return the number of pictures in a folder."""
    return sum(1 for _ in Path(folder).glob("*.png"))
