"""The command ``jaxstyle video CLIP STYLE [STYLE ...] -o OUT.mp4``."""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from shutil import disk_usage
from tempfile import TemporaryDirectory
from typing import Any

import jax

from jaxstyle import images
from jaxstyle.cli.cluster import add_cluster_flags, cluster_of
from jaxstyle.cli.common import (
    DEBUG_HELP,
    WEIGHTS_HELP,
    Tell,
    at_least_one,
    silence,
    tell_of_tuning,
    teller,
    use_precision,
)
from jaxstyle.cli.failures import interruptible, saving
from jaxstyle.cli.flags import add_clip_settings, add_settings, argument, given_settings
from jaxstyle.cli.interrupt import deferred_interrupt
from jaxstyle.cli.memory import as_flags
from jaxstyle.cli.notes import idle_notes, network_note, read_pictures, tell_notes
from jaxstyle.cli.outputs import check_distinct
from jaxstyle.cli.progress import bar
from jaxstyle.cli.video_cluster import Made, check_flags, make_on_cluster
from jaxstyle.cli.video_plan import show_plan
from jaxstyle.errors import UsageError
from jaxstyle.execution.plan import Scale
from jaxstyle.images.video import ANIMATIONS, CODECS, Clip, check_clip_target
from jaxstyle.images.video.flow import check_flow
from jaxstyle.machine.files import beside, unused
from jaxstyle.machine.words import clock, count_of, in_bytes
from jaxstyle.network import weights
from jaxstyle.runs.memory import enough_memory
from jaxstyle.runs.optimize import Hooks
from jaxstyle.runs.result import Progress, device, versions
from jaxstyle.runs.stylize import run
from jaxstyle.runs.video import render
from jaxstyle.runs.video.feed import AHEAD, Feed, fed
from jaxstyle.runs.video.folder import Folder
from jaxstyle.runs.video.stylize import ClipHooks, FrameReport, Job, schedule_of, stylize
from jaxstyle.settings import resolve
from jaxstyle.settings.clip import ClipSettings, resolve_clip
from jaxstyle.settings.text import number, whole_number

HELP = "Render a clip in the style of pictures, without flicker and with its sound."
CLIP_HELP = (
    "video, animation, folder of frames, or pattern of their names (frames/%%04d.png, 'f/*.png')"
)
OUTPUT_HELP = (
    "result: MP4, MOV, MKV, WebM, AVI, GIF or WebP; replaces an existing file. Frames are kept in "
    "OUT.mp4.frames until it is whole, so that the same command goes on after an interruption"
)
FPS_HELP = "frames per second of the result (default: as the clip; 24 for a folder of frames)"
PREVIEW_HELP = "only make N frames from all over the clip, as OUT-preview-1.png and so on"
CODEC_HELP = "how the result is compressed (default: h264, or av1 in WebM)"
QUALITY_HELP = "quality of the compression, from 0 to 100 (default: visually without loss)"
FLOW_HELP = (
    "folder of optical flow at the size of the result: forward_1_2.flo, backward_2_1.flo and so on "
    "(default: computed by OpenCV)"
)
FRAMES_HELP = "keep the finished frames in this folder, as frame-000001.png and so on"
DEVICES_HELP = "number of devices that scenes are spread over (default: all)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add = parser.add_argument
    add("content", metavar="CLIP", help=CLIP_HELP)
    add("styles", nargs="*", metavar="STYLE", help="style pictures (paintings), or folders")
    add("-o", "--output", metavar="OUT.mp4", type=Path, help=OUTPUT_HELP)
    add("--start", metavar="SECONDS", type=argument(number), help="where to begin in the clip")
    add("--end", metavar="SECONDS", type=argument(number), help="where to end in the clip")
    add("--fps", metavar="N", type=argument(number), help=FPS_HELP)
    add("--preview", metavar="N", type=at_least_one, help=PREVIEW_HELP)
    add("--codec", choices=CODECS, help=CODEC_HELP)
    add("--quality", metavar="N", type=percentage, help=QUALITY_HELP)
    add("--flow", metavar="DIR", type=Path, help=FLOW_HELP)
    add("--save-frames", metavar="DIR", type=Path, help=FRAMES_HELP)
    add("--devices", metavar="N", type=at_least_one, help=DEVICES_HELP)
    add_cluster_flags(parser)
    add("--weights", metavar="VGG19.h5", help=WEIGHTS_HELP)
    add("--report", metavar="FILE.json", type=Path, help="save settings, versions and frame times")
    add("--plan", action="store_true", help="print frames, time, memory and disk, and exit")
    add("--json", action="store_true", help="print the report, or the plan, as JSON")
    add("--quiet", action="store_true", help="print nothing but errors")
    add("--debug", action="store_true", help=DEBUG_HELP)
    add_clip_settings(parser)
    # Here --history is of frames; L-BFGS keeps its own.
    add_settings(parser, without=("history",))


