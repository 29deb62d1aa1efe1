"""The easel: HTML of a view, drawn anew whenever it changes."""

import io
from collections.abc import Mapping, Sequence
from html import escape
from math import log10
from urllib.parse import quote

from PIL import Image as PillowImage

from jaxstyle.studio.history import Entry
from jaxstyle.studio.view import View, as_url

CURVE_WIDTH, CURVE_HEIGHT = 600, 90
"""Size of the loss curves, in units of the drawing."""

EMPTY = (
    '<div class="easel empty"><div class="sheet"><p>Give a photo and a style picture, then press '
    "<b>Paint</b>.</p></div></div>"
)


def drawn(view: View) -> str:
    """Return a view as HTML."""
    if view.state == "empty":
        return EMPTY
    parts = [_cells(view) if view.cells else _sheet(view), _status(view), curve(view)]
    parts += [f'<p class="note">{escape(note)}</p>' for note in view.notes]
    return f'<div class="easel {view.state}">{"".join(parts)}</div>'


def _sheet(view: View) -> str:
    """Return the picture; once it is finished, with a slider to compare it with the photo."""
    alt = view.alt or view.title
    if view.state == "failed" or not (view.picture or view.before):
        return '<div class="sheet"></div>'
    if not view.picture:
        return sheet(_sides(view.before), as_url(view.before), "The photo", "faint")
    if not view.before or not view.over:
        return sheet(_sides(view.picture), as_url(view.picture), alt)
    return compared(
        _sides(view.picture), as_url(view.before), as_url(view.picture), "The photo", alt
    )


def _sides(picture: bytes) -> tuple[int, int]:
    """Return the height and width of a JPEG."""
    width, height = PillowImage.open(io.BytesIO(picture)).size
    return height, width


def sheet(sides: tuple[int, int], picture: str, words: str, kind: str = "") -> str:
    """Return a picture.

    Args:
      sides: its height and width.
      picture: its URL.
      words: the picture in words.
      kind: a class of the style sheet.
    """
    height, width = sides
    return (
        f'<div class="sheet" style="--ratio: {width / height:.4f}">'
        f'<img class="{kind}" src="{picture}" alt="{escape(words)}"></div>'
    )


def compared(sides: tuple[int, int], before: str, after: str, of_before: str, of_after: str) -> str:
    """Return two pictures with a slider between them.

    Args:
      sides: height and width of the right one, to which the other is stretched.
      before: URL of the left picture.
      after: URL of the right picture.
      of_before: the left picture in words.
      of_after: the right picture in words.
    """
    height, width = sides
    return (
        f'<div class="sheet compare" style="--cut: 0%; --ratio: {width / height:.4f}">'
        f'<img src="{after}" alt="{escape(of_after)}">'
        f'<img class="before" src="{before}" alt="{escape(of_before)}">'
        '<span class="cut" aria-hidden="true"></span>'
        '<input type="range" min="0" max="100" value="0" step="1" '
        f'aria-label="Show from the left: {escape(of_before)}" '
        "oninput=\"this.parentNode.style.setProperty('--cut', this.value + '%')\"></div>"
    )


def _status(view: View) -> str:
    """Return the line about how it goes, with a bar while it does."""
    words = {"failed": "Could not be made", "stopped": "Stopped", "done": "Done"}
    word = words.get(view.state, "")
    shown = f"<b>{word}</b> " if word else ""
    bar = ""
    if view.state == "running":
        percent = round(100 * view.share)
        bar = (
            '<div class="bar" role="progressbar" aria-valuemin="0" aria-valuemax="100" '
            f'aria-valuenow="{percent}" aria-label="Progress">'
            f'<i style="width: {percent}%"></i></div>'
        )
    role = ' role="alert"' if view.state == "failed" else ' role="status"'
    return f'{bar}<p class="status"{role}>{shown}<span>{escape(view.text)}</span></p>'


def _cells(view: View) -> str:
    """Return the grid of a sweep; finished cells are buttons."""
    cells = []
    for cell in view.cells:
        label = escape(cell.label)
        image = f'<img src="{as_url(cell.picture)}" alt="{label}">' if cell.picture else "<i></i>"
        name = f' data-name="{escape(cell.name)}"' if cell.name else " disabled"
        cells.append(f'<button type="button"{name}>{image}<span>{label}</span></button>')
    return f'<div class="cells" style="--columns: {view.columns}">{"".join(cells)}</div>'


