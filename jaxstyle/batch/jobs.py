"""What a batch is to do: one job a picture, from contents and styles or from a manifest.

A manifest is a table with the columns content, style, output and those of ``Settings``, none of
them needed. As .csv its cells are text, written as on the command line, with ``|`` between several
styles and nothing where nothing is given; as .jsonl every line is an object of plain values, style
being a path or a list of them.
"""

import csv
import difflib
import io
import json
import os
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any

from jaxstyle.batch import names
from jaxstyle.batch.sources import located, pictures, read_text
from jaxstyle.errors import JobsError, SettingError
from jaxstyle.images._write import FORMATS
from jaxstyle.settings import Settings, resolve
from jaxstyle.settings.text import reader

__all__ = ["Job", "JobsError", "from_manifest", "product", "zipped"]

_READERS: dict[str, Callable[[str], Any]] = {
    name: reader(hint) for name, hint in typing.get_type_hints(Settings).items()
}
_COLUMNS = ("content", "style", "output", *_READERS)


@dataclass(frozen=True)
class Job:
    """One picture to be made.

    content, styles: paths or URLs. output: file name in the output folder. row: of the manifest, 1
    being the first after the header of a .csv and the first line of a .jsonl; None without one.
    """

    content: str
    styles: tuple[str, ...]
    settings: Settings
    output: str
    row: int | None = None


def product(
    contents: Sequence[str], styles: Sequence[str], settings: Settings, extension: str = "png"
) -> list[Job]:
    """Every content in every style; what is given twice is made once."""
    pairs = [(c, s) for c in dict.fromkeys(contents) for s in dict.fromkeys(styles)]
    return _named([Job(content, (style,), settings, "") for content, style in pairs], extension)


def zipped(
    contents: Sequence[str], styles: Sequence[str], settings: Settings, extension: str = "png"
) -> list[Job]:
    """The first content in the first style, the second in the second.

    Raises:
      JobsError: there are not as many of both.
    """
    if len(contents) != len(styles):
        raise JobsError(
            f"there are {len(contents)} contents and {len(styles)} styles: in pairs, there must be "
            "as many of both"
        )
    pairs = zip(contents, styles, strict=True)
    return _named([Job(content, (style,), settings, "") for content, style in pairs], extension)


def from_manifest(
    path: str,
    given: Mapping[str, Any],
    contents: str | None,
    styles: str | None,
    extension: str = "png",
) -> list[Job]:
    """The jobs that the rows of a manifest tell of.

    Args:
      path: a .csv or .jsonl file, local or at a URL; its paths are relative to its own folder.
      given: settings beneath those of every row.
      contents, styles: sources (see ``pictures``) for rows without; such a row takes every one.
      extension: of the outputs that the manifest does not name.

    Raises:
      JobsError: one line that names the row, and the column where there is one to be named.
      SettingError: one of ``given`` is wrong.
    """
    resolve(**given)  # so that it is not blamed on the first row
    every_content = pictures(contents) if contents else []
    every_style = [(style,) for style in (pictures(styles) if styles else [])]
    jobs = []
    for number, row in _rows(path):
        where = f"{path}: row {number}"
        content, style, output = (row.pop(name, None) for name in ("content", "style", "output"))
        photos = [_located(content, where, "content", path)] if content else every_content
        paintings = [_styles(style, where, path)] if style else every_style
        for what, found in (("content", photos), ("style", paintings)):
            if not found:
                raise JobsError(f"{where}: names no {what}, and no --{what}s are given for it")
        count = len(photos) * len(paintings)
        if output and count > 1:
            raise JobsError(f"{where}: output: {output!r} is one name for {count} pictures")
        name = _output(output, where) if output else ""
        settings = _settings(row, given, where, path)
        jobs += [Job(photo, each, settings, name, number) for photo in photos for each in paintings]
    if not jobs:
        raise JobsError(f"{path}: there are no rows in this manifest")
    _refuse_duplicates(path, jobs)
    return _named(jobs, extension)


def _named(jobs: Sequence[Job], extension: str) -> list[Job]:
    """The jobs, each with an output: ``<content>__<style>``, several styles joined by a plus."""
    content_labels = names.labels(job.content for job in jobs)
    style_labels = names.labels(style for job in jobs for style in job.styles)
    unnamed = [job for job in jobs if not job.output]
    wanted = [
        f"{content_labels[job.content]}__{'+'.join(style_labels[style] for style in job.styles)}"
        for job in unnamed
    ]
    taken = [os.path.splitext(job.output)[0] for job in jobs if job.output]
    free = iter(names.numbered([names.shortened(name) for name in wanted], taken))
    return [job if job.output else replace(job, output=f"{next(free)}.{extension}") for job in jobs]


