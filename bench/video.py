"""Measure clips: how well they hold still, what later frames cost, and the memory of long ones."""

import argparse
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from bench import child, work
from bench.markdown import table as markdown
from jaxstyle import images
from jaxstyle.cli.flags import add_clip_settings, add_settings, given_settings
from jaxstyle.images import Picture
from jaxstyle.images.video import Clip, ClipWriter, open_clip
from jaxstyle.losses import temporal
from jaxstyle.network import weights
from jaxstyle.runs.stylize import run
from jaxstyle.runs.video import render
from jaxstyle.runs.video.feed import AHEAD, fed
from jaxstyle.runs.video.folder import Folder
from jaxstyle.runs.video.score import ClipScore, score_clip
from jaxstyle.runs.video.stylize import ClipHooks, FrameReport, Job, schedule_of, stylize
from jaxstyle.settings import resolve
from jaxstyle.settings.clip import ClipSettings, resolve_clip

HELP = "Clips held still, against each frame alone: warping error, style loss, time and memory."

SHOWN = (1, 8, 16, 24)
"""Numbers of the frames in the pictures of ``--pictures``."""

LOUDER = 4
"""Factor of the differences in those pictures."""

STANDING = (128, 200)
"""Pixels and frames of the clip of a standing camera."""

GRAIN = 2.0
"""Standard deviation of the noise of that camera, in levels of 255."""

LENGTHS = (24, 240)
"""Frames of the clips whose memory is compared."""

Row = dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    add = parser.add_argument
    add("--clips", nargs="+", type=Path, default=[], help="clips (default: a seeded one)")
    add("--style", type=Path, help="style picture (default: a seeded one)")
    add("--size", type=int, default=256, help="longest side in pixels (default: 256)")
    add("--frames", type=int, default=24, help="frames of each clip (default: 24)")
    add("--settings", default="", help="further flags of the clip, such as '--later-steps 4'")
    add("--pictures", metavar="DIR", type=Path, help="write pictures of the frames here")
    add("--no-long", action="store_true", help="leave out drift and memory of long clips")


def measure(arguments: argparse.Namespace, show: Callable[[str], None]) -> list[Row]:
    """Measure every clip, then drift in a long one, and the memory of a short and a long one."""
    loaded = work.weights_of(arguments, show)
    size, frames = (32, 3) if arguments.quick else (arguments.size, arguments.frames)
    style = work.picture(1, size, size)
    if arguments.style:
        style = images.read(arguments.style).pixels
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        clips = arguments.clips or [seeded_clip(Path(folder) / "seeded.mov", size, frames)]
        for path in clips:
            show(f"{path.name}: {frames} frames of {size} pixels")
            given = loaded, path, style, size, frames, arguments.settings.split()
            rows.append(row(*given, arguments.pictures))
    if not arguments.no_long:
        rows.append(standing_row(loaded, style, *((32, 3) if arguments.quick else STANDING), show))
        lengths = (2, 3) if arguments.quick else LENGTHS
        rows += [memory_row(arguments, count, show) for count in lengths]
    return rows


def row(
    loaded: weights.Loaded,
    path: Path,
    style: np.ndarray,
    size: int,
    frames: int,
    flags: Sequence[str],
    pictures: Path | None,
) -> Row:
    """Make a clip held still and each frame alone; compare them."""
    opened = open_clip(path)
    clip = open_clip(path, end=frames / opened.fps)
    with tempfile.TemporaryDirectory() as place:
        job = job_of(loaded, clip, style, size, Path(place) / "held", flags)
        made, waited = held_still(job, clip)
        alone = Path(place) / "alone"
        seconds = each_alone(job, clip, alone)
        scores = [_scored(job, clip, folder) for folder in (job.folder.path, alone)]
        if pictures:
            pictures.mkdir(parents=True, exist_ok=True)
            sheet = _sheet(job, alone)
            images.write(pictures / f"{path.stem}.png", Picture(sheet))
    held, free = scores
    later = [report.seconds for report in made if report.number != report.first]
    whole, usual = statistics.median(seconds[1:]), statistics.median(later)
    return {
        "clip": path.stem,
        "sides": f"{job.schedule[-1].width}x{job.schedule[-1].height}",
        "frames": len(made),
        "alone": free.warping_error,
        "held": held.warping_error,
        "steadier": _ratio(free.warping_error, held.warping_error),
        "flicker": _ratio(held.flicker, free.flicker),
        "style": style_loss(held) / style_loss(free),
        "whole": whole,
        "later": usual,
        "cost": usual / whole,
        "waited": waited / sum(report.seconds for report in made),
        "compilations": sum(report.compilations for report in made),
    }


def job_of(
    loaded: weights.Loaded,
    clip: Clip,
    style: np.ndarray,
    size: int,
    folder: Path,
    flags: Sequence[str] = (),
) -> Job:
    """Return the job of a clip with the default settings, and those of flags."""
    parser = argparse.ArgumentParser()
    add_settings(parser, without=("history", "size"))
    add_clip_settings(parser)
    parsed = parser.parse_args(flags)
    settings = resolve(**{**given_settings(parsed), "size": size})
    of_clip = resolve_clip(settings.preset, **given_settings(parsed, ClipSettings))
    schedule = schedule_of(clip.height, clip.width, [style], settings)
    return Job(loaded, [style], settings, of_clip, schedule, Folder(folder))


def held_still(job: Job, clip: Clip) -> tuple[list[FrameReport], float]:
    """Make a clip; return reports of its frames, and the seconds that frames were waited for."""
    made: list[FrameReport] = []
    job.folder.begin({})
    with fed(render.feed_of(clip, {}, job, AHEAD)) as feed:
        stylize(job, feed, ClipHooks(made.append))
    return made, feed.waited


