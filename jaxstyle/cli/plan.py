"""``--plan``: prints the sizes, memory and time of a run without running it."""

import argparse
import json
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from jaxstyle.cli.common import Tell
from jaxstyle.cli.failures import interruptible
from jaxstyle.cli.memory import as_flags
from jaxstyle.execution.choice import Sides
from jaxstyle.execution.estimate import Estimate, estimate
from jaxstyle.execution.plan import Image
from jaxstyle.execution.strategy import WHOLE
from jaxstyle.guidance.masks import Regions
from jaxstyle.images import Picture
from jaxstyle.machine.words import about, count_of, in_bytes
from jaxstyle.network.weights import Loaded
from jaxstyle.runs.inputs import Inputs
from jaxstyle.runs.memory import explained, verdict
from jaxstyle.settings import Settings

COLUMNS = ("size", "style", "steps", "GFLOP/step", "memory", "compiled in", "running")
WIDTH = 100


def show_plan(
    arguments: argparse.Namespace,
    loaded: Loaded,
    content: Picture,
    styles: Sequence[Image],
    settings: Settings,
    tell: Tell,
    regions: Regions | None = None,
) -> None:
    """Print the plan of a run on standard output, as JSON with ``--json``."""
    tell("compiling every scale and timing a few steps of the first")
    (height, width), sides = content.rgb.shape[:2], [style.shape[:2] for style in styles]
    inputs = Inputs(content, styles, settings, regions=regions)
    with (
        # Compiling itself may run out of memory.
        explained(loaded, inputs, as_flags(arguments)),
        interruptible(tell) as check,
    ):
        of_styles = [(h, w) for h, w in sides]
        found = estimate(loaded, (height, width), of_styles, settings, check, regions)
    if arguments.json:
        print(json.dumps(found.to_dict()))
        return
    console = Console(highlight=False, markup=False, soft_wrap=True, width=WIDTH)
    console.print(table(found))
    print(summary(found))
    if settings.fine_style:
        print("not counted: giving the style pictures their fine texture (--fine-style)")
    print(verdict(found, as_flags(arguments)))


def table(found: Estimate) -> Table:
    """Return a table with a row for each scale."""
    rows = Table(box=None, pad_edge=False, header_style="")
    told = any(scale.strategy != str(WHOLE) for scale in found.scales)
    for name in (*COLUMNS, "worked on") if told else COLUMNS:
        rows.add_column(name, justify="right", no_wrap=True)
    for scale in found.scales:
        rows.add_row(
            _size((scale.height, scale.width)),
            _sizes(scale.styles),
            f"{scale.steps}",
            f"{scale.step_flops / 1e9:.1f}",
            in_bytes(scale.peak_bytes),
            f"{scale.compile_seconds:.1f} s",
            about(scale.run_seconds),
            *([scale.strategy] if told else []),
        )
    return rows


def summary(found: Estimate) -> str:
    """Return one line about the whole run."""
    steps = sum(scale.steps for scale in found.scales)
    return (
        f"{count_of(len(found.scales), 'compilation')}, {count_of(steps, 'step')}: "
        f"{about(found.seconds)}, {found.compile_seconds:.0f} s of it compiling "
        "(less from now on: JAX caches the programs)"
    )


def _size(sides: Sides) -> str:
    height, width = sides
    return f"{width}x{height}"


def _sizes(styles: Sequence[Sides]) -> str:
    more = f" and {len(styles) - 1} more" if len(styles) > 1 else ""
    return _size(styles[0]) + more
