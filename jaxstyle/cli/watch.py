"""A run with a progress bar, previews and checkpoints, which saves its state if it ends early."""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from jaxstyle.cli.checkpoints import Keeper
from jaxstyle.cli.common import ANY_PORT, reports_every, silence, tell_of_tuning, tell_result
from jaxstyle.cli.failures import saving
from jaxstyle.cli.interrupt import Requests, deferred_interrupt
from jaxstyle.cli.memory import as_flags
from jaxstyle.cli.outputs import Outputs
from jaxstyle.cli.profile import profiled
from jaxstyle.cli.progress import progress_bar
from jaxstyle.cli.studio import studio_module
from jaxstyle.errors import ImageError
from jaxstyle.execution.plan import Image
from jaxstyle.guidance.masks import Regions
from jaxstyle.images import Picture
from jaxstyle.network.weights import Loaded
from jaxstyle.runs import checkpoint
from jaxstyle.runs.inputs import Inputs
from jaxstyle.runs.memory import enough_memory
from jaxstyle.runs.optimize import Hooks
from jaxstyle.runs.result import Progress, Result
from jaxstyle.runs.run_checkpoint import RunCheckpoint, fingerprint
from jaxstyle.runs.stylize import run
from jaxstyle.settings import Settings


def unchanged(result: Result) -> Result:
    """Return a result as it is."""
    return result


def run_and_save(
    arguments: argparse.Namespace,
    outputs: Outputs,
    loaded: Loaded,
    content: Picture,
    styles: Sequence[Image],
    settings: Settings,
    description: str,
    regions: Regions | None = None,
    finish: Callable[[Result], Result] = unchanged,
    more: Sequence[Callable[[Result], None]] = (),
) -> None:
    """Run with progress and checkpoints, write the outputs, and print the summary.

    Args:
      arguments: flags of the command.
      outputs: the output files.
      loaded, content, styles, settings, regions: what to run.
      description: the metadata of the result.
      finish: turns the result of the run into the one to save.
      more: functions that write further files, of the result of the run.

    Raises:
      ImageError: some files could not be written; the others were.
    """
    lost: list[str] = []
    inputs = Inputs(content, styles, settings, regions=regions)
    with deferred_interrupt(outputs.tell) as check:
        keeper = saved = None
        if outputs.checkpoint:
            made_by = fingerprint(loaded, content.pixels, styles, settings)
            seconds = arguments.checkpoint_every
            keeper = Keeper(outputs.checkpoint, seconds, made_by, outputs, check)
            saved = keeper.begin(settings, arguments.resume)
        with (
            profiled(outputs.profile, outputs.tell, lost.append),
            _watched(outputs, keeper, check, content, settings, description) as watch,
            enough_memory(loaded, inputs, as_flags(arguments)),
            _live(arguments, outputs) as live,
        ):
            tell_of_tuning(settings, outputs.tell)
            every = reports_every(arguments, settings)
            keep = keeper or (lambda saved: check())

            def report(progress: Progress, reached: RunCheckpoint) -> None:
                watch(progress)
                live.report(progress)
                keep(reached)

            pause = keeper.pause if keeper else check
            outputs.made = run(loaded, inputs, Hooks(report, pause, every), saved)
            result = finish(outputs.made)
            live.done(result)
        problem = outputs.save_picture(result, description)
        if keeper and problem:
            problem = ": ".join(filter(None, [problem, keeper.save()]))
        elif keeper:
            checkpoint.delete(keeper.directory)
        others = [partial(write, outputs.made) for write in more]
        lost = [*filter(None, [problem]), *lost, *outputs.save_others(result, others)]
    if arguments.json:
        print(json.dumps(result.report()))
    if not problem:
        tell_result(outputs.picture, result, outputs.tell)
    if lost:
        raise ImageError("; ".join(lost))


@contextmanager
def _live(arguments: argparse.Namespace, outputs: Outputs) -> Iterator[Any]:
    """Yield what shows the run in a browser, with ``--watch``; else what does nothing."""
    if arguments.watch is None:
        yield Unseen()
        return
    port = None if arguments.watch == ANY_PORT else arguments.watch
    with studio_module("live").watched(outputs.picture.name, port) as live:
        outputs.tell(f"watch it at {live.url}")
        yield live


class Unseen:
    """A live view that nobody has asked for."""

    def report(self, progress: Progress) -> None:
        """Show nothing of a report."""

    def done(self, result: Result) -> None:
        """Show nothing of a result."""


@contextmanager
def _watched(
    outputs: Outputs,
    keeper: Keeper | None,
    requests: Requests,
    content: Picture,
    settings: Settings,
    description: str,
) -> Iterator[Callable[[Progress], None]]:
    """Yield a function to call with every report of a run.

    If the run ends early, a checkpoint is saved, or else the picture so far.
    """

    def save(stop: BaseException) -> None:
        if not outputs.last and not isinstance(stop, KeyboardInterrupt):
            return
        note = keeper.save() if keeper and keeper.can_save() else ""
        if not note or not isinstance(stop, KeyboardInterrupt) and outputs.last:
            unfinished = outputs.save_unfinished(content, settings, description)
            note = ": ".join(filter(None, [unfinished, note]))
        stop.add_note(note)

    shown = progress_bar(hidden=outputs.tell is silence)
    with saving(requests, shown, save, keeper.can_save if keeper else lambda: True) as bar:

        def watch(progress: Progress) -> None:
            outputs(progress)
            bar(progress)

        yield watch
