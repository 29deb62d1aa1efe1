"""The contact sheet of a batch: an HTML page that opens from disk, without scripts or network."""

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

from jaxstyle import images
from jaxstyle.batch.sources import parts
from jaxstyle.batch.storage import is_url
from jaxstyle.settings import Settings

THUMBNAIL = 192
"""Longest side of a thumbnail, in pixels."""

IN_BROWSERS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp")
"""Extensions of the picture formats that browsers display."""

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

    Attributes:
      content: path or URL of the content picture.
      styles: paths or URLs of the style pictures.
      output: file name of the result, beside the sheet.
      status: "done", "failed" or another word.
      reason: why it is not done.
      settings: settings of the job.
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
    """Return an HTML page with a row for every job: content, styles, result.

    Args:
      shown: the rows.
      thumbnails: paths of thumbnails relative to the sheet, by source (path or URL) or output. A
        picture without one is shown itself if it is a local file that browsers display.
      title: title of the page.
      root: folder or URL of the sheet; sources are linked relative to it.
    """
    sources = {path for row in shown for path in (row.content, *row.styles)}
    links = {path: _link(path, root) for path in sources}
    shots = {path: _picture_html(path, links[path], thumbnails) for path in sources}
    names = _differing([row.settings for row in shown if row.settings])
    first = next((i for i, row in enumerate(shown) if row.status == "failed"), None)
    rows = "".join(_row(row, shots, thumbnails, names, i == first) for i, row in enumerate(shown))
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
    """Encode a picture (sRGB in [0, 1]) as a JPEG of at most ``THUMBNAIL`` pixels a side."""
    return _jpeg(PillowImage.fromarray(images.to_levels(image)))


def thumbnail_of_jpeg(path: str) -> bytes | None:
    """Return the thumbnail of a JPEG file, in the file's own color space.

    The file is decoded at reduced size, since photos are large.

    Returns:
      The JPEG; None for a file of another format, a damaged one, one that is neither gray nor RGB
      (such as CMYK), or one so large that Pillow warns.
    """
    try:
        with (
            warnings.catch_warnings(action="error"),
            PillowImage.open(path, formats=["JPEG"]) as image,
        ):
            image.draft("RGB", (2 * THUMBNAIL, 2 * THUMBNAIL))
            if image.mode not in ("L", "RGB"):
                return None
            return _jpeg(ImageOps.exif_transpose(image), image.info.get("icc_profile"))
    except Exception:  # damaged files raise many kinds
        return None


def _jpeg(image: PillowImage.Image, profile: bytes | None = None) -> bytes:
    image.thumbnail((THUMBNAIL, THUMBNAIL), PillowImage.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85, optimize=True, icc_profile=profile)
    return buffer.getvalue()


def _summary(shown: Sequence[Shown]) -> str:
    counts = {"done": 0, **Counter(row.status for row in shown)}
    labels = {status: f"{count:,} {_text(status)}" for status, count in counts.items()}
    if "failed" in labels:
        labels["failed"] = f'<a href="#failed">{labels["failed"]}</a>'
    return ", ".join(labels.values())


def _row(
    row: Shown,
    shots: Mapping[str, str],
    thumbnails: Mapping[str, str],
    names: Sequence[str],
    first_failed: bool,
) -> str:
    if row.status == "done":
        result = _picture_html(row.output, _encoded(row.output), thumbnails)
    else:
        message = f"<strong>{_text(row.status)}</strong> {_text(row.reason)}".strip()
        result = f'<p class="blank">{message}</p><small>{_text(row.output)}</small>'
    marks = ' id="failed"' * first_failed + ' class="failed"' * (row.status == "failed")
    settings = (f"{n.replace('_', ' ')} {_formatted(getattr(row.settings, n))}" for n in names)
    beneath = _text(", ".join(settings)) if row.settings else ""
    return (
        f"<li{marks}>\n{shots[row.content]}\n"
        f'<div class="styles">{"".join(shots[style] for style in row.styles)}</div>\n'
        f"<div>{result}{f'<small>{beneath}</small>' if beneath else ''}</div>\n</li>\n"
    )


def _picture_html(path: str, link: str, thumbnails: Mapping[str, str]) -> str:
    """Return the HTML of a picture above its name, linked to the picture if possible."""
    name = parts(path)[-1] if parts(path) else path
    here = bool(link) and not is_url(path) and name.lower().endswith(IN_BROWSERS)
    source = _encoded(thumbnails[path]) if path in thumbnails else link if here else ""
    image = '<span class="blank">no preview</span>'
    if source:
        image = f'<img src="{html.escape(source)}" alt="" loading="lazy">'
    target = f' href="{html.escape(link)}"' if link else ""
    return f"<a{target}>{image}<span>{_text(name)}</span></a>"


def _link(path: str, root: str) -> str:
    """Return the link to a source from the sheet; empty if a browser cannot open it."""
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
    except UnicodeEncodeError:  # not a possible file name
        return ""


def _text(text: str) -> str:
    """Escape text for HTML; replace control characters and lone surrogates by U+FFFD."""
    return html.escape("".join(c if c.isprintable() else "\ufffd" for c in text), quote=False)


def _differing(settings: Sequence[Settings]) -> list[str]:
    """Return the names of the settings that differ between rows."""
    each = list({id(one): one for one in settings}.values())
    names = [field.name for field in fields(Settings)]
    return [n for n in names if any(getattr(o, n) != getattr(each[0], n) for o in each[1:])]


def _formatted(value: Any) -> str:
    """Format a setting's value briefly."""
    if isinstance(value, Mapping):
        return " ".join(f"{layer}={share:.9g}" for layer, share in value.items())
    if isinstance(value, tuple):
        return " ".join(map(_formatted, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.9g}"
    return "none" if value in (None, "") else str(value)
