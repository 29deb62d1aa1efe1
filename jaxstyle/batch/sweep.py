"""A sweep: which runs its grid is made of, and which of them go together.

All of it is pure; ``jaxstyle.batch.batched`` runs the cells, ``jaxstyle.images.grid`` draws them.
"""

import math
import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from jaxstyle.batch.cells import Cell, alone, batch_that_fits, layers_of, static_key
from jaxstyle.batch.names import labels
from jaxstyle.errors import SettingError
from jaxstyle.execution.formulation import Layers
from jaxstyle.network import vgg
from jaxstyle.network.weights import Loaded
from jaxstyle.settings import Settings, resolve

ROWS = ("style-layers", "styles", "seeds", "tv-weight", "content-weight", "none")
"""What can be different from row to row."""

LISTS = ("style_weight", "content_weight", "tv_weight")
"""Settings that a sweep can have several values of."""

MOST_CELLS = 1024


@dataclass(frozen=True)
class Line:
    """A row or a column of a grid.

    changes: settings put over those of the whole grid. style: index of its style picture, where it
    has one of its own.
    """

    label: str
    changes: Mapping[str, Any]
    style: int | None = None


@dataclass(frozen=True)
class GridCell:
    """One run of a grid. styles: indices of its style pictures."""

    row: int
    column: int
    settings: Settings
    styles: tuple[int, ...]


@dataclass(frozen=True)
class Sweep:
    """settings: what those of rows and columns are put over. cells: row by row."""

    settings: Settings
    rows: list[Line]
    columns: list[Line]
    cells: list[GridCell]

    def name(self, cell: GridCell) -> str:
        """Of a cell, for people."""
        labels = self.rows[cell.row].label, self.columns[cell.column].label
        return ", ".join(filter(None, labels)) or "the only cell"


def sweep_of(
    styles: Sequence[str],
    given: Mapping[str, Any],
    rows: str | None = None,
    seeds: Sequence[int] | None = None,
) -> Sweep:
    """The grid that is asked for.

    Args:
      styles: paths of the style pictures.
      given: settings, of which those in ``LISTS`` are lists.
      rows: one of ``ROWS``; if None, whatever there are several of, or the style layers.
      seeds: of rows of seeds; one number alone is how many, from the settings' own on.

    Raises:
      SettingError: a value that cannot be meant, lists that neither rows nor columns are for, or
        too many cells.
    """
    lists = {name: _weights(name, given[name]) for name in LISTS if name in given}
    settings = resolve(**{**given, **{name: values[0] for name, values in lists.items()}})
    rows, column = _sides(rows, lists, seeds)
    down = _lines(rows, settings, lists, styles, seeds)
    across = weight_lines(column, lists[column]) if column else [Line("", {})]
    if len(down) * len(across) > MOST_CELLS:
        size = f"{len(down)} x {len(across)}"
        raise SettingError("rows", f"and columns make {size} cells: there can be {MOST_CELLS}")
    return Sweep(settings, down, across, cells_of(settings, down, across, len(styles)))


def cells_of(
    settings: Settings, rows: Sequence[Line], columns: Sequence[Line], styles: int
) -> list[GridCell]:
    """Every cell, row by row, where there are so many style pictures."""
    return [
        GridCell(
            r,
            c,
            replace(settings, **{**row.changes, **column.changes}),
            tuple(range(styles)) if row.style is None else (row.style,),
        )
        for r, row in enumerate(rows)
        for c, column in enumerate(columns)
    ]


def weight_lines(name: str, weights: Sequence[float]) -> list[Line]:
    """A row or a column for each value of a weight."""
    return [Line(f"{name.replace('_', ' ')} {short(value)}", {name: value}) for value in weights]


def seed_lines(seeds: Sequence[int], settings: Settings) -> list[Line]:
    """A row for each seed.

    Raises:
      SettingError: nothing is random, so that all rows would be the same.
    """
    if settings.init != "noise" and not settings.init_noise:
        problem = "would all give the same: add --init noise, or a share of it by --init-noise"
        raise SettingError("seeds", problem)
    return [Line(f"seed {seed}", {"seed": seed}) for seed in seeds]


def layer_lines(settings: Settings) -> list[Line]:
    """A row for the first style layer, one for the first two, and so on, each layer with its share:
    Gatys, Ecker, Bethge, CVPR 2016, figure 3."""
    layers = sorted(settings.style_layers, key=vgg.LAYERS.index)
    growing = [layers[:count] for count in range(1, len(layers) + 1)]
    return [
        Line(
            first[0] if len(first) == 1 else f"{first[0]} … {first[-1]}",
            {"style_layers": {layer: settings.style_layers[layer] for layer in first}},
        )
        for first in growing
    ]


def style_lines(paths: Sequence[str], settings: Settings) -> list[Line]:
    """A row for each style picture alone.

    Raises:
      SettingError: there are shares, for pictures that are not blended.
    """
    if settings.style_blend:
        raise SettingError("style_blend", "means nothing where every row has one style picture")
    scales = settings.style_scale
    if len(scales) not in (1, len(paths)):
        problem = f"has {len(scales)} scales for {len(paths)} style pictures"
        raise SettingError("style_scale", problem)
    name_of = labels(paths)
    return [
        Line(
            re.sub("[-_]+", " ", name_of[path]),
            {"style_scale": (scales[i % len(scales)],)},
            style=i,
        )
        for i, path in enumerate(paths)
    ]


