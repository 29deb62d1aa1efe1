"""A sweep: the rows, columns and cells of a grid of runs, and their grouping into batches.

Nothing here runs or draws: ``jaxstyle.batch.retry`` runs the cells, and ``jaxstyle.images.grid``
draws the grid.
"""

import math
import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from jaxstyle.batch.cells import alone, batch_that_fits, static_key
from jaxstyle.batch.names import labels
from jaxstyle.errors import SettingError
from jaxstyle.execution.inputs import Layers, layers_of
from jaxstyle.network import vgg
from jaxstyle.network.weights import Loaded
from jaxstyle.runs.inputs import Inputs
from jaxstyle.settings import Settings, resolve

ROWS = ("style-layers", "styles", "seeds", "tv-weight", "content-weight", "none")
"""The quantities that can vary from row to row."""

LISTS = ("style_weight", "content_weight", "tv_weight")
"""Settings that can be given as a list of values."""

MOST_CELLS = 1024


@dataclass(frozen=True)
class Line:
    """A row or a column of a grid.

    Attributes:
      label: text shown beside it.
      changes: settings that override those of the sweep.
      style: index of its style picture; None for all style pictures.
    """

    label: str
    changes: Mapping[str, Any]
    style: int | None = None


@dataclass(frozen=True)
class GridCell:
    """One run of a grid.

    Attributes:
      row: index of its row.
      column: index of its column.
      settings: settings of the run.
      styles: indices of its style pictures.
    """

    row: int
    column: int
    settings: Settings
    styles: tuple[int, ...]


@dataclass(frozen=True)
class Sweep:
    """A grid of runs.

    Attributes:
      settings: settings that rows and columns override.
      rows: the rows, from top to bottom.
      columns: the columns, from left to right.
      cells: the cells, row by row.
    """

    settings: Settings
    rows: list[Line]
    columns: list[Line]
    cells: list[GridCell]

    def name(self, cell: GridCell) -> str:
        """Return a readable name of a cell."""
        labels = self.rows[cell.row].label, self.columns[cell.column].label
        return ", ".join(filter(None, labels)) or "the only cell"


def sweep_of(
    styles: Sequence[str],
    given: Mapping[str, Any],
    rows: str | None = None,
    seeds: Sequence[int] | None = None,
) -> Sweep:
    """Return the grid of a sweep.

    Args:
      styles: paths of the style pictures.
      given: settings by name; those in ``LISTS`` are lists of values.
      rows: one of ``ROWS``; if None, a quantity with several values, else the style layers.
      seeds: seeds of the rows; a single number is the number of seeds, counted up from the
        settings' own seed.

    Raises:
      SettingError: a value is invalid, a list is used neither by rows nor by columns, or there are
        more than ``MOST_CELLS`` cells.
    """
    lists = {name: _checked_list(name, given[name]) for name in LISTS if name in given}
    settings = resolve(**{**given, **{name: values[0] for name, values in lists.items()}})
    rows, column = _rows_and_column(rows, lists, seeds)
    if "seed" in given and len(seeds or ()) > 1:
        raise SettingError("seed", "has no effect with a list of --seeds: leave it out")
    down = _lines(rows, settings, lists, styles, seeds)
    across = weight_lines(column, lists[column]) if column else [Line("", {})]
    if len(down) * len(across) > MOST_CELLS:
        size = f"{len(down)} x {len(across)}"
        raise SettingError("rows", f"and columns make {size} cells: the most is {MOST_CELLS}")
    return Sweep(settings, down, across, cells_of(settings, down, across, len(styles)))


def cells_of(
    settings: Settings, rows: Sequence[Line], columns: Sequence[Line], style_count: int
) -> list[GridCell]:
    """Return the cells of a grid, row by row."""
    return [
        GridCell(
            r,
            c,
            replace(settings, **{**row.changes, **column.changes}),
            tuple(range(style_count)) if row.style is None else (row.style,),
        )
        for r, row in enumerate(rows)
        for c, column in enumerate(columns)
    ]


def weight_lines(name: str, weights: Sequence[float]) -> list[Line]:
    """Return a row or column for each value of a weight."""
    return [Line(f"{name.replace('_', ' ')} {short(value)}", {name: value}) for value in weights]