@argument
def percentage(text: str) -> int:
    """Parse a whole number from 0 to 100."""
    value = whole_number(text)
    if not 0 <= value <= 100:
        raise ValueError(f"must be from 0 to 100, not {text}")
    return value


def main(arguments: argparse.Namespace) -> None:
    """Check the arguments, make the clip, or print its plan."""
    check_flags(arguments)
    tell = teller(arguments.quiet or arguments.json)
    work = _work_of(arguments, tell)
    if arguments.plan:
        show_plan(arguments, work.job, work.clip, tell)
    elif arguments.preview:
        _preview(arguments, work, tell)
    else:
        _make(arguments, work, tell)


@dataclass
class Work:
    """What is to be done.

    Attributes:
      job: the clip to make.
      clip: the content.
      masks: masks that are clips.
      part: the part of the clip.
      told: notes that the user knows.
    """

    job: Job
    clip: Clip
    masks: dict[int, Clip]
    part: render.Range
    told: list[str]


def _work_of(arguments: argparse.Namespace, tell: Tell) -> Work:
    """Read everything that is needed, after checking that the result can be written."""
    if not arguments.styles:
        raise UsageError("give a CLIP and at least one STYLE picture")
    if not (arguments.output or arguments.plan):
        raise UsageError("say where the result goes: -o OUT.mp4")
    settings = resolve(**given_settings(arguments))
    of_clip = resolve_clip(settings.preset, **given_settings(arguments, ClipSettings))
    use_precision(settings)
    paths = images.expand_folders(arguments.styles)
    idle = idle_notes([settings], given_settings(arguments), len(paths))
    part = render.Range(arguments.start, arguments.end, arguments.fps)
    clip = part.of(arguments.content)
    masks = render.masks_of(settings, part, clip)
    styles = [picture.pixels for picture in read_pictures(paths, settings, tell)]
    schedule = schedule_of(clip.height, clip.width, styles, settings)
    if arguments.output:
        read = [arguments.content, *paths, *settings.paths().values()]
        _check_files(arguments, read, clip, schedule[-1])
    loaded = weights.load(weights.find(arguments.weights, tell))
    tell_notes([*idle, *clip.notes, *_silent(arguments.output, clip)], tell)
    for note in network_note(settings, loaded):
        tell(note)
    description = json.dumps({"settings": settings.to_dict(), "clip": asdict(of_clip)})
    kept = Folder(_folder_of(arguments), arguments.flow)
    job = Job(loaded, styles, settings, of_clip, schedule, kept, description)
    return Work(job, clip, masks, part, [*clip.notes])


def _silent(output: Path | None, clip: Clip) -> list[str]:
    """Return a note if the result has no place for the sound of the clip."""
    if output is None or output.suffix.lower() not in ANIMATIONS or not clip.audio:
        return []
    return [f"{output}: has no sound, as {output.suffix[1:].upper()} has none"]


def _folder_of(arguments: argparse.Namespace) -> Path:
    """Return the folder where frames are kept while the clip is made."""
    return arguments.save_frames or Path(f"{arguments.output}.frames")


