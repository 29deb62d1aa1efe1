"""Reconstructions of one picture from its features, which show what each layer represents.

Content reconstructions start from noise and minimize the content loss at a single layer: they show
what that layer preserves of the picture. Style reconstructions minimize the style loss at a growing
set of layers: they go from fine texture to larger forms. Gatys, Ecker, Bethge, CVPR 2016, figure 1;
Mahendran & Vedaldi, CVPR 2015, for content alone.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from jaxstyle.execution.plan import Image, plan, resize
from jaxstyle.execution.strategy import do_not_pause
from jaxstyle.images import Picture
from jaxstyle.network import weights
from jaxstyle.runs.inputs import Inputs
from jaxstyle.runs.optimize import Hooks
from jaxstyle.runs.result import Progress, Result
from jaxstyle.runs.stylize import run, telling
from jaxstyle.settings import Settings


class Reconstruction(NamedTuple):
    """One reconstruction.

    Attributes:
      kind: "content" or "style".
      layers: the layers of its loss.
      result: the result of its run.
    """

    kind: str
    layers: tuple[str, ...]
    result: Result

    @property
    def label(self) -> str:
        """The caption in the figure."""
        first, *more = self.layers
        return f"{first} .. {more[-1]}" if more else first


def reconstructions(
    loaded: weights.Loaded,
    image: Image,
    settings: Settings,
    callback: Callable[[Progress], None] = lambda progress: None,
    pause: Callable[[], None] = do_not_pause,
) -> Iterator[Reconstruction]:
    """Yield all reconstructions of a picture, each as soon as it is made.

    First the style reconstructions: from the first style layer, the first two, the first three and
    so on. Then one content reconstruction for each content layer.

    Args:
      loaded: weights of the network.
      image: the picture.
      settings: settings of the runs.
      callback: called with every progress report.
      pause: as in ``jaxstyle.runs.optimize.Hooks``.
    """
    for kind, layers in cells(settings):
        inputs = Inputs(Picture.of(image), [image], of_cell(settings, kind, layers))
        result = run(loaded, inputs, Hooks(telling(callback), pause))
        yield Reconstruction(kind, layers, result)


def cells(settings: Settings) -> list[tuple[str, tuple[str, ...]]]:
    """Return kind and layers of every reconstruction that the settings ask for."""
    style = tuple(settings.style_layers)
    growing = [("style", style[:count]) for count in range(1, len(style) + 1)]
    return growing + [("content", (layer,)) for layer in settings.content_layers]


def of_cell(settings: Settings, kind: str, layers: Sequence[str]) -> Settings:
    """Return the settings of a reconstruction."""
    return with_one_loss(settings, kind, dict.fromkeys(layers, 1.0))


def with_one_loss(settings: Settings, kind: str, layers: Mapping[str, float]) -> Settings:
    """Return settings in which only the content or the style loss (``kind``) compares features.

    It is on the given layers, and the total variation loss stays.

    The initial image is never the content picture, which would be the solution: noise instead.
    """
    init = "noise" if settings.init == "content" else settings.init
    weights = {"content_weight": 0.0, "style_weight": 0.0}
    weights[f"{kind}_weight"] = getattr(settings, f"{kind}_weight") or 1.0
    return replace(settings, init=init, **weights, **{f"{kind}_layers": dict(layers)})


def size_of_cells(image: Image, settings: Settings) -> tuple[int, int]:
    """Return height and width of the reconstructions.

    Raises:
      PictureSizeError: the picture is too small for the deepest layer.
    """
    scales = [
        plan(image, [image], of_cell(settings, kind, layers))[-1]
        for kind, layers in cells(settings)
    ]
    return scales[0].height, scales[0].width


GAP = 12
"""Pixels between two pictures of the figure."""

BAND = 26
"""Height in pixels of the caption below a picture."""


def figure(image: Image, made: Sequence[Reconstruction], settings: Settings) -> Image:
    """Return the labeled figure: a row of style and a row of content reconstructions.

    Each row begins with the picture itself.
    """
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
    original = resize(image, scale, settings)[..., :3]
    for r, row in enumerate(rows):
        top = GAP + r * (cell_height + BAND + GAP)
        labeled = [(original, f"{row[0].kind}: the picture")]
        labeled += [(one.result.image, one.label) for one in row]
        for c, (picture, label) in enumerate(labeled):
            left = GAP + c * (cell_width + GAP)
            sheet.paste(PillowImage.fromarray(np.rint(picture * 255).astype(np.uint8)), (left, top))
            middle = left + cell_width / 2, top + cell_height + BAND / 2
            draw.text(middle, label, fill="black", font=font, anchor="mm")
    return np.asarray(sheet, np.float32) / 255
