"""The output files of a sweep: checks before it, cells during it, grid and report after it."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from jaxstyle import images
from jaxstyle.batch.sweep import GridCell, Line, Sweep
from jaxstyle.cli.common import silence
from jaxstyle.cli.outputs import Outputs, check_distinct, save_interrupted, write_or_rescue
from jaxstyle.errors import ImageError, UsageError
from jaxstyle.execution.plan import Image
from jaxstyle.images import Picture
from jaxstyle.images.grid import grid, layout
from jaxstyle.network.weights import Loaded
from jaxstyle.runs.recipe import Recipe, interrupted, made_by
from jaxstyle.runs.result import Result, device, versions

MOST_NAMED = 3
"""Most missing cells that a message names."""


@dataclass
class Files:
    """The output files of a sweep.

    Attributes:
      sweep: the grid's rows, columns and cells.
      recipe: the pictures and settings of the sweep, and how results are stored.
      size: height and width of a cell.
      output: path of the grid.
      folder: folder for a picture of each cell, or None.
      report: path of the JSON report, or None.
      made: result or error by index of the cell.
      unsaved: why a cell's own picture could not be written, by its path.
    """

    sweep: Sweep
    recipe: Recipe
    size: tuple[int, int]
    output: Path
    folder: Path | None
    report: Path | None
    made: dict[int, Result | Exception] = field(default_factory=dict)
    unsaved: dict[Path, str] = field(default_factory=dict)

    def check(self) -> None:
        """Check that all files can be written, and create the folder.

        Raises:
          ImageError: a file could not be written.
          UsageError: a cell would replace a picture that is there.
        """
        bits, sheet = self.recipe.bits, layout(self.size, *self._labels())
        images.check_writable(self.output, bits=bits, longest=max(sheet.height, sheet.width))
        if self.report:
            images.check_directory(self.report)
        cells = {path: cell for cell in self.sweep.cells if (path := self.path(cell))}
        outputs = [self.output, *filter(None, [self.report]), *cells]
        check_distinct(outputs, self.recipe.inputs())
        if there := [path for path in cells if os.path.lexists(path)]:
            more = f", and {len(there) - 1} more cells," if there[1:] else ""
            instead = "give another --out-dir, or remove what is there"
            raise UsageError(f"{there[0]}{more} would be replaced: {instead}")
        if self.folder:
            _make(self.folder)
        for path, cell in cells.items():
            one, text = Outputs(path, silence, bits), self._description(cell, path)
            one.check(max(self.size), self.recipe.inputs(), text)

    def path(self, cell: GridCell) -> Path | None:
        """Return the path of a cell's own picture, or None without a folder."""
        if self.folder is None:
            return None
        row = str(cell.row + 1).zfill(len(str(len(self.sweep.rows))))
        column = str(cell.column + 1).zfill(len(str(len(self.sweep.columns))))
        return self.folder / f"row{row}-column{column}{self.output.suffix}"

    def add(self, results: Mapping[int, Result | Exception]) -> None:
        """Record results by index of the cell, and write the cells' own pictures.

        One that cannot be written does not end the sweep: it will be in the grid.
        """
        for index, result in results.items():
            cell = self.sweep.cells[index]
            self.made[index] = result
            if isinstance(result, Result) and (path := self.path(cell)):
                picture = Picture(result.image, result.alpha, dpi=result.dpi)
                text, bits = self._description(cell, path), self.recipe.bits
                try:
                    images.write(path, picture, bits=bits, description=text)
                except ImageError as error:
                    self.unsaved[path] = str(error)

    def save(self) -> None:
        """Write the grid.

        Raises:
          ImageError: it cannot be written; notes say where it and the cells are.
        """
        try:
            write_or_rescue(self.output, self._grid(), self.recipe.bits, made_by("sweep"))
        except Exception as error:
            if self.folder:
                error.add_note(self.whereabouts())
            raise

    def save_unfinished(self) -> str:
        """Write the grid of the cells so far beside the output; return a message about it.

        A grid that is there may be a whole one.
        """
        if len(self.made) == len(self.failures()):
            return "there is nothing to save yet"
        made, count = len(self.made), len(self.sweep.cells)
        text = interrupted(made_by("sweep"), made=made, of=count)
        what, bits = f"{made} of {count} cells", self.recipe.bits
        said = save_interrupted(self.output, self._grid, what, text, bits)
        return f"{said}: {self.whereabouts()}" if self.folder and what not in said else said

    def whereabouts(self) -> str:
        """Return which of the cells' own pictures are saved, and which are not, in words."""
        paths = list(filter(None, map(self.path, self.sweep.cells)))
        saved = [path for path in paths if path.exists()]
        if not saved:
            return "no cell is saved"
        missing = [path.name for path in paths if path not in saved]
        named = ", ".join(missing[:MOST_NAMED]) + (", ..." if missing[MOST_NAMED:] else "")
        there = f"{len(saved)} of {len(paths)} cells are in {self.folder}"
        return f"{there}, without {named}" if missing else there

    def failures(self) -> list[str]:
        """Return a line with the name and the error of each failed cell."""
        return [
            f"{self.sweep.name(self.sweep.cells[index])}: {' '.join(str(result).split())}"
            for index, result in sorted(self.made.items())
            if isinstance(result, Exception)
        ]

    def record(self, loaded: Loaded, compilations: int, seconds: float) -> dict[str, Any]:
        """Return the report of the sweep, as plain values for JSON.

        The settings of a row or column are those that override the sweep's.
        """
        sweep = self.sweep
        results = (each for each in self.made.values() if isinstance(each, Result))
        return {
            "settings": sweep.settings.to_dict(),
            "content": self.recipe.content,
            "styles": list(self.recipe.styles),
            "rows": _record_of(sweep.rows),
            "columns": _record_of(sweep.columns),
            "cells": [self._cell(index) for index in range(len(sweep.cells))],
            "versions": versions(),
            "device": device(),
            "computation": next((each.computation for each in results), {}),
            "weights": {
                "sha256": loaded.sha256,
                "source": loaded.weights.source,
                "normalized": loaded.weights.normalized,
            },
            "compilations": compilations,
            "seconds": seconds,
        }

    def _cell(self, index: int) -> dict[str, Any]:
        cell, result = self.sweep.cells[index], self.made[index]
        path = self.path(cell)
        place = {
            "row": cell.row,
            "column": cell.column,
            "styles": list(cell.styles),
            "file": path and str(path),
        }
        if isinstance(result, Exception):
            return place | {"error": str(result)}
        scales = [asdict(scale) for scale in result.scales]
        return place | {"scales": scales, "losses": result.losses, "seconds": result.seconds}

    def _grid(self) -> Picture:
        """Return the grid of all cells finished so far."""
        shown = [_shown(self.made.get(index)) for index in range(len(self.sweep.cells))]
        return Picture(grid(shown, self.size, *self._labels()))

    def _labels(self) -> tuple[list[str], list[str]]:
        rows, columns = self.sweep.rows, self.sweep.columns
        return [row.label for row in rows], [column.label for column in columns]

    def _description(self, cell: GridCell, path: Path) -> str:
        """Return the metadata of a cell's own picture, which ``run --from`` reads."""
        styles = tuple(self.recipe.styles[index] for index in cell.styles)
        recipe = replace(self.recipe, styles=styles, settings=cell.settings)
        return recipe.to_json(path.parent)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise ImageError(f"{folder}: cannot be made a directory: {reason}") from error


def _shown(result: Result | Exception | None) -> Image | str:
    """Return what the grid shows for a cell: its picture over white, or why there is none."""
    if not isinstance(result, Result):
        return "not made" if result is None else str(result)
    return Picture(result.image, result.alpha).over_white()


def _record_of(lines: Sequence[Line]) -> list[dict[str, Any]]:
    return [{"label": line.label, "settings": dict(line.changes)} for line in lines]
