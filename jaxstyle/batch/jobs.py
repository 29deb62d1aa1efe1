"""The jobs of a batch, one for each result, from contents and styles or from a manifest.

A manifest is a table with the columns content, style, output and the fields of ``Settings``, all
optional. In a .csv file, values are written as on the command line, several styles are separated by
``|``, and an empty cell means "not given". In a .jsonl file, every line is an object with plain
JSON values; its style is a path or a list of paths.
"""

import csv
import io
import os
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any

from jaxstyle.batch import names
from jaxstyle.batch.sources import located, pictures, read_text
from jaxstyle.errors import DamagedError, JobsError, SettingError, did_you_mean
from jaxstyle.images._write import FORMATS
from jaxstyle.machine.plain_json import parsed
from jaxstyle.settings import Settings, resolve
from jaxstyle.settings.effect import check_effects
from jaxstyle.settings.text import reader

__all__ = ["Job", "JobsError", "from_manifest", "product", "zipped"]

_READERS: dict[str, Callable[[str], Any]] = {
    name: reader(hint) for name, hint in typing.get_type_hints(Settings).items()
}
_COLUMNS = ("content", "style", "output", *_READERS)


@dataclass(frozen=True)
class Job:
    """A job of a batch: one content picture, its styles and settings.

    Attributes:
      content: path or URL of the content picture.
      styles: paths or URLs of the style pictures.
      settings: settings of the run.
      output: file name of the result in the output folder.
      row: row of the manifest, from 1, not counting the header of a .csv; None without a manifest.
    """

    content: str
    styles: tuple[str, ...]
    settings: Settings
    output: str
    row: int | None = None

    def inputs(self) -> list[str]:
        """Return the paths of all pictures that it reads."""
        return [self.content, *self.styles, *self.settings.paths().values()]


def product(
    contents: Sequence[str], styles: Sequence[str], settings: Settings, extension: str = "png"
) -> list[Job]:
    """Return a job for every content with every style, without repetitions."""
    pairs = [(c, s) for c in dict.fromkeys(contents) for s in dict.fromkeys(styles)]
    return _named([Job(content, (style,), settings, "") for content, style in pairs], extension)


def zipped(
    contents: Sequence[str], styles: Sequence[str], settings: Settings, extension: str = "png"
) -> list[Job]:
    """Return jobs of the first content with the first style, the second with the second, and so on.

    Raises:
      JobsError: the numbers of contents and styles differ.
    """
    if len(contents) != len(styles):
        raise JobsError(
            f"there are {len(contents)} contents and {len(styles)} styles: pairing them needs "
            "equal numbers"
        )
    pairs = zip(contents, styles, strict=True)
    return _named([Job(content, (style,), settings, "") for content, style in pairs], extension)


def from_manifest(
    path: str,
    given: Mapping[str, Any],
    contents: Sequence[str],
    styles: Sequence[str],
    extension: str = "png",
) -> list[Job]:
    """Return the jobs of a manifest.

    Args:
      path: .csv or .jsonl file, local or a URL. Paths in it are relative to its folder.
      given: default settings; those of a row override them.
      contents: sources (see ``sources.pictures``) for rows without a content, which then stand for
        a job with each of their pictures.
      styles: the same for rows without a style.
      extension: file extension of the outputs that the manifest does not name.

    Raises:
      JobsError: the manifest is invalid; the message names the row and, if possible, the column.
      SettingError: one of ``given`` is invalid.
    """
    resolve(**given)  # raise here, so that the error does not name the manifest's first row
    every_content = [path for source in contents for path in pictures(source)]
    every_style = [(path,) for source in styles for path in pictures(source)]
    jobs, known = [], {}
    for number, row in _rows(path):
        where = f"{path}: row {number}"
        content, style, output = (row.pop(name, None) for name in ("content", "style", "output"))
        photos = [_located(content, where, "content", path)] if content else every_content
        paintings = [_styles(style, where, path)] if style else every_style
        for what, found in (("content", photos), ("style", paintings)):
            if not found:
                raise JobsError(f"{where}: names no {what}, and no --{what}s are given")
        count = len(photos) * len(paintings)
        if output and count > 1:
            raise JobsError(
                f"{where}: output: {output!r} is one name for {count} pictures: leave it empty or "
                "name one content and one style"
            )
        name = _output(output, where) if output else ""
        most = max(map(len, paintings))
        key = most, repr(row)  # rows of the same settings share one object
        settings = known.get(key) or _settings(row, given, most, where, path)
        known[key] = settings
        jobs += [Job(photo, each, settings, name, number) for photo in photos for each in paintings]
    if not jobs:
        raise JobsError(f"{path}: this manifest has no rows")
    _refuse_duplicates(path, jobs)
    return _named(jobs, extension)


def _named(jobs: Sequence[Job], extension: str) -> list[Job]:
    """Name the outputs that have no name yet: ``<content>__<style>[+<style>...].<extension>``."""
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
            raise JobsError(
                f"{path}: rows {first} and {job.row} have the same output, {job.output}"
            )


# --- rows of a manifest ---------------------------------------------------------------------------


def _rows(path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the number and the values, by column, of every row that is not blank."""
    kinds = {".csv": _csv_rows, ".jsonl": _json_rows}
    extension = os.path.splitext(path)[1].lower()
    if extension not in kinds:
        raise JobsError(f"{path}: a manifest must be a .csv or .jsonl file")
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
        raise JobsError(f"{path}: after row {number}: is not valid CSV: {error}") from None


def _cells(header: Sequence[str], record: Sequence[str], where: str) -> dict[str, Any]:
    """Parse the cells of a row that are not empty."""
    row: dict[str, Any] = {}
    for name, cell in zip_longest(header, map(str.strip, record), fillvalue=""):
        if not cell:
            continue
        if not name:
            raise JobsError(f"{where}: {cell!r} is in a column without a name in the header")
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
            row = parsed(line, dict[str, Any])
        except DamagedError as error:
            raise JobsError(f"{where}: {error}") from None
        _check_columns(list(row), where)
        yield number, row


def _check_columns(columns: Sequence[str], where: str) -> None:
    for index, name in enumerate(columns):
        if name not in _COLUMNS:
            missing = [needed for needed in _COLUMNS[:2] if needed not in columns]
            near = did_you_mean(name, missing) or did_you_mean(name, _COLUMNS)
            raise JobsError(f"{where}: unknown column {name!r}{near}")
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
    """Check an output name: the manifest is not trusted to write outside the output folder."""
    if not isinstance(value, str) or set(value) & set("/\\") or not value.isprintable():
        raise JobsError(f"{where}: output: must be a file name without folders, not {value!r}")
    if value.startswith("."):
        raise JobsError(f"{where}: output: {value!r} must not begin with a dot")
    if len(value.encode()) >= 200:
        raise JobsError(f"{where}: output: {value!r} must be shorter than 200 bytes")
    if os.path.splitext(value)[1].lower() not in FORMATS:
        raise JobsError(f"{where}: output: {value!r} must end in one of {', '.join(FORMATS)}")
    return value


def _settings(
    row: Mapping[str, Any], given: Mapping[str, Any], styles: int, where: str, path: str
) -> Settings:
    try:
        settings = resolve(**{**given, **row})
        check_effects([settings], row, styles)
    except SettingError as error:
        raise JobsError(f"{where}: {error}") from None
    return settings.map_paths(lambda found: located(found, path), row)
