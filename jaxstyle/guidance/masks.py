"""Regions from masks: which region of the content takes the style of which style region.

There are two kinds of mask pictures. If any of them has colors, all are *segmentations*: one for
the content and one for each style picture. Their colors are classes (`colors`), and the regions are
the classes of the content, the largest first. Otherwise all are *graded*: one soft or hard mask
each. With K content masks and S style pictures, the number of style masks can be

    K x S      in order of the style pictures: content region k takes the style of region k of
               each style picture
    K = S      content region k takes the style of the masked part of style picture k only
    none       content region k takes the style of a whole picture: of the k-th if S = K, or of
               the only one if S = 1; if K = 1, of all of them

One content mask with one mask for each style picture makes two regions, "inside" and "outside".
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

EVERYWHERE = "visible"
"""Name of the region of `everywhere`."""

FAINT = 0.1
"""A mask whose maximum is at most this is empty; black is not always exactly 0."""


@dataclass(frozen=True)
class Regions:
    """The regions of a content picture and the corresponding regions of each style picture.

    Masks have values in [0, 1], the aspect ratio of their picture, and the resolution they were
    given in. Every region is non-empty in the content and in at least one style picture.

    Attributes:
      names: Names of the k regions.
      content: Masks of the content, (k, h, w).
      styles: Masks of each style picture, (k, h, w).
      notes: Messages for the user.
    """

    names: tuple[str, ...]
    content: Masks
    styles: tuple[Masks, ...]
    notes: tuple[str, ...] = ()


def everywhere(styles: int) -> Regions:
    """Return the only region of pictures without masks, for any number of style pictures.

    With transparency, statistics are of the visible part of a picture: a region, in effect.
    """
    whole = np.ones((1, 1, 1), np.float32)
    return Regions((EVERYWHERE,), whole, (whole,) * styles)


def read_regions(
    content_masks: Sequence[Any],
    style_masks: Sequence[Any],
    content_sides: Sides,
    style_sides: Sequence[Sides],
) -> Regions:
    """Read masks and match the regions of the content with those of the styles.

    The module docstring gives the rules. A mask may differ from its picture in size, but not in
    aspect ratio. A region that is empty in the content is left out. A region that no style picture
    has takes the style of the whole pictures. These cases add notes.

    Args:
      content_masks: Paths, PIL images or arrays.
      style_masks: Paths, PIL images or arrays.
      content_sides: Height and width of the content in pixels.
      style_sides: Height and width of each style picture in pixels.

    Raises:
      MaskError: A mask cannot be read or differs from its picture in aspect ratio, the number of
        masks is wrong, or all content masks are empty.
    """
    contents = [read_mask(mask, f"content mask {i}") for i, mask in enumerate(content_masks, 1)]
    styles = [read_mask(mask, f"style mask {i}") for i, mask in enumerate(style_masks, 1)]
    if not contents:
        raise MaskError("no content mask: give at least one")
    sides = (content_sides, *style_sides)
    if any(mask.colored for mask in (*contents, *styles)):
        return _completed(*_segmented(contents, styles, sides))
    return _completed(*_graded(contents, styles, sides))


# --- segmentations --------------------------------------------------------------------------------


def _segmented(
    contents: list[MaskPicture], styles: list[MaskPicture], sides: Sequence[Sides]
) -> tuple[list[str], list[Masks], list[str]]:
    """Return region names, masks of the content and of each style picture, and notes."""
    masks, pictures = [*contents, *styles], len(sides) - 1
    if (len(contents), len(styles)) != (1, pictures):
        colored = next(mask.name for mask in masks if mask.colored)
        raise MaskError(
            f"{colored} is a segmentation, as it has colors: give 1 content mask and "
            f"{_counted(pictures, 'style mask')}, one for each style picture, "
            f"not {len(contents)} and {len(styles)}"
        )
    notes = [
        note for mask, side in zip(masks, sides, strict=True) for note in _check_sizes([mask], side)
    ]
    palette, exact = palette_of([m.colors for m in masks], [m.visible for m in masks])
    if not palette or len(palette) > FEW:
        raise MaskError(
            f"{', '.join(mask.name for mask in masks)}: {_counted(len(palette), 'color')} that "
            f"fill areas: a segmentation needs 1 to {FEW}"
        )
    stacks = [_classes(mask, palette, 0.0 if exact else STRAY) for mask in masks]
    for mask, stack in zip(masks, stacks, strict=True):
        if (share := stack.sum() / stack[0].size) < MOST:
            notes.append(f"{mask.name}: {1 - share:.0%} of its pixels match no class color")
    areas = stacks[0].mean(axis=(1, 2))
    order = [k for k in np.argsort(-areas, kind="stable") if areas[k] > 0]
    names = list(palette)
    return [names[k] for k in order], [stack[order] for stack in stacks], notes


def _classes(mask: MaskPicture, palette: Palette, least: float) -> Masks:
    """Return the masks of the classes; those that cover less than ``least`` are empty."""
    labels = np.where(mask.visible, classified(mask.colors, palette), -1)
    masks = labels == np.arange(len(palette))[:, None, None]
    masks[masks.mean(axis=(1, 2)) < least] = False
    return masks.astype(np.float32)


# --- graded masks ---------------------------------------------------------------------------------


def _graded(
    contents: list[MaskPicture], styles: list[MaskPicture], sides: Sequence[Sides]
) -> tuple[list[str], list[Masks], list[str]]:
    """Return region names, masks of the content and of each style picture, and notes."""
    rows = [contents, *_rows(contents, styles, len(sides) - 1)]
    notes = [
        note for row, side in zip(rows, sides, strict=True) for note in _check_sizes(row, side)
    ]
    stacks = [_stacked(row, side) for row, side in zip(rows, sides, strict=True)]
    if len(contents) == 1 and styles:
        return ["inside", "outside"], [np.concatenate([s, 1 - s]) for s in stacks], notes
    return [f"region {k}" for k in range(1, len(contents) + 1)], stacks, notes


def _rows(
    contents: list[MaskPicture], styles: list[MaskPicture], pictures: int
) -> list[list[MaskPicture | float]]:
    """Return the masks of the regions in each style picture; a number is a constant mask."""
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
        f"{_counted(count, 'content mask')} and {_counted(pictures, 'style picture')} need "
        f"{_counted(count * pictures, 'style mask')}"
        + (" (style by style)" if pictures > 1 else "")
        + (f" or {count} (one for each style picture)" if pictures == count > 1 else "")
        + (" or none" if count == 1 or pictures in (1, count) else "")
        + f", not {len(styles)}"
    )


def _stacked(row: Sequence[MaskPicture | float], sides: Sides) -> Masks:
    """Stack the masks of one picture, resized to the largest of them."""
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


def _check_sizes(row: Sequence[MaskPicture | float], sides: Sides) -> list[str]:
    """Check the aspect ratios of a picture's masks; return notes on their files and resizing.

    Aspect ratios are equal if one size could be the other, scaled and rounded to whole pixels.

    Raises:
      MaskError: A mask differs from the picture in aspect ratio.
    """
    height, width = sides
    notes = []
    for mask in row:
        if not isinstance(mask, MaskPicture):
            continue
        notes += mask.notes
        if mask.sides == sides:
            continue
        high, wide = mask.sides
        both = f"{wide}x{high} mask for a {width}x{height} picture"
        if abs(high * width - wide * height) >= max(high + wide, height + width):
            raise MaskError(
                f"{mask.name}: {both}: aspect ratios differ; crop one to match the other"
            )
        notes.append(f"{mask.name}: {both}: resized")
    return notes


def _completed(names: list[str], stacks: list[Masks], notes: list[str]) -> Regions:
    """Drop regions that the content lacks; give the whole style to those that no style has."""
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