def _check_files(
    arguments: argparse.Namespace, inputs: Sequence[str], clip: Clip, last: Scale
) -> None:
    """Check that the result can be written and nothing that is read is overwritten.

    Raises:
      ImageError, UsageError: it cannot, or the clip or its flow needs a package that is not there.
    """
    reports = [arguments.report] if arguments.report else []
    named = [*inputs, *([arguments.weights] if arguments.weights else [])]
    read = [file for path in named for file in render.files_of(path)]
    check_distinct([arguments.output, *reports], read)
    for report in reports:
        images.check_directory(report)
    if arguments.preview:
        return
    sides = {"height": last.height, "width": last.width}
    check_clip_target(arguments.output, arguments.codec, clip, **sides)
    if arguments.flow is None:
        check_flow()
    else:
        if not arguments.flow.is_dir():
            raise UsageError(f"--flow {arguments.flow}: there is no such folder")
        read.append(arguments.flow)
    kept = _folder_of(arguments).resolve()
    for path in read:
        if kept in (path.resolve(), *path.resolve().parents):
            raise UsageError(
                f"{path}: is in {_folder_of(arguments)}, where frames are kept until the end: move "
                "it elsewhere"
            )


def _make(arguments: argparse.Namespace, work: Work, tell: Tell) -> None:
    """Make all frames, then the clip; delete what was kept on the way."""
    job, start = work.job, time.perf_counter()
    with job.folder.locked():
        job.folder.begin(_made_by(arguments, work))
        if before := job.folder.count_results():
            there = f"{before} of {_all_frames(work.clip.count, job)}"
            tell(f"{there} are there already: going on after them")
        _tell_of_disk(work, tell)
        report = _made_and_written(arguments, work, tell)
        report["seconds"] = time.perf_counter() - start
        if arguments.report:
            images.write_text(arguments.report, json.dumps(report, indent=1) + "\n")
        if arguments.save_frames:
            job.folder.keep_frames_alone()
        else:
            job.folder.delete()
    if arguments.json:
        print(json.dumps(report))
    sides = f"{report['width']}x{report['height']}"
    frames = count_of(report["frames"], "frame")
    tell(f"{arguments.output}: {frames}, {sides}, {clock(report['seconds'])}")


def _tell_of_disk(work: Work, tell: Tell) -> None:
    """Tell if the disk may become full before the clip is made."""
    left = work.clip.count - len(work.job.folder.frames())
    needed, free = render.disk_bytes(work.job, left), disk_usage(work.job.folder.path).free
    if needed > free:
        tell(
            f"note: {work.job.folder.path} may need {in_bytes(needed)}, and {in_bytes(free)} are "
            "free: on a full disk it ends, and the same command goes on once there is room"
        )


def _made_and_written(arguments: argparse.Namespace, work: Work, tell: Tell) -> dict[str, Any]:
    """Make the frames that are not there yet, and write the clip; return the record of it."""
    job = work.job
    with cluster_of(arguments, tell), deferred_interrupt(tell) as check:
        devices = jax.local_devices()[: arguments.devices]
        all_ahead = arguments.cluster or len(devices) > 1
        feed = render.feed_of(work.clip, work.masks, job, None if all_ahead else AHEAD)

        def kept(stop: BaseException) -> None:
            there = f"{job.folder.count_results()} of {_all_frames(feed.count, job)}"
            stop.add_note(f"{there} are kept in {job.folder.path}: the same command goes on")

        with saving(check, bar(hidden=tell is silence), kept) as update:
            if arguments.cluster:
                made = make_on_cluster(arguments, job, feed, update, check, tell)
            else:
                shown = ClipBar(job, feed, update)
                made = _make_here(arguments, shown, devices, check, tell)
            how = arguments.codec, arguments.quality
            frames = render.encode(job, arguments.output, work.clip, *how, check)
    tell_notes([note for note in feed.notes if note not in work.told], tell)
    return _report(work, feed, made, frames)


def _all_frames(count: int, job: Job) -> str:
    """Return in words how many frames are made, each once in a pass."""
    passes = job.clip.passes
    return count_of(count * passes, "frame") + (f" of {passes} passes" if passes > 1 else "")