def _refuse_duplicates(path: str, jobs: Iterable[Job]) -> None:
    rows: dict[str, int | None] = {}
    for job in jobs:
        first = rows.setdefault(names.same(job.output), job.row) if job.output else job.row
        if first != job.row:
            raise JobsError(f"{path}: rows {first} and {job.row} have one output, {job.output}")


# --- rows of a manifest ---------------------------------------------------------------------------


def _rows(path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """What is given in every row that is not blank, by column, and the row's number."""
    kinds = {".csv": _csv_rows, ".jsonl": _json_rows}
    extension = os.path.splitext(path)[1].lower()
    if extension not in kinds:
        raise JobsError(f"{path}: a manifest is a .csv or a .jsonl file")
    yield from kinds[extension](path, read_text(path))


def _csv_rows(path: str, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    records = csv.reader(io.StringIO(text), strict=True)
    number = 0
    try:
        header = [name.strip() for name in next(records, [])]
        _check_columns([name for name in header if name], path)
        for number, record in enumerate(records, start=1):
            row = _cells(header, record, f"{path}: row {number}")
            if row:
                yield number, row
    except csv.Error as error:
        raise JobsError(f"{path}: after row {number}: damaged CSV: {error}") from None


def _cells(header: Sequence[str], record: Sequence[str], where: str) -> dict[str, Any]:
    """The cells that are not empty, as values."""
    row: dict[str, Any] = {}
    for name, cell in zip_longest(header, map(str.strip, record), fillvalue=""):
        if not cell:
            continue
        if not name:
            raise JobsError(f"{where}: {cell!r} is in a column without a name")
        try:
            row[name] = _READERS[name](cell) if name in _READERS else cell
        except ValueError as error:
            raise JobsError(f"{where}: {name}: {error}") from None
    if "style" in row:
        row["style"] = [style.strip() for style in row["style"].split("|") if style.strip()]
    return row


def _json_rows(path: str, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}: row {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise JobsError(f"{where}: not JSON: {error}") from None
        if not isinstance(row, dict):
            raise JobsError(f'{where}: not an object such as {{"content": "photo.jpg"}}')
        _check_columns(list(row), where)
        yield number, row


def _check_columns(columns: Sequence[str], where: str) -> None:
    for index, name in enumerate(columns):
        if name not in _COLUMNS:
            missing = [needed for needed in _COLUMNS[:2] if needed not in columns]
            near = difflib.get_close_matches(name, missing, n=1) or difflib.get_close_matches(
                name, _COLUMNS, n=1, cutoff=0
            )
            raise JobsError(f"{where}: there is no column {name!r}: the nearest is {near[0]}")
        if name in columns[:index]:
            raise JobsError(f"{where}: there are two columns {name!r}")


# --- cells of a row -------------------------------------------------------------------------------


def _located(value: Any, where: str, column: str, path: str) -> str:
    if not isinstance(value, str) or not value:
        raise JobsError(f"{where}: {column}: must be a path or a URL, not {value!r}")
    return located(value, beside=path)


def _styles(value: Any, where: str, path: str) -> tuple[str, ...]:
    each = value if isinstance(value, list) else [value]
    return tuple(_located(style, where, "style", path) for style in each)


def _output(value: Any, where: str) -> str:
    """A file name, checked: it may come from anywhere."""
    if not isinstance(value, str) or set(value) & set("/\\") or not value.isprintable():
        raise JobsError(f"{where}: output: must be the name of a file, not {value!r}")
    if value.startswith("."):
        raise JobsError(f"{where}: output: {value!r} begins with a dot")
    if len(value.encode()) >= 200:
        raise JobsError(f"{where}: output: {value!r} has 200 bytes or more")
    if os.path.splitext(value)[1].lower() not in FORMATS:
        raise JobsError(f"{where}: output: {value!r} does not end in {', '.join(FORMATS)}")
    return value


def _settings(row: Mapping[str, Any], given: Mapping[str, Any], where: str, path: str) -> Settings:
    try:
        settings = resolve(**{**given, **row})
    except SettingError as error:
        raise JobsError(f"{where}: {error}") from None
    return settings.map_paths(lambda found: located(found, path), row)
