"""``video --plan``: prints the frames, memory, time and disk of a clip without making it."""

import argparse
import json
from dataclasses import dataclass

from jaxstyle.cli.common import Tell
from jaxstyle.cli.failures import interruptible
from jaxstyle.cli.memory import as_flags
from jaxstyle.execution.estimate import Estimate, estimate
from jaxstyle.images.video import Clip
from jaxstyle.machine.words import about, count_of, in_bytes
from jaxstyle.runs.memory import explained, verdict
from jaxstyle.runs.video import render
from jaxstyle.runs.video.stylize import Job


@dataclass(frozen=True)
class ClipEstimate:
    """The estimate of a clip without scene cuts.

    Attributes:
      frames: number of frames; of some files an estimate.
      width, height: sides of the result.
      compilations: number of programs of optimizer steps: one for each scale.
      first_seconds: time of the first frame, compilation included.
      later_seconds: time of all other frames, in all passes.
      peak_bytes: peak memory.
      disk_bytes: files kept while the clip is made.
    """

    frames: int
    width: int
    height: int
    compilations: int
    first_seconds: float | None
    later_seconds: float | None
    peak_bytes: int
    disk_bytes: int


def show_plan(arguments: argparse.Namespace, job: Job, clip: Clip, tell: Tell) -> None:
    """Print the plan of a clip on standard output, as JSON with ``--json``."""
    tell("compiling every scale and timing a few steps of the first")
    inputs, last = render.blank_inputs(job), job.schedule[-1]
    with explained(job.loaded, inputs, as_flags(arguments)), interruptible(tell) as check:
        sides = [style.shape[:2] for style in job.styles]
        found = estimate(job.loaded, (last.height, last.width), sides, job.settings, check)
    planned = of_clip(job, clip, found)
    if arguments.json:
        print(json.dumps(planned.__dict__))
        return
    seconds = None
    if planned.first_seconds is not None and planned.later_seconds is not None:
        seconds = planned.first_seconds + planned.later_seconds
    print(
        f"{count_of(planned.frames, 'frame')} of {planned.width}x{planned.height}, "
        f"{count_of(planned.compilations, 'compilation')}, "
        f"{in_bytes(planned.peak_bytes)} of memory, "
        f"{in_bytes(planned.disk_bytes)} on disk until the clip is whole"
    )
    print(f"the first frame: {about(planned.first_seconds)}; all: {about(seconds)}, without cuts")
    print(verdict(found, as_flags(arguments)))


def of_clip(job: Job, clip: Clip, found: Estimate) -> ClipEstimate:
    """Return the estimate of a clip from that of its first frame."""
    last, passes = job.schedule[-1], job.clip.passes
    running, frames = found.scales[-1].run_seconds, clip.count
    later = None
    if running is not None:
        step = running / max(1, found.scales[-1].steps)
        later = step * job.clip.later_steps * (frames * passes - 1)
    return ClipEstimate(
        frames,
        last.width,
        last.height,
        compilations=len(found.scales),
        first_seconds=found.seconds,
        later_seconds=later,
        peak_bytes=found.peak_bytes,
        disk_bytes=render.disk_bytes(job, frames),
    )
