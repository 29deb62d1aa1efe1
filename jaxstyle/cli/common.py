"""What the commands that make pictures share: flags, and lines printed."""

import argparse
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path

import jax

from jaxstyle.cli.flags import argument
from jaxstyle.cli.outputs import Outputs, checkpoint_of
from jaxstyle.execution.factories import report_every
from jaxstyle.network import tuning
from jaxstyle.runs.result import Result
from jaxstyle.settings import Settings
from jaxstyle.settings.text import number, whole_number

Tell = Callable[[str], None]

FRAMES_EVERY = 5
"""Steps from one frame of a timelapse to the next, at most."""

CHECKPOINT_HELP = "keep the run in OUT.png.checkpoint, to survive the end of the process"
RESUME_HELP = "go on from OUT.png.checkpoint if there is one; keep the run there if it is ended"


def add_output_flags(parser: argparse.ArgumentParser) -> None:
    """Where results go, and what is said about them."""
    add = parser.add_argument
    add("--bits", type=int, choices=(8, 16), help="bits a channel: 8, or 16 in PNG and TIFF")
    add("--weights", metavar="VGG19.h5", help="a file made by convert_weights")
    add("--save-every", metavar="N", type=at_least_one, help="previews beside OUT every N steps")
    add("--timelapse", metavar="FILE.webp", type=Path, help="animate the run: WebP or GIF")
    add("--report", metavar="FILE.json", type=Path, help="settings, versions, losses and seconds")
    add("--plan", action="store_true", help="say what the run would take, and do nothing else")
    add("--profile", metavar="DIR", type=Path, help="write a trace of the run (jax.profiler)")
    add("--checkpoint-every", metavar="SECONDS", type=above_zero, help=CHECKPOINT_HELP)
    add("--resume", action="store_true", help=RESUME_HELP)
    add("--json", action="store_true", help="print the report, or the plan, on standard output")
    add("--quiet", action="store_true", help="print nothing but errors")
    add("--debug", action="store_true", help="show a traceback when something fails")


def outputs_of(arguments: argparse.Namespace, picture: Path, bits: int, tell: Tell) -> Outputs:
    """The files that the flags ask for."""
    checkpoints = arguments.checkpoint_every or arguments.resume
    return Outputs(
        picture=picture,
        tell=tell,
        bits=bits,
        save_every=arguments.save_every,
        timelapse=arguments.timelapse,
        report=arguments.report,
        profile=arguments.profile,
        checkpoint=checkpoint_of(picture) if checkpoints else None,
    )


def reports_every(arguments: argparse.Namespace, settings: Settings) -> int | None:
    """Steps between two reports, where previews or frames ask for more than the solver would."""
    usual = report_every(settings)
    if arguments.save_every:
        return max(n for n in range(1, usual + 1) if arguments.save_every % n == 0)
    return min(usual, FRAMES_EVERY) if arguments.timelapse else None


def print_result(arguments: argparse.Namespace, path: Path, result: Result, tell: Tell) -> None:
    """The report for machines, or a line for people."""
    if arguments.json:
        print(json.dumps(result.report()))
    height, width = result.image.shape[:2]
    compiling = sum(scale.compile_seconds for scale in result.scales)
    tell(f"{path}: {width}x{height}, {result.seconds:.0f} s ({compiling:.0f} of them compiling)")


def teller(quiet: bool) -> Tell:
    """Prints a line on standard error, unless silence is wanted."""
    return silence if quiet else tell_user


def use_precision(settings: Settings) -> None:
    """JAX computes in double precision only if told so before it computes at all."""
    if settings.precision == "float64":
        jax.config.update("jax_enable_x64", True)


def tell_user(line: str) -> None:
    """Print on standard error: standard output is for results."""
    print(line, file=sys.stderr)


def silence(line: str) -> None:
    """Say nothing."""
    del line


@argument
def at_least_one(text: str) -> int:
    """A whole number above zero."""
    value = whole_number(text)
    if value < 1:
        raise ValueError(f"must be at least 1, not {text}")
    return value


@argument
def above_zero(text: str) -> float:
    """A finite number above zero."""
    value = number(text)
    if not 0 < value < math.inf:
        raise ValueError(f"must be above 0, not {text}")
    return value


def tell_of_tuning(settings: Settings, tell: Tell) -> None:
    """The first run of all takes some seconds more, and says so."""
    if tuning.to_be_measured(settings.precision):
        tell("measuring which convolutions are the fastest on this machine, once")
