"""Which region of the content takes the style of which region of the style pictures.

Pictures of masks come in two kinds. If any of those given has a color, all are *segmentations*: one
for the content and one for each style picture, whose colors are classes (`colors`); the regions are
the classes of the content, the largest first. Otherwise all are *graded*, each of them one soft or
hard mask, and with K of the content and S style pictures there may be of the style

    K x S      style by style: region k of the content is region k of each style picture
    K = S      region k of the content is in style picture k only
    none       region k takes the whole style picture: the only one, or with S = K the k-th;
               with K = 1 that one region is all that is styled

One mask of the content with one for each style picture makes two regions, "inside" and "outside".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32

from jaxstyle import images
from jaxstyle.errors import MaskError
from jaxstyle.guidance.colors import FEW, MOST, STRAY, Palette, classified, palette_of
from jaxstyle.guidance.mask_picture import MaskPicture, read_mask

__all__ = ["MaskError", "Regions", "read_regions"]

Sides = tuple[int, int]
Masks = Float32[np.ndarray, "k _ _"]

FAINT = 0.1
"""A mask that is nowhere stronger than this is empty: black is not always quite black."""


@dataclass(frozen=True)
class Regions:
    """The regions of a content picture, and those they correspond to in each style picture.

    Masks are in [0, 1] and of the shape of their picture, in the resolution they were given in. No
    region is empty, neither in the content nor in all style pictures together.

    names: of the regions. content: one mask for each. styles: the same for each style picture.
    notes: lines to tell the user.
    """

    names: tuple[str, ...]
    content: Masks
    styles: tuple[Masks, ...]
    notes: tuple[str, ...] = ()


def read_regions(
    content_masks: Sequence[Any],
    style_masks: Sequence[Any],
    content_sides: Sides,
    style_sides: Sequence[Sides],
) -> Regions:
    """The regions that these masks tell of, by the rules above.

    A mask may be of another size than its picture, of the same shape. A region that is empty in
    the content is left out. One that no style picture has takes the style of the whole of each.
    Notes say so.

    Args:
      content_masks, style_masks: paths, PIL images or arrays, as many as the rules want.
      content_sides, style_sides: height and width of the content and of each style picture.

    Raises:
      MaskError: a mask cannot be read, has not the shape of its picture, or there are too many or
        too few; or nothing of the content is in any region.
    """
    contents = [read_mask(mask, f"content mask {i}") for i, mask in enumerate(content_masks, 1)]
    styles = [read_mask(mask, f"style mask {i}") for i, mask in enumerate(style_masks, 1)]
    if not contents:
        raise MaskError("there is no mask of the content: give one at least")
    sides = (content_sides, *style_sides)
    if any(mask.colored for mask in (*contents, *styles)):
        return _settled(*_segmented(contents, styles, sides))
    return _settled(*_graded(contents, styles, sides))


# --- segmentations --------------------------------------------------------------------------------


def _segmented(
    contents: list[MaskPicture], styles: list[MaskPicture], sides: Sequence[Sides]
) -> tuple[list[str], list[Masks], list[str]]:
    """Names, masks of the content and of each style picture, and notes."""
    masks, pictures = [*contents, *styles], len(sides) - 1
    if (len(contents), len(styles)) != (1, pictures):
        colored = next(mask.name for mask in masks if mask.colored)
        raise MaskError(
            f"{colored} is a segmentation, with colors: give 1 content mask and "
            f"{_counted(pictures, 'style mask')}, one for each style picture, "
            f"not {len(contents)} and {len(styles)}"
        )
    notes = [note for mask, side in zip(masks, sides, strict=True) for note in _fit([mask], side)]
    palette, exact = palette_of([m.colors for m in masks], [m.visible for m in masks])
    if not palette or len(palette) > FEW:
        raise MaskError(
            f"{', '.join(mask.name for mask in masks)}: {_counted(len(palette), 'color')} that "
            f"fill areas: a segmentation has from 1 to {FEW}"
        )
    stacks = [_classes(mask, palette, 0.0 if exact else STRAY) for mask in masks]
    for mask, stack in zip(masks, stacks, strict=True):
        if (share := stack.sum() / stack[0].size) < MOST:
            notes.append(f"{mask.name}: {1 - share:.0%} of it has the color of no class")
    areas = stacks[0].mean(axis=(1, 2))
    order = [k for k in np.argsort(-areas, kind="stable") if areas[k] > 0]
    names = list(palette)
    return [names[k] for k in order], [stack[order] for stack in stacks], notes


def _classes(mask: MaskPicture, palette: Palette, least: float) -> Masks:
    """The masks of the classes; empty ones for those of less than this share of the picture."""
    labels = np.where(mask.visible, classified(mask.colors, palette), -1)
    masks = labels == np.arange(len(palette))[:, None, None]
    masks[masks.mean(axis=(1, 2)) < least] = False
    return masks.astype(np.float32)


# --- graded masks ---------------------------------------------------------------------------------


def _graded(
    contents: list[MaskPicture], styles: list[MaskPicture], sides: Sequence[Sides]
) -> tuple[list[str], list[Masks], list[str]]:
    """Names, masks of the content and of each style picture, and notes."""
    rows = [contents, *_rows(contents, styles, len(sides) - 1)]
    notes = [note for row, side in zip(rows, sides, strict=True) for note in _fit(row, side)]
    stacks = [_stacked(row, side) for row, side in zip(rows, sides, strict=True)]
    if len(contents) == 1 and styles:
        return ["inside", "outside"], [np.concatenate([s, 1 - s]) for s in stacks], notes
    return [f"region {k}" for k in range(1, len(contents) + 1)], stacks, notes


def _rows(
    contents: list[MaskPicture], styles: list[MaskPicture], pictures: int
) -> list[list[MaskPicture | float]]:
    """For each style picture its mask of each region, or a number that is all of it."""
    count = len(contents)
    each = range(count)
    if not styles and (count == 1 or pictures == 1):
        return [[1.0] * count] * pictures
    if len(styles) == count * pictures:
        return [list(styles[i * count : (i + 1) * count]) for i in range(pictures)]
    if pictures == count and len(styles) in (0, count):
        own = styles or [1.0] * count
        return [[own[k] if k == picture else 0.0 for k in each] for picture in each]
    raise MaskError(
        f"{_counted(count, 'content mask')} and {_counted(pictures, 'style picture')} go with "
        f"{_counted(count * pictures, 'style mask')}"
        + (" (style by style)" if pictures > 1 else "")
        + (f" or {count} (one for each style picture)" if pictures == count > 1 else "")
        + (" or none" if count == 1 or pictures in (1, count) else "")
        + f", not with {len(styles)}"
    )


def _stacked(row: Sequence[MaskPicture | float], sides: Sides) -> Masks:
    """One picture's masks of all regions, in the size of the largest."""
    given = [mask.sides for mask in row if isinstance(mask, MaskPicture)]
    height, width = max(given, default=sides)
    return np.stack(
        [
            images.resize(mask.graded, height, width, "bilinear")
            if isinstance(mask, MaskPicture)
            else np.full((height, width), mask, np.float32)
            for mask in row
        ]
    )


