"""The contact sheet of a batch: an HTML page that opens from disk; no script, no network."""

import html
import io
import os
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from jaxtyping import Float
from PIL import Image as PillowImage
from PIL import ImageOps

from jaxstyle.batch.sources import parts
from jaxstyle.batch.storage import is_url
from jaxstyle.settings import Settings

THUMBNAIL = 192
"""Pixels of a thumbnail's longest side."""

IN_BROWSERS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp")
"""Extensions of the pictures that browsers show."""

_IN_URLS = "%:/?#[]@!$&'()*+,;=~"

_POLICY = (
    "default-src 'none'; img-src 'self' file:; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'"
)

_STYLE = """\
:root {
  color-scheme: light dark;
  --page: #fff; --ink: #1d1d1f; --quiet: #6a6a70; --line: #e4e4e7; --frame: #f4f4f5; --bad: #b3261e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #141416; --ink: #ededf0; --quiet: #9c9ca3; --line: #2c2c30; --frame: #1e1e21;
    --bad: #ff8a80;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 56rem; padding: 2.5rem clamp(1rem, 4vw, 2rem);
  background: var(--page); color: var(--ink);
  font: 0.875rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere;
}
h1 { margin: 0; font-size: 1.5rem; font-weight: 600; }
header p { margin: 0.25rem 0 1.5rem; color: var(--quiet); font-size: 1rem; }
ol { margin: 0; padding: 0; list-style: none; }
.columns, li { display: grid; grid-template-columns: 1fr 1fr 2fr; gap: 1.25rem; }
.columns {
  position: sticky; top: 0; z-index: 1; padding: 0.5rem 0;
  background: var(--page); color: var(--quiet);
}
li {
  padding: 1.25rem 0; border-top: 1px solid var(--line); scroll-margin-top: 3rem;
  content-visibility: auto; contain-intrinsic-size: auto 22rem;
}
li > * { min-width: 0; }
.styles {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(5rem, 1fr)); gap: 0.5rem;
  align-content: start;
}
a { color: inherit; text-decoration: none; }
a:hover span, header a { text-decoration: underline; }
a span, small { display: block; margin-top: 0.375rem; }
small { color: var(--quiet); font-size: inherit; }
img, .blank {
  display: block; width: 100%; aspect-ratio: 1; margin: 0;
  background: var(--frame); border-radius: 0.5rem; object-fit: contain;
}
li > :last-child img { aspect-ratio: 4 / 3; }
p.blank { aspect-ratio: auto; }
.blank { padding: 0.75rem; overflow: auto; color: var(--quiet); }
.failed p, header a { color: var(--bad); }
@media (max-width: 40rem) {
  .columns { display: none; }
  li { grid-template-columns: 1fr 1fr; }
  li > :last-child { grid-column: 1 / -1; }
}
"""


@dataclass(frozen=True)
class Shown:
    """A row of the sheet.

    content, styles: paths or URLs. output: file name beside the sheet. status: done, failed, or
    another word; reason: where it is not done. settings: those of the job.
    """

    content: str
    styles: tuple[str, ...]
    output: str
    status: str
    reason: str
    settings: Settings | None = None


def sheet(
    shown: Sequence[Shown], thumbnails: Mapping[str, str], title: str, root: str = "."
) -> str:
    """An HTML page with a row for every picture: content, styles, result.

    Args:
      thumbnails: by source (path or URL) or output, a picture's path relative to the sheet. Where
        there is none the picture itself is shown, unless it is elsewhere.
      root: the folder of the sheet, or its URL; sources are linked relative to it.
    """
    sources = {path for row in shown for path in (row.content, *row.styles)}
    links = {path: _link(path, root) for path in sources}
    shots = {path: _shot(path, links[path], thumbnails) for path in sources}
    told = _differing([row.settings for row in shown if row.settings])
    first = next((i for i, row in enumerate(shown) if row.status == "failed"), None)
    rows = "".join(_row(row, shots, thumbnails, told, i == first) for i, row in enumerate(shown))
    return f"""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_text(title)}</title>
<style>
{_STYLE}</style>
</head>
<body>
<header>
<h1>{_text(title)}</h1>
<p>{_summary(shown)}</p>
</header>
<main>
<div class="columns"><span>Content</span><span>Style</span><span>Result</span></div>
<ol>
{rows}</ol>
</main>
</body>
</html>
"""


def thumbnail(image: Float[np.ndarray, "h w 3"]) -> bytes:
    """A JPEG of the picture (sRGB in [0, 1]), at most ``THUMBNAIL`` pixels wide and high."""
    levels = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    return _jpeg(PillowImage.fromarray(levels))


