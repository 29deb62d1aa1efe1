"""``video --cluster``: scenes of a clip, made by the workers of a Ray cluster."""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any

from jaxstyle.cli.cluster import (
    check_cluster_flags,
    named_weights,
    pool_of,
    process_of,
    weights_file,
)
from jaxstyle.cli.common import Tell
from jaxstyle.cli.flags import flag
from jaxstyle.cli.notes import tell_notes
from jaxstyle.errors import ClusterError, UsageError
from jaxstyle.execution.workers.cluster import Pool
from jaxstyle.execution.workers.tasks import Done, Task
from jaxstyle.machine.words import count_of
from jaxstyle.runs.video.feed import Feed, fed
from jaxstyle.runs.video.folder import Folder
from jaxstyle.runs.video.stylize import FrameReport, Job
from jaxstyle.runs.video.worker import Scene, SceneReport, needs_of, with_absolute_paths, worker_of

Update = Callable[[float, str, str], None]

SIGHT = 90.0
"""Seconds after which a network file system shows what another machine has written."""

LOOK = 0.5
"""Seconds between two looks at that."""


@dataclass
class Made:
    """What has become of the frames of a clip.

    Attributes:
      reports: the frames that were made.
      by: what the record of the clip says about who made them.
    """

    reports: list[FrameReport] = field(default_factory=list)
    by: dict[str, Any] = field(default_factory=dict)


def check_flags(arguments: argparse.Namespace) -> None:
    """Raise UsageError if a flag does not go with others."""
    check_cluster_flags(arguments)
    for name in ("devices", "plan", "preview"):
        if arguments.cluster and getattr(arguments, name):
            more = ": give --worker-resources" if name == "devices" else ""
            raise UsageError(f"{flag(name)} is for this machine, not for --cluster{more}")


def make_on_cluster(
    arguments: argparse.Namespace,
    job: Job,
    feed: Feed,
    update: Update,
    check: Callable[[], None],
    tell: Tell,
) -> Made:
    """Make all frames that are not in the folder yet, on a cluster that is connected.

    Args:
      arguments: arguments of the command.
      job: the clip.
      feed: its frames.
      update: shows a share from 0 to 1, and texts before and after the bar.
      check: called often; may raise to end it all.
      tell: prints a line for the user.

    Raises:
      ClusterError: the cluster cannot be used, or a scene could not be made.
    """
    scenes = _prepared(feed, update, check)
    missing = [scene for scene in scenes if not scene.is_made(job)]
    if not missing:
        return Made()
    if len(scenes) == 1:
        tell("note: the clip is one scene, made by one worker: there is nothing to spread")
    away = with_absolute_paths(job)
    named = named_weights(arguments)
    with pool_of(
        arguments,
        problem=needs_of(away, scenes, *([weights_file(named)] if named else [])).problem,
        set_up=worker_of(away, process_of(arguments, job.loaded)),
        most=len(missing),
        tell=partial(_note, tell=tell, told=set()),
        check=check,
        accelerators=1,  # a frame is made on one
    ) as pool:
        made = _run(pool, missing, len(scenes), update)
    _wait_to_see(job.folder, feed.count, check)
    return made


def _prepared(feed: Feed, update: Update, check: Callable[[], None]) -> list[Scene]:
    """Make all frames ready, and return the scenes."""
    number = 1
    with fed(feed):
        while feed.scene(number, check) is not None:
            update(0.0, f"reading frame {number}/{feed.count}", "")
            number += 1
    return [Scene(first, after - 1) for first, after in pairwise([*feed.cuts, number])]


def _run(pool: Pool, missing: list[Scene], count: int, update: Update) -> Made:
    """Have missing scenes made, long ones first; ``count`` is the number of all."""
    made, left = Made(), len(missing)

    def show() -> None:
        update(1 - left / count, f"scene {count - left}/{count}", _workers(pool))

    def done(each: Done) -> None:
        nonlocal left
        scene: Scene = each.task.payload
        report = each.report or SceneReport((), each.reason)
        if report.problem:
            raise ClusterError(f"frames {scene.first} to {scene.last}: {report.problem}")
        made.reports += report.frames
        left -= 1

    ordered = sorted(missing, key=lambda scene: len(scene.frames), reverse=True)
    tasks = [Task(f"frames {each.first} to {each.last}", "scene", each) for each in ordered]
    pool.run_jobs(tasks, done, show)
    members = [{"name": m.name, "devices": m.devices, "scenes": m.done} for m in pool.members]
    made.by = {"workers": members, "lost_workers": pool.lost}
    return made


def _workers(pool: Pool) -> str:
    lost = f", {pool.lost} lost" if pool.lost else ""
    return f"{count_of(len(pool.members), 'worker')}{lost}"


def _note(line: str, tell: Tell, told: set[str]) -> None:
    tell_notes([line], tell, told)


def _wait_to_see(folder: Folder, count: int, check: Callable[[], None]) -> None:
    """Wait until this machine sees all frames, which other machines have written.

    Raises:
      ClusterError: it does not.
    """
    deadline = time.monotonic() + SIGHT
    while (there := len(folder.frames())) < count:
        check()
        if time.monotonic() > deadline:
            raise ClusterError(f"{folder.frame(there + 1)}: was made, but is not to be seen here")
        time.sleep(LOOK)