# --- both -----------------------------------------------------------------------------------------


def _fit(row: Sequence[MaskPicture | float], sides: Sides) -> list[str]:
    """Notes on masks of another size than their picture; another shape is refused.

    Shapes are the same if one of the two could be the other scaled and rounded to whole pixels.
    """
    height, width = sides
    notes = []
    for mask in row:
        if not isinstance(mask, MaskPicture) or mask.sides == sides:
            continue
        high, wide = mask.sides
        both = f"{wide}x{high} mask for a {width}x{height} picture"
        if abs(high * width - wide * height) >= max(high + wide, height + width):
            raise MaskError(f"{mask.name}: {both}: their shapes differ; crop one like the other")
        notes.append(f"{mask.name}: {both}: resized")
    return notes


def _settled(names: list[str], stacks: list[Masks], notes: list[str]) -> Regions:
    """The regions that the content has, each with a style."""
    content, *styles = stacks
    there = content.max(axis=(1, 2), initial=0) > FAINT
    if not there.any():
        raise MaskError(
            "the content masks are empty: white is inside, black and transparent outside"
        )
    content, styles = content[there], [style[there] for style in styles]
    absent = [name for name, here in zip(names, there, strict=True) if not here]
    names = [name for name, here in zip(names, there, strict=True) if here]
    notes = notes + [f'the content has no region "{name}": it is left out' for name in absent]
    if len(names) == 1 and content.min() >= 1 - FAINT:
        notes.append(f'region "{names[0]}" is the whole content')
    for k, name in enumerate(names):
        for style in styles:
            style[k] *= style[k].max() > FAINT
        if not any(style[k].any() for style in styles):
            notes.append(f'no style has a region "{name}": it takes the style of the whole picture')
            for style in styles:
                style[k] = 1
    return Regions(tuple(names), content, tuple(styles), tuple(notes))


def _counted(count: int, noun: str) -> str:
    return f"{count or 'no'} {noun}{'' if count == 1 else 's'}"
