"""Stylize every photo after every style with the same settings: a contact sheet, and a table.

    python examples/gallery.py -o gallery.jpg --table gallery.md
    python examples/gallery.py PHOTO [PHOTO ...] --styles STYLE [STYLE ...] -o gallery.jpg

The table says, for each pair, how many times smaller the style loss of the result is than that of
the photo, and how its content loss compares with that of an unrelated picture (the style itself).
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from jaxstyle import Result, images, resolve
from jaxstyle.cli.flags import add_settings, given_settings
from jaxstyle.execution.plan import plan, resize
from jaxstyle.network import weights
from jaxstyle.runs.inputs import Inputs
from jaxstyle.runs.score import score_pictures
from jaxstyle.runs.stylize import run
from jaxstyle.settings import Settings

HERE = Path(__file__).parent
PHOTOS = [HERE / "photos" / f"{name}.jpg" for name in ("chelsea", "coffee", "rocket")]
STYLES = [
    HERE / "styles" / f"{name}.jpg"
    for name in ("brushstrokes", "stained_glass", "woodcut", "mosaic")
]


class Pair(NamedTuple):
    """One cell: names, the run, and the losses of three pictures under the run's objective."""

    photo: Path
    style: Path
    result: Result
    of_photo: dict[str, float]
    of_result: dict[str, float]
    of_style: dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", nargs="*", type=Path, default=PHOTOS)
    parser.add_argument("--styles", nargs="+", type=Path, default=STYLES)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--table", type=Path)
    parser.add_argument("--cell", type=int, default=400, help="longest side of a cell in the sheet")
    add_settings(parser)
    arguments = parser.parse_args()
    settings = resolve(**given_settings(arguments))
    loaded = weights.load(weights.find())
    pairs = [
        make(loaded, photo, style, settings)
        for photo in arguments.photos
        for style in arguments.styles
    ]
    contact_sheet(pairs, arguments.styles, arguments.cell).save(arguments.output, quality=88)
    text = table(pairs)
    print(text)
    if arguments.table:
        arguments.table.write_text(text)


def make(loaded: weights.Loaded, photo: Path, style: Path, settings: Settings) -> Pair:
    """Run one pair and score it."""
    content, painting = images.read(photo), images.read(style).rgb
    result = run(loaded, Inputs(content, [painting], settings))
    print(f"{photo.stem} x {style.stem}: {result.seconds:.0f} s", file=sys.stderr)
    scale = plan(content.rgb, [painting], settings)[-1]
    pictures = resize(content.rgb, scale, settings), result.image, resize(painting, scale, settings)
    scores = [
        score_pictures(loaded, picture, content.rgb, [painting], settings, resized=True)
        for picture in pictures
    ]
    return Pair(photo, style, result, *(sums(score.terms) for score in scores))


def sums(terms: dict[str, float]) -> dict[str, float]:
    """Content and style losses, summed over layers."""
    return {
        kind: sum(value for name, value in terms.items() if name.startswith(kind))
        for kind in ("content", "style")
    }


def table(pairs: Sequence[Pair]) -> str:
    """The losses as Markdown."""
    lines = [
        "| photo | style | style loss of the photo | of the result | times smaller "
        "| content loss, share of an unrelated picture's |",
        "|---|---|---|---|---|---|",
    ]
    for pair in pairs:
        before, after = pair.of_photo["style"], pair.of_result["style"]
        content = pair.of_result["content"] / pair.of_style["content"]
        lines.append(
            f"| {pair.photo.stem} | {pair.style.stem} | {before:.1f} | {after:.3f} "
            f"| {before / after:.0f} | {content:.0%} |"
        )
    return "\n".join(lines) + "\n"


def contact_sheet(pairs: Sequence[Pair], styles: Sequence[Path], cell: int) -> Image.Image:
    """A grid: styles above, photos on the left, results where they meet."""
    photos = list(dict.fromkeys(pair.photo for pair in pairs))
    rows = [[None, *(to_image(images.read(style).rgb, cell) for style in styles)]]
    for photo in photos:
        made = [to_image(pair.result.image, cell) for pair in pairs if pair.photo == photo]
        rows.append([to_image(images.read(photo).rgb, cell), *made])
    gap = 8
    heights = [max(p.height for p in row if p) for row in rows]
    sheet = Image.new(
        "RGB", ((cell + gap) * len(rows[0]) + gap, sum(heights) + gap * (len(rows) + 1)), "white"
    )
    top = gap
    for row, height in zip(rows, heights, strict=True):
        for column, picture in enumerate(row):
            if picture:
                left = gap + column * (cell + gap) + (cell - picture.width) // 2
                sheet.paste(picture, (left, top + (height - picture.height) // 2))
        top += height + gap
    return sheet


def to_image(rgb: np.ndarray, cell: int) -> Image.Image:
    """A thumbnail whose sides are at most ``cell`` wide and three quarters of it high."""
    picture = Image.fromarray((rgb * 255).round().astype(np.uint8))
    picture.thumbnail((cell, cell * 3 // 4), Image.Resampling.LANCZOS)
    return picture


if __name__ == "__main__":
    main()