def each_alone(job: Job, clip: Clip, folder: Path) -> list[float]:
    """Make each frame of a clip as a picture of its own; return the seconds of each."""
    seconds = []
    folder.mkdir()
    for index, pixels in clip.frames():
        start = time.perf_counter()
        made = run(job.loaded, render.frame_inputs(job, pixels))
        seconds.append(time.perf_counter() - start)
        images.write(Folder(folder).frame(index + 1), Picture(made.image))
    return seconds


def _scored(job: Job, clip: Clip, folder: Path) -> ClipScore:
    made = open_clip(folder / "frame-%06d.png", fps=clip.fps)
    return score_clip(job.loaded, made, clip, job.styles, job.settings, every=4)


def style_loss(score: ClipScore) -> float:
    """Return the sum of the style terms."""
    return sum(value for name, value in score.terms.items() if name.startswith("style"))


def _ratio(one: float | None, other: float | None) -> float | None:
    return one / other if one and other else None


def _sheet(job: Job, alone: Path) -> np.ndarray:
    """Return rows of frames: the content, each alone, held still, and differences.

    The last two rows are the differences of each of them from the frame before, warped, where the
    flow is reliable.
    """
    count = len(job.folder.frames())
    numbers = [number for number in SHOWN if number <= count]
    held = job.folder
    rows = [[images.read(held.content(n)).rgb for n in numbers]]
    rows += [[images.read(of.frame(n)).rgb for n in numbers] for of in (Folder(alone), held)]
    rows += [[_difference(job, of, n) for n in numbers] for of in (Folder(alone), held)]
    return np.concatenate([np.concatenate(row, axis=1) for row in rows])


def _difference(job: Job, of: Folder, number: int) -> np.ndarray:
    image, scene = images.read(of.frame(number)).rgb, job.folder.scene(number)
    if scene is None or scene.first == number:
        return np.zeros_like(image)
    flow, opposite = jax.device_put(
        [job.folder.flow(number, number - 1), job.folder.flow(number - 1, number)]
    )
    before = temporal.warp(jax.device_put(images.read(of.frame(number - 1)).rgb), flow)
    sure = np.asarray(temporal.reliability(flow, opposite))[..., None]
    return np.clip(LOUDER * np.abs(image - np.asarray(before)) * sure, 0, 1)


# --- long clips -----------------------------------------------------------------------------------


def standing_row(
    loaded: weights.Loaded,
    style: np.ndarray,
    size: int,
    frames: int,
    show: Callable[[str], None],
) -> Row:
    """Make a clip of a standing camera; return how far its brightness and contrast drift."""
    show(f"drift over {frames} frames")
    rng, photo = np.random.default_rng(0), 255 * work.picture(0, size, size)
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "standing.mov"
        with ClipWriter(path, size, size, 24, codec="png") as writer:
            for _ in range(frames):
                noisy = photo + GRAIN * rng.normal(size=photo.shape)
                writer.write(np.rint(np.clip(noisy, 0, 255)).astype(np.uint8))
        clip = open_clip(path)
        job = job_of(loaded, clip, style, size, Path(place) / "held")
        held_still(job, clip)
        first, last = (images.read(job.folder.frame(n)).rgb * 255 for n in (1, frames))
        scored = _scored(job, clip, job.folder.path)
    return {
        "clip": "standing",
        "sides": f"{size}x{size}",
        "frames": frames,
        "held": scored.warping_error,
        "drift": float(last.mean() - first.mean()),
        "contrast": float(last.std() / first.std()),
    }


def memory_row(arguments: argparse.Namespace, frames: int, show: Callable[[str], None]) -> Row:
    """Measure the peak memory of a clip of so many frames, in a process of its own."""
    show(f"memory of {frames} frames")
    size = 32 if arguments.quick else 128
    quick = arguments.quick and not arguments.weights
    path = None if quick else str(weights.find(arguments.weights, show))
    peak = child.call("bench.video:peak_bytes", frames=frames, size=size, weights_file=path)
    return {"clip": "seeded", "sides": f"{size}", "frames": frames, "peak": peak / 1e6}


def peak_bytes(frames: int, size: int, weights_file: str | None) -> int:
    """Make a seeded clip; return the peak memory of this process."""
    loaded = weights.load(Path(weights_file)) if weights_file else work.few_channels()
    with tempfile.TemporaryDirectory() as place:
        clip = open_clip(seeded_clip(Path(place) / "seeded.mov", size, frames))
        job = job_of(loaded, clip, work.picture(1, size, size), size, Path(place) / "held")
        held_still(replace(job, clip=replace(job.clip, later_steps=2)), clip)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def seeded_clip(path: Path, size: int, frames: int) -> Path:
    """Write a clip of a seeded picture that is panned over, and return its path."""
    wide = work.picture(0, size, size + 2 * frames)
    pixels = np.rint(wide * 255).astype(np.uint8)
    with ClipWriter(path, size, size, 24, codec="png") as writer:
        for index in range(frames):
            writer.write(np.ascontiguousarray(pixels[:, 2 * index : 2 * index + size]))
    return path


COLUMNS = {
    "clip": "clip",
    "sides": "sides",
    "frames": "frames",
    "alone": "warping error, alone",
    "held": "held still",
    "steadier": "times less",
    "flicker": "flicker, held / alone",
    "style": "style loss, held / alone",
    "whole": "whole frame, s",
    "later": "later frame, s",
    "cost": "later / whole",
    "waited": "waited",
    "compilations": "compilations",
    "drift": "brightness, last - first",
    "contrast": "contrast, last / first",
    "peak": "peak memory, MB",
}


def table(rows: list[Row]) -> str:
    """Return the rows as a Markdown table."""
    return markdown(rows, COLUMNS)
