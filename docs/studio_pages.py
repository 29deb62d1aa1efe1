"""Take the pictures of the studio that README and docs/studio.md show.

    python docs/studio_pages.py [--chromium /usr/bin/chromium]

Starts a studio with an empty folder, paints in it as a person would, and writes docs/studio*.jpg.
Needs ``jaxstyle[studio]``, playwright, and a chromium.
"""

import argparse
import io
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page, sync_playwright

DOCS = Path(__file__).parent
DESK = {"viewport": {"width": 1280, "height": 800}, "color_scheme": "light"}
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
DARK = {"color_scheme": "dark"}
PATIENCE = 300_000
"""Milliseconds that a picture may take."""


@contextmanager
def studio() -> Iterator[str]:
    """Serve a studio during the block; yield its address."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "jaxstyle", "studio", "--folder", folder, "--port", "0"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr
            try:
                yield next(re.search(r"http://\S+", line)[0] for line in process.stderr)  # type: ignore
            finally:
                process.terminate()


def give(page: Page, photo: str, *styles: str, size: int) -> None:
    """Choose example pictures and a size."""
    page.click(f"[data-name='photos/{photo}']")
    for style in styles:
        page.click(f"[data-name='styles/{style}']")
        page.wait_for_timeout(700)
    field = page.get_by_label("Size", exact=True)
    field.fill(str(size))
    field.press("Enter")
    page.wait_for_timeout(700)


def paint(page: Page) -> None:
    """Press the button, and wait for the end."""
    page.click("#go")
    page.wait_for_selector("#easel .running, #easel .waiting")
    page.wait_for_selector("#easel .done", timeout=PATIENCE)
    page.wait_for_timeout(500)


def compare(page: Page, where: str, percent: int) -> None:
    """Move the slider between the picture and the photo."""
    slide = "(s, v) => { s.value = v; s.dispatchEvent(new Event('input', { bubbles: true })); }"
    page.locator(f"{where} input[type=range]").first.evaluate(slide, percent)


def stroke(page: Page, editor: str, points: list[tuple[float, float]]) -> None:
    """Paint a line over a picture, between points in shares of its sides."""
    box = page.locator(f"{editor} canvas").first.bounding_box()
    assert box
    at = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*at[0])
    page.mouse.down()
    for point in at[1:]:
        page.mouse.move(*point, steps=12)
    page.mouse.up()


def shoot(page: Page) -> Image.Image:
    """Return what the page looks like."""
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


def save(name: str, *pictures: Image.Image) -> None:
    """Write pictures side by side as docs/NAME.jpg."""
    gap = 16
    width = sum(each.width for each in pictures) + gap * (len(pictures) - 1)
    sheet = Image.new("RGB", (width, max(each.height for each in pictures)), "#c9c4b8")
    left = 0
    for each in pictures:
        sheet.paste(each, (left, 0))
        left += each.width + gap
    sheet.save(DOCS / f"{name}.jpg", quality=85)


def desk(open_page: Any, url: str) -> None:
    """Take the pictures of a large screen."""
    page = open_page(**DESK)
    page.goto(url)
    page.wait_for_selector("#go")
    give(page, "coffee", "woodcut", size=512)
    page.click("#go")
    second = "#easel .running .curve line"  # at the second scale
    page.wait_for_selector(second, state="attached", timeout=PATIENCE)
    page.wait_for_timeout(2500)
    save("studio-running", shoot(page))
    page.wait_for_selector("#easel .done", timeout=PATIENCE)
    page.wait_for_timeout(500)
    compare(page, "#easel", 40)
    save("studio", shoot(page))
    page.get_by_role("tab", name="Sweep").click()
    page.get_by_label("Values across").fill("0.2, 0.4, 0.6, 0.8")
    page.click("#down input")
    page.get_by_role("option", name="Style scale").click()
    page.get_by_label("Values down").fill("0.5; 1")
    give(page, "chelsea", "mosaic", "woodcut", size=256)
    paint(page)
    save("studio-sweep", shoot(page))
    give(page, "rocket", size=256)
    page.get_by_role("tab", name="Regions").click()
    page.wait_for_timeout(2500)
    for editor, row in (("#paint-photo", 0.14), ("#paint-style-1", 0.12)):
        page.locator(f"{editor} canvas").first.hover()
        rows = [row + 0.05 * line for line in range(4)]
        sky = [(x, y) for y in rows for x in ((0.12, 0.88) if rows.index(y) % 2 else (0.88, 0.12))]
        stroke(page, editor, sky)
    page.wait_for_timeout(800)
    save("studio-regions", shoot(page))
    page.get_by_role("tab", name="History").click()
    page.wait_for_selector("#cards button")
    page.click("#cards button >> nth=-1")
    page.wait_for_selector("#detail img")
    page.wait_for_timeout(800)
    compare(page, "#detail", 50)
    save("studio-history", shoot(page))


def phone(open_page: Any, url: str) -> None:
    """Take the pictures of a phone: light and dark."""
    pictures = []
    for colors, photo, style in (({}, "astronaut", "stained_glass"), (DARK, "rocket", "mosaic")):
        page = open_page(**PHONE, **colors)
        page.goto(url)
        page.wait_for_selector("#go")
        give(page, photo, style, size=384)
        page.evaluate("scrollTo(0, 0)")
        page.wait_for_timeout(500)
        pictures.append(shoot(page))
        paint(page)
        page.locator("#links a").first.scroll_into_view_if_needed()
        page.wait_for_timeout(500)
        pictures.append(shoot(page))
    save("studio-phone", *pictures)


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--chromium", default=shutil.which("chromium"), help="the browser")
    chromium = parser.parse_args().chromium
    with studio() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        desk(browser.new_page, url)
        phone(browser.new_page, url)
        browser.close()


if __name__ == "__main__":
    main()
