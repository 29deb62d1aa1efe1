"""The files of a batch: checks of inputs and outputs, metadata, and the page that shows all."""

import hashlib
import json
import os
from collections.abc import Callable, Sequence, Set
from pathlib import Path
from typing import Literal

from jaxstyle import images
from jaxstyle.batch import sheet
from jaxstyle.batch.jobs import Job
from jaxstyle.batch.ledger import Ledger
from jaxstyle.batch.origins import size_and_time
from jaxstyle.batch.storage import Folder, is_url
from jaxstyle.errors import ImageError
from jaxstyle.runs.recipe import Recipe

THUMBNAIL = ".thumbnail-"
"""Beginning of the name of a thumbnail."""

LARGE = 200_000
"""Size in bytes above which the page shows a thumbnail of a source picture."""


def not_made_here(paths: list[str], root: str) -> list[str]:
    """Return the paths outside the output folder ``root``, or all if every path is inside.

    A pattern that matches the photos may match the results of an earlier batch too.
    """
    return [path for path in paths if not inside(path, root)] or paths


def inside(path: str, root: str) -> bool:
    """Return whether a picture is in the output folder ``root``."""
    if is_url(root) or is_url(path):
        return path.rpartition("/")[0] == root.rstrip("/")
    return os.path.dirname(os.path.realpath(path)) == os.path.realpath(root)


def check_outputs(todo: Sequence[Job], root: str, bits: int) -> None:
    """Raise ImageError if an output format cannot be written, or an input is in the output folder.

    An input there might be overwritten.
    """
    for extension in {Path(job.output).suffix for job in todo}:
        images.check_format(f"output{extension}", bits=bits)
    for path in sorted({path for job in todo for path in job.inputs()}):
        if inside(path, root):
            raise ImageError(
                f"{path}: an input is in the output folder: choose another folder with -o"
            )


def description(
    job: Job, weights_path: str | None, bits: Literal[8, 16], sha256: str, root: str
) -> str:
    """Return a job's metadata: its recipe or, with URLs, its settings.

    Args:
      job: the job.
      weights_path: the weights file, if one was named.
      bits: bits per channel of the result.
      sha256: digest of the weights.
      root: folder of the results.
    """
    if any(map(is_url, (root, job.content, *job.styles))):
        return json.dumps({"settings": job.settings.to_dict()})
    recipe = Recipe(job.content, job.styles, job.settings, weights_path, bits, sha256)
    return recipe.to_json(Path(root))


def contact_sheet(
    todo: Sequence[Job], ledger: Ledger, out: Folder, check: Callable[[], None] = lambda: None
) -> str:
    """Return the HTML page of all jobs, with thumbnails of sources that are large.

    Args:
      todo: the jobs.
      ledger: the status of each job.
      out: the output folder, where thumbnails are written.
      check: called for every thumbnail; may raise to interrupt.
    """
    rows, unseen = [], set()
    for job in todo:
        entry = ledger.entries.get(job.output)
        status, reason = (entry.status, entry.reason) if entry else ("missing", "")
        rows.append(sheet.Shown(job.content, job.styles, job.output, status, reason, job.settings))
        made = out.path(job.output)
        if status == "done" and not _in_browsers(made):
            unseen.add((job.output, made))
    sources = {path for job in todo for path in (job.content, *job.styles)}
    unseen |= {(path, path) for path in sources if not _in_browsers(path) or _is_large(path)}
    there = {name for name in out.names() if name.startswith(THUMBNAIL)}
    thumbnails = {}
    for path, at in sorted(unseen):
        check()
        if name := _thumbnail(at, out, there):
            thumbnails[path] = name
    for name in there - set(thumbnails.values()):
        out.delete(name)
    return sheet.sheet(rows, thumbnails, Path(out.root).name or out.root, out.root)


def _in_browsers(path: str) -> bool:
    """Return whether browsers can show a picture; URLs count, to avoid downloads for thumbnails."""
    return is_url(path) or path.lower().endswith(sheet.IN_BROWSERS)


def _is_large(path: str) -> bool:
    return os.path.isfile(path) and os.path.getsize(path) > LARGE


def _thumbnail(path: str, out: Folder, there: Set[str]) -> str:
    """Return the name of a picture's thumbnail in the folder; empty if it cannot be read.

    A picture that has changed has another name.
    """
    key = repr((path, size_and_time(path))).encode()
    name = f"{THUMBNAIL}{hashlib.sha256(key).hexdigest()[:16]}.jpg"
    if name in there:
        return name
    try:
        out.write(
            name, sheet.thumbnail_of_jpeg(path) or sheet.thumbnail(images.read(path).over_white())
        )
    except ImageError:
        return ""
    return name
