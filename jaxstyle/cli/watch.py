"""A run with a progress bar, previews and checkpoints, which saves its state if it ends early."""

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from jaxstyle.cli.checkpoints import Keeper
from jaxstyle.cli.common import print_result, reports_every, silence, tell_of_tuning
from jaxstyle.cli.interrupt import deferred_interrupt
from jaxstyle.cli.memory import enough_memory
from jaxstyle.cli.outputs import Outputs
from jaxstyle.cli.profile import profiled
from jaxstyle.cli.progress import progress_bar
from jaxstyle.execution.plan import Image
from jaxstyle.execution.strategy import do_not_pause
from jaxstyle.guidance.masks import Regions
from jaxstyle.images import Picture
from jaxstyle.network.weights import Loaded
from jaxstyle.runs import checkpoint
from jaxstyle.runs.inputs import Inputs
from jaxstyle.runs.optimize import Hooks
from jaxstyle.runs.result import Progress, Result
from jaxstyle.runs.run_checkpoint import RunCheckpoint, fingerprint
from jaxstyle.runs.stylize import run
from jaxstyle.settings import Settings


def run_and_save(
    arguments: argparse.Namespace,
    outputs: Outputs,
    loaded: Loaded,
    content: Picture,
    styles: Sequence[Image],
    settings: Settings,
    description: str,
    regions: Regions | None = None,
    finish: Callable[[Result], Result] = lambda result: result,
) -> None:
    """Run with progress and checkpoints, write the outputs, and print the summary."""
    with deferred_interrupt() as check:
        keeper = saved = None
        if outputs.checkpoint:
            made_by = fingerprint(loaded, content.pixels, styles, settings)
            seconds = arguments.checkpoint_every
            keeper = Keeper(outputs.checkpoint, seconds, made_by, outputs, check)
            saved = keeper.begin(settings, arguments.resume)
        with (
            profiled(outputs.profile, outputs.tell),
            _watched(outputs, keeper, content, settings, description) as watch,
            enough_memory(arguments, loaded, content, styles, settings, regions),
        ):
            tell_of_tuning(settings, outputs.tell)
            every = reports_every(arguments, settings)
            keep = keeper or (lambda saved: check())

            def report(progress: Progress, reached: RunCheckpoint) -> None:
                watch(progress)
                keep(reached)

            # With checkpoints, the keeper checks for interrupts, at reports, where it can save.
            pause = check if keeper is None else do_not_pause
            inputs = Inputs(content, styles, settings, regions=regions)
            result = finish(run(loaded, inputs, Hooks(report, pause, every), saved))
        outputs.save(result, description)
        if keeper:
            checkpoint.delete(keeper.directory)
    print_result(arguments, outputs.picture, result, outputs.tell)


@contextmanager
def _watched(
    outputs: Outputs,
    keeper: Keeper | None,
    content: Picture,
    settings: Settings,
    description: str,
) -> Iterator[Callable[[Progress], None]]:
    """Yield a function to call with every report of a run.

    If the run ends early without a checkpoint, save the picture so far. A note about the checkpoint
    or the picture is added to the exception.
    """
    with progress_bar(hidden=outputs.tell is silence) as bar:

        def watch(progress: Progress) -> None:
            outputs(progress)
            bar(progress)

        try:
            yield watch
        except (Exception, KeyboardInterrupt) as stop:
            if keeper and keeper.kept:
                stop.add_note(keeper.kept)
            elif outputs.last or isinstance(stop, KeyboardInterrupt):
                stop.add_note(outputs.save_unfinished(content, settings, description))
            raise
