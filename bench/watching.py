"""Measure what it costs a run to be watched in the studio."""

import argparse
import asyncio
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from bench import timing, work
from bench.markdown import table as markdown
from jaxstyle.images import Picture
from jaxstyle.network.weights import Loaded
from jaxstyle.runs.inputs import Inputs
from jaxstyle.runs.optimize import NO_HOOKS, Hooks
from jaxstyle.runs.stylize import run
from jaxstyle.settings import resolve
from jaxstyle.studio import easel
from jaxstyle.studio.line import Job, views
from jaxstyle.studio.view import View
from jaxstyle.studio.work import Watch

HELP = "Seconds of a run that a browser watches in the studio, against one that nobody watches."

SIZES = {128: 40, 256: 16, 512: 8}
"""Steps by size: a single scale of some seconds."""

Row = dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("--rounds", type=int, default=5, help="runs of each kind (default: 5)")


def measure(arguments: argparse.Namespace, show: Callable[[str], None]) -> list[Row]:
    """Measure every size; return one row for each."""
    loaded = work.weights_of(arguments, show)
    sizes, rounds = ({32: 3}, 1) if arguments.quick else (SIZES, arguments.rounds)
    return [row(loaded, size, steps, rounds, show) for size, steps in sizes.items()]


def row(loaded: Loaded, size: int, steps: int, rounds: int, show: Callable[[str], None]) -> Row:
    """Time a run with and without a watcher in alternation."""
    show(f"{size} pixels")
    photo, style = (np.asarray(work.picture(seed, size, size)) for seed in range(2))
    settings = resolve(size=size, smallest_size=size, steps=steps)
    inputs = Inputs(Picture(photo), [style], settings)
    seen: list[int] = []
    cases = {
        "alone": partial(run, loaded, inputs, NO_HOOKS),
        "watched": lambda: seen.append(watched(loaded, inputs)),
    }
    seconds = timing.interleaved(cases, rounds, show=show)
    medians = {name: timing.spread(each)["median"] for name, each in seconds.items()}
    return {
        "size": size,
        "steps": steps,
        **medians,
        "ratio": medians["watched"] / medians["alone"],
        "updates": seen[-1] / seconds["watched"][-1],
    }


def watched(loaded: Loaded, inputs: Inputs) -> int:
    """Run while another thread draws every view, as the server does; return how many there were."""
    job = Job(lambda job: None, View("running"))
    drawn: list[int] = []

    async def look() -> None:
        async for view in views(job):
            drawn.append(len(easel.drawn(view)))

    looking = threading.Thread(target=lambda: asyncio.run(look()))
    looking.start()
    try:
        run(loaded, inputs, Hooks(Watch(job, inputs.content)))
    finally:
        job.show(state="done")
        looking.join()
    return len(drawn)


COLUMNS = {
    "size": "size",
    "steps": "steps",
    "alone": "alone, s",
    "watched": "watched, s",
    "ratio": "watched / alone",
    "updates": "updates a second",
}


def table(rows: list[Row]) -> str:
    """Return the rows as a Markdown table."""
    return markdown(rows, COLUMNS)