def thumbnail_of_jpeg(path: str) -> bytes | None:
    """The same of a JPEG file, in its own color space: decoded small, as photos are large. None of
    any other file, of one that cannot be read, of inks, and where Pillow warns of its size."""
    try:
        with (
            warnings.catch_warnings(action="error"),
            PillowImage.open(path, formats=["JPEG"]) as image,
        ):
            image.draft("RGB", (2 * THUMBNAIL, 2 * THUMBNAIL))
            if image.mode not in ("L", "RGB"):
                return None
            return _jpeg(ImageOps.exif_transpose(image), image.info.get("icc_profile"))
    except Exception:  # whatever damage leads to
        return None


def _jpeg(image: PillowImage.Image, profile: bytes | None = None) -> bytes:
    image.thumbnail((THUMBNAIL, THUMBNAIL), PillowImage.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85, optimize=True, icc_profile=profile)
    return buffer.getvalue()


def _summary(shown: Sequence[Shown]) -> str:
    counts = {"done": 0, **Counter(row.status for row in shown)}
    said = {status: f"{count:,} {_text(status)}" for status, count in counts.items()}
    if "failed" in said:
        said["failed"] = f'<a href="#failed">{said["failed"]}</a>'
    return ", ".join(said.values())


def _row(
    row: Shown,
    shots: Mapping[str, str],
    thumbnails: Mapping[str, str],
    told: Sequence[str],
    first_failed: bool,
) -> str:
    if row.status == "done":
        result = _shot(row.output, _encoded(row.output), thumbnails)
    else:
        said = f"<strong>{_text(row.status)}</strong> {_text(row.reason)}".strip()
        result = f'<p class="blank">{said}</p><small>{_text(row.output)}</small>'
    marks = ' id="failed"' * first_failed + ' class="failed"' * (row.status == "failed")
    settings = (f"{n.replace('_', ' ')} {_said(getattr(row.settings, n))}" for n in told)
    beneath = _text(", ".join(settings)) if row.settings else ""
    return (
        f"<li{marks}>\n{shots[row.content]}\n"
        f'<div class="styles">{"".join(shots[style] for style in row.styles)}</div>\n'
        f"<div>{result}{f'<small>{beneath}</small>' if beneath else ''}</div>\n</li>\n"
    )


def _shot(path: str, link: str, thumbnails: Mapping[str, str]) -> str:
    """A picture over its name, a link to it where a browser can follow one."""
    name = parts(path)[-1] if parts(path) else path
    here = bool(link) and not is_url(path) and name.lower().endswith(IN_BROWSERS)
    source = _encoded(thumbnails[path]) if path in thumbnails else link if here else ""
    image = '<span class="blank">no preview</span>'
    if source:
        image = f'<img src="{html.escape(source)}" alt="" loading="lazy">'
    target = f' href="{html.escape(link)}"' if link else ""
    return f"<a{target}>{image}<span>{_text(name)}</span></a>"


def _link(path: str, root: str) -> str:
    """The URL of a source as seen from the sheet; none where no browser gets there."""
    if path.startswith(("http://", "https://")):
        return quote(path, safe=_IN_URLS, errors="replace")
    if is_url(path) or is_url(root) or not _encoded(path):
        return ""
    try:
        return _encoded(os.path.relpath(path, root))
    except ValueError:  # another drive, on Windows
        return Path(path).absolute().as_uri()


def _encoded(path: str) -> str:
    try:
        return quote(os.fsencode(path.replace(os.sep, "/")))
    except UnicodeEncodeError:  # no file has such a name
        return ""


def _text(text: str) -> str:
    """Text as HTML, in which no control characters and no halves of characters may be."""
    return html.escape("".join(c if c.isprintable() else "\ufffd" for c in text), quote=False)


def _differing(settings: Sequence[Settings]) -> list[str]:
    """The settings that are not the same in all."""
    each = list({id(one): one for one in settings}.values())
    names = [field.name for field in fields(Settings)]
    return [n for n in names if any(getattr(o, n) != getattr(each[0], n) for o in each[1:])]


def _said(value: Any) -> str:
    """A setting's value, as short as it goes."""
    if isinstance(value, Mapping):
        return " ".join(f"{layer}={share:.9g}" for layer, share in value.items())
    if isinstance(value, tuple):
        return " ".join(map(_said, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.9g}"
    return "none" if value in (None, "") else str(value)
