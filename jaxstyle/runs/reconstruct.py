"""What each layer keeps: the figure of the papers, from one picture.

Content reconstructions start from noise and minimize the content loss at one layer alone: what
comes back is what that layer knows of the picture. Style reconstructions minimize the style loss at
a growing set of layers: from the grain of the picture to its larger forms. Gatys, Ecker, Bethge,
CVPR 2016, figure 1; Mahendran & Vedaldi, CVPR 2015, for the former alone.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from jaxstyle.execution.plan import Image, plan, resize
from jaxstyle.images import Picture
from jaxstyle.network import weights
from jaxstyle.runs.result import Progress, Result
from jaxstyle.runs.stylize import run
from jaxstyle.settings import Settings


class Reconstruction(NamedTuple):
    """kind: "content" or "style". layers: what the loss looked at. result: the run."""

    kind: str
    layers: tuple[str, ...]
    result: Result

    @property
    def label(self) -> str:
        """What is written beneath it."""
        first, *more = self.layers
        return f"{first} .. {more[-1]}" if more else first


def reconstructions(
    loaded: weights.Loaded,
    image: Image,
    settings: Settings,
    callback: Callable[[Progress], None] = lambda progress: None,
) -> Iterator[Reconstruction]:
    """A style reconstruction for each first so many of the style layers of the settings, then a
    content reconstruction for each of its content layers; yields each as soon as it is made."""
    for kind, layers in cells(settings):
        wanted = dict.fromkeys(layers, 1.0)
        result = run(loaded, Picture(image), [image], alone(settings, kind, wanted), callback)
        yield Reconstruction(kind, layers, result)


def cells(settings: Settings) -> list[tuple[str, tuple[str, ...]]]:
    """Kind and layers of every reconstruction that the settings ask for."""
    style = tuple(settings.style_layers)
    growing = [("style", style[:count]) for count in range(1, len(style) + 1)]
    return growing + [("content", (layer,)) for layer in settings.content_layers]


def alone(settings: Settings, kind: str, layers: Mapping[str, float]) -> Settings:
    """The settings with one kind of loss, on these layers, and not starting from the answer."""
    init = "noise" if settings.init == "content" else settings.init
    weights = {"content_weight": 0.0, "style_weight": 0.0}
    weights[f"{kind}_weight"] = getattr(settings, f"{kind}_weight") or 1.0
    return replace(settings, init=init, **weights, **{f"{kind}_layers": dict(layers)})


def size_of_cells(image: Image, settings: Settings) -> tuple[int, int]:
    """Height and width of every reconstruction.

    Raises:
      PictureSizeError: the picture is too small for the deepest layer.
    """
    of_each = [
        plan(image, [image], alone(settings, kind, dict.fromkeys(layers, 1.0)))[-1]
        for kind, layers in cells(settings)
    ]
    return of_each[0].height, of_each[0].width


GAP = 12
BAND = 26


def figure(image: Image, made: Sequence[Reconstruction], settings: Settings) -> Image:
    """One labelled picture: style reconstructions above, content reconstructions below, the
    picture itself at the left of both rows."""
    cell_height, cell_width = made[0].result.image.shape[:2]
    rows = [[one for one in made if one.kind == kind] for kind in ("style", "content")]
    rows = [row for row in rows if row]
    columns = 1 + max(map(len, rows))
    size = (
        columns * (cell_width + GAP) + GAP,
        len(rows) * (cell_height + BAND + GAP) + GAP,
    )
    sheet = PillowImage.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(max(11, min(18, cell_width // 12)))
    scale = plan(image, [image], made[0].result.settings)[-1]
    original = resize(image, scale, settings)
    for r, row in enumerate(rows):
        top = GAP + r * (cell_height + BAND + GAP)
        labelled = [(original, f"{row[0].kind}: the picture")]
        labelled += [(one.result.image, one.label) for one in row]
        for c, (picture, label) in enumerate(labelled):
            left = GAP + c * (cell_width + GAP)
            sheet.paste(PillowImage.fromarray(np.uint8(np.rint(picture * 255))), (left, top))
            middle = left + cell_width / 2, top + cell_height + BAND / 2
            draw.text(middle, label, fill="black", font=font, anchor="mm")
    return np.asarray(sheet, np.float32) / 255