def seed_lines(seeds: Sequence[int], settings: Settings) -> list[Line]:
    """Return a row for each seed.

    Raises:
      SettingError: the initial image has no noise, so that all rows would be the same.
    """
    if settings.init != "noise" and not settings.init_noise:
        problem = "would all give the same picture: add --init noise or --init-noise"
        raise SettingError("seeds", problem)
    return [Line(f"seed {seed}", {"seed": seed}) for seed in seeds]


def layer_lines(settings: Settings) -> list[Line]:
    """Return a row for the first style layer, one for the first two, and so on.

    Each layer keeps its weight of ``settings.style_layers``. As in Gatys, Ecker, Bethge, CVPR 2016,
    figure 3.
    """
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
    """Return a ``Line`` for each style picture, to be used as rows.

    Raises:
      SettingError: there are blend weights although styles are not blended, or ``style_scale`` has
        neither one value nor one for each style picture.
    """
    if settings.style_blend:
        raise SettingError("style_blend", "has no effect if every row has one style picture")
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
    """Format a number in the shortest way.

    >>> [short(number) for number in (0.0, 0.05, 25.0, 1e3, 2500.0, 2.5e5)]
    ['0', '0.05', '25', '1e3', '2500', '2.5e5']
    """
    plain = np.format_float_positional(number, trim="-")
    digits, exponent = np.format_float_scientific(number, trim="-").split("e")
    return min(plain, f"{digits}e{int(exponent)}", key=len)


def _checked_list(name: str, given: Sequence[float]) -> list[float]:
    """Check the values of one of ``LISTS``."""
    if not given:
        raise SettingError(name, "needs at least one number")
    each: list[dict[str, Any]] = [{name: value} for value in given]
    return _distinct(name, [getattr(resolve(**one), name) for one in each])


def _seeds(given: Sequence[int], first: int) -> list[int]:
    """Expand and check the seeds; a single number means that many, from ``first`` on."""
    count = len(given) if len(given) > 1 else sum(given)
    if not 1 <= count <= MOST_CELLS:
        raise SettingError("seeds", f"must be from 1 to {MOST_CELLS}, not {count}")
    seeds = given if len(given) > 1 else range(first, first + count)
    return _distinct("seeds", [resolve(seed=seed).seed for seed in seeds])


def _distinct(name: str, values: list[Any]) -> list[Any]:
    for index, value in enumerate(values):
        if value in values[:index]:
            raise SettingError(name, f"contains {short(float(value))} twice")
    return values


def _rows_and_column(
    rows: str | None, lists: Mapping[str, Sequence[float]], seeds: Sequence[int] | None
) -> tuple[str, str | None]:
    """Return the kind of the rows, and the weight that varies over the columns, if any."""
    several = [name for name, values in lists.items() if len(values) > 1]
    rows = rows or _implied(several, seeds)
    row = rows.replace("-", "_")
    if row in LISTS and row not in lists:
        raise SettingError("rows", f"{rows} needs a list: --{rows} 1,10,100")
    if (rows == "seeds") != (seeds is not None):
        raise SettingError("seeds", "and --rows seeds need each other: --rows seeds --seeds 0,1,2")
    weights = [name for name in (*several, *lists) if name not in (row, "tv_weight")]
    column = weights[0] if weights else None
    for name in several:
        if name not in (row, column):
            problem = f"has {len(lists[name])} values, but is neither the rows nor the columns"
            raise SettingError(name, problem)
    return rows, column


def _implied(several: Sequence[str], seeds: Sequence[int] | None) -> str:
    """Return the kind of the rows if it is not given."""
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
    """Return the rows of one kind."""
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


# --- grouping of cells into batches ---------------------------------------------------------------


class Part(NamedTuple):
    """A batch of a sweep.

    Attributes:
      cells: indices of its cells.
      layers: layers that the program measures, the same for all batches of its group.
    """

    cells: list[int]
    layers: Layers


def batches_of(loaded: Loaded, cells: Sequence[Inputs], devices: int) -> list[Part]:
    """Group cells into as few batches as memory allows.

    The cells of a batch have the same scales and the same ``static_key``. Batches of such a group
    have one size, so that they share a program.

    Args:
      loaded: weights of the network.
      cells: all cells.
      devices: number of devices to shard a batch over.
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
    """Distribute the indices below ``count`` over as few batches as possible, all of one size.

    A batch with too few indices is padded with its first one.

    Args:
      count: number of indices.
      at_once: maximum size of a batch, a multiple of ``devices``.
      devices: the size of a batch is a multiple of this.

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
