"""Flags and printed lines that the commands share."""

import argparse
import math
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import jax

from jaxstyle.cli.flags import argument, flag
from jaxstyle.cli.outputs import Outputs, checkpoint_of
from jaxstyle.errors import UsageError
from jaxstyle.execution.factories import report_every
from jaxstyle.execution.plan import Scale
from jaxstyle.machine.command_line import show
from jaxstyle.machine.host import cache_problem
from jaxstyle.machine.words import count_of
from jaxstyle.network import tuning
from jaxstyle.runs.result import Result
from jaxstyle.settings import Settings
from jaxstyle.settings.text import number, whole_number

Tell = Callable[[str], None]

FRAMES_EVERY = 5
"""Largest number of steps between two frames of a timelapse."""

OUTPUT_HELP = (
    "result: PNG, JPEG, WebP or TIFF; replaces an existing file, while files that jaxstyle names "
    "itself (OUT-00020.png, OUT-again.png, OUT-interrupted.png) get a number if there is one"
)
CHECKPOINT_HELP = "save a checkpoint in OUT.png.checkpoint this often, to resume after a crash"
RESUME_HELP = (
    "continue from OUT.png.checkpoint if it exists; save one there if the run is interrupted"
)
WATCH_HELP = (
    "show the run in a browser of this machine while it lasts, at this port (default: 7860, or the "
    "next free one); needs jaxstyle[studio]"
)
ANY_PORT = -1
WEIGHTS_HELP = (
    "VGG-19 weights made by convert_weights (default: $JAXSTYLE_WEIGHTS, else fetched once)"
)
BITS_HELP = "bits per channel: 8 (the default), or 16 for PNG and TIFF"
DEBUG_HELP = "show the traceback of a failure"


def add_output_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags for output files and messages of a run."""
    add = parser.add_argument
    add("--bits", type=int, choices=(8, 16), help=BITS_HELP)
    add("--weights", metavar="VGG19.h5", help=WEIGHTS_HELP)
    add(
        "--save-every",
        metavar="N",
        type=at_least_one,
        help="save a preview beside OUT every N steps",
    )
    add(
        "--timelapse",
        metavar="FILE.webp",
        type=Path,
        help="save an animation of the run: WebP, GIF, or with jaxstyle[video] MP4, MOV, WebM",
    )
    add(
        "--report", metavar="FILE.json", type=Path, help="save settings, versions, losses and times"
    )
    add("--watch", metavar="PORT", nargs="?", type=int, const=ANY_PORT, help=WATCH_HELP)
    add("--plan", action="store_true", help="print sizes, memory and time of the run, and exit")
    add("--profile", metavar="DIR", type=Path, help="save a jax.profiler trace of the run here")
    add("--checkpoint-every", metavar="SECONDS", type=above_zero, help=CHECKPOINT_HELP)
    add("--resume", action="store_true", help=RESUME_HELP)
    add("--json", action="store_true", help="print the report, or the plan, as JSON")
    add("--quiet", action="store_true", help="print nothing but errors")
    add("--debug", action="store_true", help=DEBUG_HELP)


def outputs_of(
    arguments: argparse.Namespace,
    picture: Path,
    bits: int,
    tell: Tell,
    others: Sequence[Path] = (),
) -> Outputs:
    """Return the output files that the flags ask for, beside ``picture``, and ``others``."""
    checkpoints = arguments.checkpoint_every or arguments.resume
    return Outputs(
        picture=picture,
        tell=tell,
        bits=bits,
        named=picture == arguments.output,
        save_every=arguments.save_every,
        timelapse=arguments.timelapse,
        report=arguments.report,
        profile=arguments.profile,
        checkpoint=checkpoint_of(picture) if checkpoints else None,
        others=others,
    )


OF_RUNS = (
    *("save_every", "timelapse", "report", "profile", "checkpoint_every", "resume", "watch"),
    *("out_dir", "force"),
)
"""Arguments that a plan has no use for."""


def plan_notes(arguments: argparse.Namespace) -> list[str]:
    """Return a note about flags that have no effect on a plan."""
    idle = [flag(name) for name in OF_RUNS if getattr(arguments, name, None)]
    return [f"with --plan, which runs nothing, {', '.join(idle)} has no effect"] if idle else []


def preview_notes(arguments: argparse.Namespace, scales: Sequence[Scale]) -> list[str]:
    """Return a note if the run is too short for ``--save-every``."""
    steps = sum(scale.steps for scale in scales)
    if not arguments.save_every or arguments.save_every <= steps:
        return []
    count = count_of(steps, "step")
    return [f"--save-every {arguments.save_every} saves no preview: the run has {count}"]


def reports_every(arguments: argparse.Namespace, settings: Settings) -> int | None:
    """Return the steps between reports that previews or frames need; None for the solver's own."""
    usual = report_every(settings)
    if arguments.save_every:
        return max(n for n in range(1, usual + 1) if arguments.save_every % n == 0)
    return min(usual, FRAMES_EVERY) if arguments.timelapse else None


def tell_result(path: Path, result: Result, tell: Tell) -> None:
    """Tell a one-line summary of a run."""
    height, width = result.image.shape[:2]
    compiling = sum(scale.compile_seconds for scale in result.scales)
    tell(f"{path}: {width}x{height}, {result.seconds:.0f} s ({compiling:.0f} of them compiling)")


def check_is_one(content: str) -> None:
    """Raise UsageError if a folder is given as content picture, and name the command for that."""
    if os.path.isdir(content):
        command = f"jaxstyle batch --contents {shlex.quote(content)} --styles STYLE -o FOLDER"
        raise UsageError(f"CONTENT {content} is a folder: '{command}' takes every picture in it")


def teller(quiet: bool) -> Tell:
    """Return a function that prints a line on standard error, or nothing if ``quiet``."""
    return silence if quiet else tell_user


def use_precision(settings: Settings) -> None:
    """Enable float64 in JAX if the settings ask for it; call this before JAX computes anything."""
    if settings.precision == "float64":
        jax.config.update("jax_enable_x64", True)


def tell_user(line: str) -> None:
    """Print a line on standard error; standard output is for results."""
    show(line, sys.stderr)


def silence(line: str) -> None:
    """Discard a line."""
    del line


@argument
def at_least_one(text: str) -> int:
    """Parse a whole number of at least 1."""
    value = whole_number(text)
    if value < 1:
        raise ValueError(f"must be at least 1, not {text}")
    return value


@argument
def above_zero(text: str) -> float:
    """Parse a finite number above 0."""
    value = number(text)
    if not 0 < value < math.inf:
        raise ValueError(f"must be above 0, not {text}")
    return value


def tell_of_tuning(settings: Settings, tell: Tell) -> None:
    """Tell that a run first measures convolution algorithms, and whether the next one will too."""
    if problem := tuning.damage(settings.precision):
        tell(f"note: {problem}: measuring again")
        return
    measuring = tuning.to_be_measured(settings.precision)
    if problem := cache_problem():
        what = "measuring convolution algorithms and compiling" if measuring else "compiling"
        tell(
            f"note: {what} anew in each run, as nothing can be kept for the next ({problem}): "
            "XDG_CACHE_HOME=FOLDER names another cache directory"
        )
    elif measuring:
        tell("measuring the fastest convolution algorithms of this machine (only once)")