def _make_here(
    arguments: argparse.Namespace,
    shown: "ClipBar",
    devices: Sequence[Any],
    check: Callable[[], None],
    tell: Tell,
) -> Made:
    """Make all frames that are not in the folder yet, on devices of this machine."""
    job, feed = shown.job, shown.feed
    with enough_memory(job.loaded, render.blank_inputs(job), as_flags(arguments)):
        tell_of_tuning(job.settings, tell)
        with fed(feed):
            stylize(job, feed, ClipHooks(shown.done, shown.report, check), devices)
    return Made(shown.reports, {"device": device()})


def _made_by(arguments: argparse.Namespace, work: Work) -> dict[str, Any]:
    """Return everything that the frames depend on."""
    masks = [work.job.settings.content_mask[index] for index in work.masks]
    return render.made_by(work.job, [arguments.content, *masks], work.part)


def _report(work: Work, feed: Feed, made: Made, frames: int) -> dict[str, Any]:
    """Return the record of a clip as plain values for JSON."""
    last = work.job.schedule[-1]
    return {
        "settings": work.job.settings.to_dict(),
        "clip": asdict(work.job.clip),
        "versions": versions(),
        **made.by,
        "width": last.width,
        "height": last.height,
        "fps": float(work.clip.fps),
        "frames": frames,
        "scenes": feed.cuts,
        "made": [asdict(each) for each in made.reports],
        "compilations": sum(each.compilations for each in made.reports),
        "waited": feed.waited,
    }


@dataclass
class ClipBar:
    """What is shown of a clip: the frame, its step, the speed and the time left.

    Attributes:
      job: the clip.
      feed: its frames.
      update: shows a share from 0 to 1, and texts before and after the bar.
      reports: the frames that are done, in this process.
      before: number of results that were there before, of all passes.
    """

    job: Job
    feed: Feed
    update: Callable[[float, str, str], None]
    reports: list[FrameReport] = field(default_factory=list)
    before: int = field(init=False)

    def __post_init__(self) -> None:
        self.before = self.job.folder.count_results()

    def done(self, report: FrameReport) -> None:
        """Show that a frame is done."""
        self.reports.append(report)
        self._show(report.number, report.of_pass, 0.0, "")

    def report(self, number: int, of_pass: int, progress: Progress) -> None:
        """Show the progress within a frame."""
        step = f"step {progress.step}/{progress.steps}"
        self._show(number, of_pass, progress.share, f"{step}  loss {progress.total:.4g}")

    def _show(self, number: int, of_pass: int, share: float, text: str) -> None:
        count, passes = self.feed.count, self.job.clip.passes
        before = f"frame {number}/{count}"
        if passes > 1:
            before += f", pass {of_pass}/{passes}"
        done = self.before + len(self.reports)
        pace, left = self._pace(count * passes - done)
        self.update((done + share) / max(1, count * passes), before, f"{text}  {pace}{left}")

    def _pace(self, left: int) -> tuple[str, str]:
        """Return the speed of later frames, and the time left for so many of them."""
        later = [each.seconds for each in self.reports if each.number != each.first]
        if not later:
            return "", ""
        seconds = sum(later[-10:]) / len(later[-10:])
        speed = f"{1 / seconds:.1f} fps" if seconds < 1 else f"{seconds:.1f} s/frame"
        return speed, f"  {clock(seconds * left)} left"


def _preview(arguments: argparse.Namespace, work: Work, tell: Tell) -> None:
    """Make a few frames from all over the clip, each as the first of a scene."""
    job, count = work.job, min(arguments.preview, work.clip.count)
    places = [round((i + 0.5) * work.clip.count / count - 0.5) for i in range(count)]
    with interruptible(tell) as check, TemporaryDirectory() as temporary:
        tell_of_tuning(job.settings, tell)
        folder = Folder(Path(temporary))
        for index, place in enumerate(places, start=1):
            found = next(iter(work.clip.frames(place)), None)
            if found is None:  # the clip is shorter than its header says
                break
            settings = render.with_masks_at(work.masks, place, job.settings, folder)
            inputs = render.frame_inputs(replace(job, settings=settings), found[1])
            made = run(job.loaded, inputs, Hooks(pause=check))
            path = unused(beside(arguments.output.with_suffix(".png"), f"preview-{index}"))
            made.save(path, description=job.description)
            tell(f"{path}: frame {place + 1} of {work.clip.count}")
