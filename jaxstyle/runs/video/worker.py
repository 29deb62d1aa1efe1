"""A worker of a clip on a cluster: it makes one scene after another, on a device of its process.

All frames of the content are ready before: in the folder of the clip, which all machines see.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax

from jaxstyle.errors import JaxstyleError, message_of
from jaxstyle.execution.compilation import persist
from jaxstyle.execution.workers.process import Process, unseen
from jaxstyle.images.video import is_clip
from jaxstyle.machine import host
from jaxstyle.network import weights
from jaxstyle.runs.video.folder import RECORD, Folder
from jaxstyle.runs.video.stylize import ClipHooks, FrameReport, Job, make_scene, prepared

SEEN = "give a path that all machines see"
"""Advice about a path that a node does not see."""


@dataclass(frozen=True)
class Scene:
    """The first and the last frame of a scene."""

    first: int
    last: int

    @property
    def frames(self) -> range:
        """The numbers of its frames."""
        return range(self.first, self.last + 1)

    def is_made(self, job: Job) -> bool:
        """Return whether no frame is missing."""
        return all(job.folder.has_result(job.clip.passes, number) for number in self.frames)


@dataclass(frozen=True)
class SceneReport:
    """How a scene was made.

    Attributes:
      frames: the frames that this worker made.
      problem: why the others could not be made, by any worker; empty if there are none.
    """

    frames: tuple[FrameReport, ...]
    problem: str = ""


@dataclass
class Worker:
    """Makes scenes: see ``jaxstyle.execution.workers.tasks.Worker``.

    Attributes:
      job: the clip.
      stop: raises KeyboardInterrupt if the process has to end.
    """

    job: Job
    stop: Callable[[], None]

    def prepare(self, scene: Scene) -> Scene:
        """Return the scene: its frames are read one by one."""
        return scene

    def compute(self, scene: Scene, report: Callable[[Any], None]) -> SceneReport:
        """Make and write the frames of a scene that are missing."""
        del report
        made: list[FrameReport] = []
        hooks = ClipHooks(made.append, pause=self.stop)
        try:
            self.job = prepared(self.job, hooks)
            make_scene(self.job, scene.frames, scene.first, hooks)
        except JaxstyleError as error:
            return SceneReport(tuple(made), message_of(error))
        return SceneReport(tuple(made))

    def finish(self, scene: Scene, made: SceneReport) -> SceneReport:
        """Return the report: the frames have been written."""
        del scene
        return made

    def devices(self) -> str:
        """Return its devices in words."""
        kinds = [device.device_kind for device in jax.local_devices()]
        return f"{len(kinds)} x {kinds[0]}"


@dataclass(frozen=True)
class Needs:
    """What a machine must see to take part.

    Attributes:
      folder: the folder of the clip.
      record: what its record holds.
      files: path, size in bytes and advice about each further file that must be there.
    """

    folder: Path
    record: bytes
    files: tuple[tuple[str, int, str], ...]

    def problem(self) -> str:
        """Return what this machine does not see; empty if it sees all."""
        try:
            found = (self.folder / RECORD).read_bytes()
        except OSError:
            found = b""
        if found != self.record:
            return f"does not see {self.folder}: {SEEN}, as by --save-frames"
        if problem := host.unwritable(self.folder / "results"):
            return f"cannot use the folder of frames: {problem}"
        return unseen(self.files)


def needs_of(job: Job, scenes: list[Scene], *more: tuple[str, int, str]) -> Needs:
    """Return what a machine must see to make scenes of a clip.

    Args:
      job: the clip, with absolute paths.
      scenes: the scenes; their frames are ready.
      *more: further files: see ``Needs``.
    """
    paths = [Path(path) for path in job.settings.paths().values() if not is_clip(path)]
    last = scenes[-1].last
    paths.append(job.folder.content(last))
    if job.folder.flows and last > 1:
        paths.append(job.folder.flow_file(last, last - 1))
    files = ((str(path), path.stat().st_size, SEEN) for path in paths)
    return Needs(job.folder.path, (job.folder.path / RECORD).read_bytes(), (*files, *more))


def with_absolute_paths(job: Job) -> Job:
    """Return a job that means the same in all current directories."""
    folder = Folder(job.folder.path.absolute(), job.folder.flows and job.folder.flows.absolute())
    settings = job.settings.map_paths(lambda path: str(Path(path).absolute()))
    return replace(job, folder=folder, settings=settings)


def worker_of(job: Job, process: Process) -> Callable[..., Worker]:
    """Return a function that sets up a worker in another process: see ``cluster.Pool``.

    Args:
      job: the clip, with absolute paths; its weights are not sent, but loaded there.
      process: how that process computes.
    """
    given = {each.name: getattr(job, each.name) for each in fields(job) if each.name != "loaded"}
    return partial(_set_up, process=process, job_of=partial(Job, **given))


def _set_up(
    notes: list[str],
    stop: Callable[[], None],
    cores: int | None,
    *,
    process: Process,
    job_of: Callable[[weights.Loaded], Job],
) -> Worker:
    loaded = process.begin(notes, cores)
    persist()
    return Worker(job_of(loaded), stop)
