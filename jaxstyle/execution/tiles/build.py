"""The objective of a picture that is worked on tile by tile."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Array, Float

from jaxstyle.execution.tiles.grid import Grid, halo
from jaxstyle.execution.tiles.objective import TiledObjective
from jaxstyle.execution.tiles.targets import content_targets, local_colors, style_statistics
from jaxstyle.losses.objective import assembled, style_terms
from jaxstyle.losses.targets import Guides, shares_of, targets_of
from jaxstyle.network.vgg import VGG19

Image = Float[Array | np.ndarray, "_ _ 3"]


def build(
    network: VGG19,
    content: Image,
    styles: Sequence[Image],
    tile: int,
    *,
    content_weights: Mapping[str, float],
    style_weights: Mapping[str, float],
    content_loss: str,
    style_loss: str,
    style_blend: Sequence[float] = (),
    sum_styles: bool = False,
    guides: Guides | None = None,
    photorealistic: bool = False,
    pause: Callable[[], None] = lambda: None,
    **others: Any,
) -> TiledObjective:
    """Build the objective of ``jaxstyle.losses.objective.build`` in tiles of ``tile`` pixels.

    ``others`` are arguments of that function. ``tile`` must be a multiple of ``alignment`` of the
    layers. No map of a whole picture is made.
    """
    around = halo([*content_weights, *style_weights])
    wraps = network.padding == "circular"
    grid = grid_of(content, tile, around, wraps)
    # A style picture has borders, even where the result has none: they must not become its style.
    bordered = network.padded("reflect") if wraps else network
    shares = shares_of(style_blend or [1.0] * len(styles), guides)
    terms = {layer: style_terms(layer, guides) for layer in style_weights}
    statistics = [
        style_statistics(
            bordered,
            style,
            grid_of(style, tile, around),
            of,
            terms,
            style_loss,
            pause,
        )
        for style, of in zip(styles, guides.styles if guides else [None] * len(styles), strict=True)
    ]
    of_styles = targets_of(statistics, shares, style_loss, sum_styles)
    targets = content_targets(network, content, grid, tuple(content_weights), pause)
    own: dict[str, Sequence[Any]] = {f"content/{layer}": of for layer, of in targets.items()}
    if photorealistic:
        own["photorealism"] = local_colors(content, grid)
    shared = assembled(
        network,
        dict.fromkeys(content_weights),
        of_styles,
        shares,
        content_weights=content_weights,
        style_weights=style_weights,
        content_loss=content_loss,
        style_loss=style_loss,
        guides=guides,
        local_colors=() if photorealistic else None,
        **others,
    )
    masks = {name: term for name, term in shared.terms.items() if term.guide is not None}
    cut, wide = (
        {name: of.pieces(term.guide, term.layer) for name, term in masks.items()}
        for of in (grid, grid.first_pass)
    )
    bare = {name: replace(term, guide=None) for name, term in shared.terms.items()}
    return TiledObjective(replace(shared, terms=bare), own, cut, wide, grid, pause)


def grid_of(picture: Image, tile: int, around: int, wraps: bool = False) -> Grid:
    """The tiles of a picture."""
    height, width, _ = picture.shape
    return Grid(height, width, tile, around, wraps)
