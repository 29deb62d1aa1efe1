"""Builder of the tiled objective, with targets of pictures too large for the network."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Array, Float

from jaxstyle.execution.tiles.grid import Grid, halo
from jaxstyle.execution.tiles.objective import TiledObjective
from jaxstyle.execution.tiles.targets import (
    content_targets,
    earlier_frames,
    local_colors,
    style_statistics,
)
from jaxstyle.losses import LOSSES
from jaxstyle.losses.objective import LossSpec, assembled, style_terms
from jaxstyle.losses.targets import Guides, shares_of, targets_of
from jaxstyle.losses.temporal import Earlier
from jaxstyle.network.vgg import VGG19

Image = Float[Array | np.ndarray, "_ _ 3"]


def build(
    network: VGG19,
    content: Image,
    styles: Sequence[Image],
    tile: int,
    spec: LossSpec,
    guides: Guides | None = None,
    photorealistic: bool = False,
    earlier: Earlier | None = None,
    pause: Callable[[], None] = lambda: None,
) -> TiledObjective:
    """Build the tiled equivalent of ``jaxstyle.losses.objective.build``.

    Targets are measured tile by tile: no feature map of a whole picture is ever in memory.

    Args:
      network: the network.
      content: content picture, of the size of the image.
      styles: style pictures.
      tile: side of a tile in pixels, a multiple of ``alignment`` of the layers.
      spec: the losses and their weights.
      guides: guidance maps of the regions, if any.
      photorealistic: whether there is a photorealism term.
      earlier: earlier frames for the temporal loss, in [0, 1]; None to leave it out.
      pause: called after each tile; may raise to end the run.
    """
    around = halo([*spec.content_weights, *spec.style_weights])
    wraps = network.padding == "circular"
    grid = grid_of(content, tile, around, wraps)
    bordered = network.bordered()
    shares = shares_of(spec.style_blend or [1.0] * len(styles), guides)
    terms = {layer: style_terms(layer, guides) for layer in spec.style_weights}
    statistics = [
        style_statistics(
            bordered,
            style,
            grid_of(style, tile, around),
            of,
            terms,
            spec.style_loss,
            pause,
        )
        for style, of in zip(styles, guides.styles if guides else [None] * len(styles), strict=True)
    ]
    of_styles = targets_of(statistics, shares, spec.style_loss, spec.sum_styles)
    seen = guides.seen if guides else {}
    targets = content_targets(network, content, grid, tuple(spec.content_weights), seen, pause)
    own: dict[str, Sequence[Any]] = {f"content/{layer}": of for layer, of in targets.items()}
    if photorealistic:
        own["photorealism"] = local_colors(content, grid)
    if earlier:
        own["temporal"] = earlier_frames(earlier.times(spec.white), grid)
    blank = dict.fromkeys(spec.content_weights)
    local, before = () if photorealistic else None, () if earlier else None
    shared = assembled(network, blank, of_styles, shares, spec, guides, local, before)
    masks = {name: term for name, term in shared.terms.items() if term.guide is not None}
    pooled = {name: term for name, term in masks.items() if LOSSES[term.loss].pooled}
    cut, wide = (
        {name: of.pieces(term.guide, term.layer) for name, term in named.items()}
        for of, named in ((grid, masks), (grid.first_pass, pooled))
    )
    bare = {name: replace(term, guide=None) for name, term in shared.terms.items()}
    return TiledObjective(replace(shared, terms=bare), own, cut, wide, grid, pause)


def grid_of(picture: Image, tile: int, around: int, wraps: bool = False) -> Grid:
    """Return the grid of tiles of a picture, with a halo of ``around`` pixels."""
    height, width, _ = picture.shape
    return Grid(height, width, tile, around, wraps)