def curve(view: View) -> str:
    """Return the losses as curves, on a logarithmic scale."""
    total = view.curves.get("total", ())
    if len(total) < 2:
        return ""
    lines = "".join(
        f'<polyline class="{name}" points="{_points(values, view.curves)}"/>'
        for name, values in view.curves.items()
    )
    step = CURVE_WIDTH / (len(total) - 1)
    scales = "".join(
        f'<line x1="{start * step:.1f}" x2="{start * step:.1f}" y1="0" y2="{CURVE_HEIGHT}"/>'
        for start in view.starts
    )
    legend = "".join(
        f'<span class="{name}">{escape(NAMES.get(name, name))} {values[-1]:.3g}</span>'
        for name, values in view.curves.items()
    )
    return (
        f'<figure class="curve"><svg viewBox="0 0 {CURVE_WIDTH} {CURVE_HEIGHT}" '
        f'preserveAspectRatio="none" role="img" aria-label="Losses, on a logarithmic scale: '
        f'the total went from {total[0]:.3g} to {total[-1]:.3g}">{scales}{lines}</svg>'
        f"<figcaption>{legend}</figcaption></figure>"
    )


NAMES = {"total": "loss", "tv": "total variation"}


def _points(values: Sequence[float], curves: Mapping[str, Sequence[float]]) -> str:
    """Return the points of a curve, in the drawing that holds all curves."""
    logs = [log10(value) for each in curves.values() for value in each if value > 0]
    high = max(logs)
    low = max(min(logs), high - 4)  # a term that is nearly zero must not flatten the others

    def height(value: float) -> float:
        place = (log10(value) if value > 0 else low) - low
        return CURVE_HEIGHT - 4 - (CURVE_HEIGHT - 8) * max(0.0, place) / max(high - low, 1e-6)

    step = CURVE_WIDTH / (len(values) - 1)
    return " ".join(f"{i * step:.1f},{height(value):.1f}" for i, value in enumerate(values))


def cards(entries: Sequence[Entry], chosen: str = "") -> str:
    """Return the history as HTML: a card for each picture, which is a button."""
    if not entries:
        return '<p class="none">Nothing has been made yet. What you make is kept here.</p>'
    each = "".join(
        f'<button type="button" data-name="{escape(entry.name)}"'
        f"{' aria-pressed=true' if entry.name == chosen else ''}>"
        f'<img loading="lazy" src="{url(entry.name, "thumbnail")}" alt="{escape(entry.name)}">'
        f"<span>{escape(entry.name)}</span></button>"
        for entry in entries
    )
    return f'<div class="cards">{each}</div>'


def url(name: str, kind: str) -> str:
    """Return the address of a file of the history, relative to the page."""
    return f"history/{kind}/{quote(name, safe='')}"


LINKS = {"picture": "PNG", "tiff": "16-bit TIFF", "timelapse": "Timelapse", "recipe": "Recipe"}
"""What can be downloaded of a picture: the kinds of `Entry.files`, in words."""


def links(entry: Entry) -> str:
    """Return the links to download a picture's files."""
    there = entry.files()
    each = (
        f'<a download href="{url(entry.name, kind)}">{word}</a>'
        for kind, word in LINKS.items()
        if kind == "recipe" or kind in there
    )
    return f'<p class="links">{"".join(each)}</p>'


def details(entry: Entry, other: Entry | None = None) -> str:
    """Return a picture of the history, compared with its photo or another picture."""
    after, sides = url(entry.name, "picture"), entry.sides()
    if other:
        shown = compared(sides, url(other.name, "picture"), after, other.name, entry.name)
    elif "photo" in entry.files():
        shown = compared(sides, url(entry.name, "photo"), after, "The photo", entry.name)
    else:
        shown = sheet(sides, after, entry.name)
    words = [f"{sides[1]} × {sides[0]}", entry.made.strftime("%Y-%m-%d %H:%M"), entry.stopped()]
    line = f"<b>{escape(entry.name)}</b> <span>{' · '.join(filter(None, words))}</span>"
    return f'<div class="easel">{shown}<p class="status">{line}</p>{links(entry)}</div>'


def strip(kind: str, names: Sequence[str]) -> str:
    """Return example pictures as HTML: a row of buttons."""
    each = "".join(
        f'<button type="button" data-name="{kind}/{name}" title="{name.replace("_", " ")}">'
        f'<img loading="lazy" src="examples/{kind}/{name}" alt="Example: {name.replace("_", " ")}">'
        "</button>"
        for name in names
    )
    return f'<div class="strip">{each}</div>' if names else ""