def short(number: float) -> str:
    """The shortest way to write a number.

    >>> [short(number) for number in (0.0, 0.05, 25.0, 1e3, 2500.0, 2.5e5)]
    ['0', '0.05', '25', '1e3', '2500', '2.5e5']
    """
    plain = np.format_float_positional(number, trim="-")
    digits, exponent = np.format_float_scientific(number, trim="-").split("e")
    return min(plain, f"{digits}e{int(exponent)}", key=len)


def _weights(name: str, given: Sequence[float]) -> list[float]:
    """The values of one of the lists, checked."""
    if not given:
        raise SettingError(name, "needs at least one number")
    each: list[dict[str, Any]] = [{name: value} for value in given]
    return _distinct(name, [getattr(resolve(**one), name) for one in each])


def _seeds(given: Sequence[int], first: int) -> list[int]:
    """The seeds, checked."""
    count = len(given) if len(given) > 1 else sum(given)
    if not 1 <= count <= MOST_CELLS:
        raise SettingError("seeds", f"must be from 1 to {MOST_CELLS}, not {count}")
    seeds = given if len(given) > 1 else range(first, first + count)
    return _distinct("seeds", [resolve(seed=seed).seed for seed in seeds])


def _distinct(name: str, values: list[Any]) -> list[Any]:
    for index, value in enumerate(values):
        if value in values[:index]:
            raise SettingError(name, f"has {short(float(value))} twice")
    return values


def _sides(
    rows: str | None, lists: Mapping[str, Sequence[float]], seeds: Sequence[int] | None
) -> tuple[str, str | None]:
    """What the rows are, and which weight the columns are, if any."""
    several = [name for name, values in lists.items() if len(values) > 1]
    rows = rows or _implied(several, seeds)
    row = rows.replace("-", "_")
    if row in LISTS and row not in lists:
        raise SettingError("rows", f"{rows} needs a list: --{rows} 1,10,100")
    if (rows == "seeds") != (seeds is not None):
        raise SettingError("seeds", "goes with --rows seeds, and --rows seeds with --seeds 0,1,2")
    weights = [name for name in (*several, *lists) if name not in (row, "tv_weight")]
    column = weights[0] if weights else None
    for name in several:
        if name not in (row, column):
            problem = f"has {len(lists[name])} values, which are neither rows nor columns"
            raise SettingError(name, problem)
    return rows, column


def _implied(several: Sequence[str], seeds: Sequence[int] | None) -> str:
    """What the rows are where nobody says."""
    if seeds is not None:
        return "seeds"
    if "tv_weight" in several:
        return "tv-weight"
    if "style_weight" in several and "content_weight" in several:
        return "content-weight"
    return "style-layers"


def _lines(
    rows: str,
    settings: Settings,
    lists: Mapping[str, Sequence[float]],
    styles: Sequence[str],
    seeds: Sequence[int] | None,
) -> list[Line]:
    """The rows of one kind."""
    if rows == "none":
        return [Line("", {})]
    if rows == "seeds":
        return seed_lines(_seeds(seeds or (), settings.seed), settings)
    if rows == "styles":
        return style_lines(styles, settings)
    if rows == "style-layers":
        return layer_lines(settings)
    name = rows.replace("-", "_")
    return weight_lines(name, lists[name])


# --- which cells go together ----------------------------------------------------------------------


class Part(NamedTuple):
    """A batch: indices of its cells, and the layers that all batches of its kind measure."""

    cells: list[int]
    layers: Layers


def batches_of(loaded: Loaded, cells: Sequence[Cell], devices: int) -> list[Part]:
    """All cells, in as few batches as the memory allows, all of one size.

    The cells of a batch have the same scales and the same static settings.
    """
    alike: dict[Hashable, list[int]] = {}
    for index, cell in enumerate(cells):
        alike.setdefault((static_key(cell.settings), *cell.scales()), []).append(index)
    found = []
    for group in alike.values():
        largest = max((cells[i] for i in group), key=lambda cell: len(cell.settings.layers()))
        used = 1 if alone(largest.settings) else min(devices, len(group))
        parts = batches(len(group), batch_that_fits(loaded, largest, len(group), used), used)
        layers = layers_of(cells[index].settings for index in group)
        found += [Part([group[index] for index in part], layers) for part in parts]
    return found


def batches(count: int, at_once: int, devices: int = 1) -> list[list[int]]:
    """The numbers below ``count``, dealt out to as few batches as possible, all of one size: what
    is left of a batch is filled up with its first number.

    Args:
      at_once: at most so many in a batch, a multiple of ``devices``; so is what a batch has.

    >>> batches(7, 4)
    [[0, 2, 4, 6], [1, 3, 5, 1]]
    """
    size = math.ceil(count / math.ceil(count / at_once))
    size = math.ceil(size / devices) * devices
    number = math.ceil(count / size)
    return [
        [index if index < count else first for index in range(first, size * number, number)]
        for first in range(number)
    ]
