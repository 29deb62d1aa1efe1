"""The files of a sweep: checked before it, cells written during it, grid and record after it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from jaxstyle import images
from jaxstyle.batch.sweep import GridCell, Line, Sweep
from jaxstyle.cli.common import silence
from jaxstyle.cli.outputs import Outputs, check_distinct
from jaxstyle.cli.recipe import Recipe
from jaxstyle.errors import ImageError
from jaxstyle.execution.plan import Image
from jaxstyle.images import Picture
from jaxstyle.images.grid import grid, layout
from jaxstyle.network.weights import Loaded
from jaxstyle.runs.result import Result, device, versions


@dataclass
class Files:
    """Where a sweep writes.

    recipe: all of its pictures, and how they are stored. size: height and width of a cell.
    output: the grid. folder: where each cell goes as a picture of its own, if it does.
    made: results, or what went wrong, by index of the cell.
    """

    sweep: Sweep
    recipe: Recipe
    size: tuple[int, int]
    output: Path
    folder: Path | None
    report: Path | None
    made: dict[int, Result | Exception] = field(default_factory=dict)

    def check(self) -> None:
        """Raises ImageError where something could not be written. The folder is made."""
        bits, sheet = self.recipe.bits, layout(self.size, *self._labels())
        images.check_writable(self.output, bits=bits, longest=max(sheet.height, sheet.width))
        if self.report:
            images.check_directory(self.report)
        cells = {path: cell for cell in self.sweep.cells if (path := self.path(cell))}
        outputs = [self.output, *filter(None, [self.report]), *cells]
        check_distinct(outputs, self.recipe.inputs())
        if self.folder:
            _make(self.folder)
        for path, cell in cells.items():
            one, text = Outputs(path, silence, bits), self._description(cell, path)
            one.check(max(self.size), self.recipe.inputs(), text)

    def path(self, cell: GridCell) -> Path | None:
        """Of a cell's own picture, if it has one."""
        if self.folder is None:
            return None
        row = str(cell.row + 1).zfill(len(str(len(self.sweep.rows))))
        column = str(cell.column + 1).zfill(len(str(len(self.sweep.columns))))
        return self.folder / f"row{row}-column{column}{self.output.suffix}"

    def add(self, results: Mapping[int, Result | Exception]) -> None:
        """Write the pictures of cells that have just been made."""
        for index, result in results.items():
            cell = self.sweep.cells[index]
            self.made[index] = result
            if isinstance(result, Result) and (path := self.path(cell)):
                picture, bits = Picture(result.image, result.alpha), self.recipe.bits
                images.write(path, picture, bits=bits, description=self._description(cell, path))

    def save(self) -> None:
        """The grid, of what there is."""
        shown = [_shown(self.made.get(index)) for index in range(len(self.sweep.cells))]
        sheet = grid(shown, self.size, *self._labels())
        images.write(self.output, Picture(sheet), bits=self.recipe.bits)

    def save_unfinished(self) -> str:
        """The grid as far as it goes; says what was saved, if anything."""
        if len(self.made) == len(self.failures()):
            return "there is nothing to save yet"
        try:
            self.save()
        except ImageError as error:
            return f"the cells so far are lost: {error}"
        return f"saved {len(self.made)} of {len(self.sweep.cells)} cells as {self.output}"

    def failures(self) -> list[str]:
        """A line for each cell that could not be made: which, and why."""
        return [
            f"{self.sweep.name(self.sweep.cells[index])}: {' '.join(str(result).split())}"
            for index, result in sorted(self.made.items())
            if isinstance(result, Exception)
        ]

    def record(self, loaded: Loaded, compilations: int, seconds: float) -> dict[str, Any]:
        """The record of the sweep, as plain values for JSON. Settings of rows, columns and cells
        are those that are put over the sweep's."""
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

    def _labels(self) -> tuple[list[str], list[str]]:
        rows, columns = self.sweep.rows, self.sweep.columns
        return [row.label for row in rows], [column.label for column in columns]

    def _description(self, cell: GridCell, path: Path) -> str:
        """What ``run --from`` reads in a cell's own picture."""
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
    """A cell as the grid shows it: over white, or the reason why there is no picture."""
    if not isinstance(result, Result):
        return "not made" if result is None else str(result)
    if result.alpha is None:
        return result.image
    alpha = result.alpha[..., None]
    return result.image * alpha + (1 - alpha)


def _record_of(lines: Sequence[Line]) -> list[dict[str, Any]]:
    return [{"label": line.label, "settings": dict(line.changes)} for line in lines]
