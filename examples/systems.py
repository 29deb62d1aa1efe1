"""Every published system on one photo and one style, at one size and number of steps: a sheet.

    python examples/systems.py -o docs/systems.jpg

Where the weights at hand are of the other kind than those a system was published for, its known
equivalent settings are used, as the sheet says.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from jaxstyle import images, resolve
from jaxstyle.network import weights
from jaxstyle.presets import PRESETS
from jaxstyle.runs.inputs import Inputs
from jaxstyle.runs.result import Result
from jaxstyle.runs.stylize import run

HERE = Path(__file__).parent
SYSTEMS = [name for name, preset in PRESETS.items() if preset.link]
GAP, BAND = 10, 28


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photo", type=Path, default=HERE / "photos" / "chelsea.jpg")
    parser.add_argument("--style", type=Path, default=HERE / "styles" / "brushstrokes.jpg")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--columns", type=int, default=4)
    parser.add_argument("systems", nargs="*", default=SYSTEMS)
    arguments = parser.parse_args()
    loaded = weights.load(weights.find())
    photo, style = images.read(arguments.photo), images.read(arguments.style).rgb
    cells = []
    for name in arguments.systems:
        given = {"size": arguments.size, "steps": arguments.steps, **equivalent(name, loaded)}
        result = run(loaded, Inputs(photo, [style], resolve(name, **given)))
        label = name + ("*" if equivalent(name, loaded) else "")
        cells.append((label, result.image))
        print(f"{label}: {result.seconds:.0f} s, {account(result)}", file=sys.stderr, flush=True)
        sheet(cells, arguments.columns).save(arguments.output, quality=90)


def equivalent(name: str, loaded: weights.Loaded) -> dict[str, Any]:
    """What to change for the weights at hand."""
    kind = "normalized" if loaded.weights.normalized else "original"
    return dict(PRESETS[name].equivalent) if PRESETS[name].network not in (kind, "any") else {}


def account(result: Result) -> str:
    """Weighted content, style and total variation losses at the end."""
    terms = result.losses[-1]["terms"]
    kinds: Iterator[str] = iter(("content", "style", "tv"))
    return ", ".join(
        f"{kind} {sum(v for name, v in terms.items() if name.startswith(kind)):.4g}"
        for kind in kinds
    )


def sheet(cells: list[tuple[str, np.ndarray]], columns: int) -> Image.Image:
    """Labelled pictures in rows."""
    height, width = (max(cell.shape[axis] for _, cell in cells) for axis in (0, 1))
    rows = -(-len(cells) // columns)
    size = columns * (width + GAP) + GAP, rows * (height + BAND + GAP) + GAP
    page = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(16)
    for index, (label, cell) in enumerate(cells):
        left = GAP + index % columns * (width + GAP)
        top = GAP + index // columns * (height + BAND + GAP)
        page.paste(Image.fromarray(np.uint8(np.rint(cell * 255))), (left, top))
        draw.text((left + width / 2, top + height + BAND / 2), label, "black", font, anchor="mm")
    return page


if __name__ == "__main__":
    main()
