"""A run as the user watches it: progress, previews, and what was reached if it ends early."""

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from jaxstyle.cli.common import print_result, reports_every, silence, tell_of_tuning
from jaxstyle.cli.interrupt import deferred_interrupt
from jaxstyle.cli.memory import enough_memory
from jaxstyle.cli.outputs import Outputs
from jaxstyle.cli.profile import profiled
from jaxstyle.cli.progress import progress_bar
from jaxstyle.image import Picture
from jaxstyle.plan import Image
from jaxstyle.result import Progress
from jaxstyle.settings import Settings
from jaxstyle.stylize import run
from jaxstyle.weights import Loaded


def run_and_save(
    arguments: argparse.Namespace,
    outputs: Outputs,
    loaded: Loaded,
    content: Picture,
    styles: Sequence[Image],
    settings: Settings,
    description: str,
) -> None:
    """Run as the user watches, write the outputs, and say or print what came of it."""
    hidden = outputs.tell is silence
    with deferred_interrupt() as check:
        with (
            profiled(outputs.profile, outputs.tell),
            _watched(outputs, content, settings, description, check, hidden=hidden) as watch,
            enough_memory(arguments, loaded, content, styles, settings),
        ):
            tell_of_tuning(settings, outputs.tell)
            every = reports_every(arguments, settings)
            result = run(loaded, content, styles, settings, watch, every)
        outputs.save(result, description)
    print_result(arguments, outputs.picture, result, outputs.tell)


@contextmanager
def _watched(
    outputs: Outputs,
    content: Picture,
    settings: Settings,
    description: str,
    check_interrupt: Callable[[], None],
    *,
    hidden: bool,
) -> Iterator[Callable[[Progress], None]]:
    """Yields what a run should call with every report. What it has reached is saved if it ends
    early, and a note of that is added to the exception."""
    with progress_bar(hidden) as bar:

        def watch(progress: Progress) -> None:
            outputs(progress)
            bar(progress)
            check_interrupt()

        try:
            yield watch
        except (Exception, KeyboardInterrupt) as stop:
            if outputs.last or isinstance(stop, KeyboardInterrupt):
                stop.add_note(outputs.save_unfinished(content, settings, description))
            raise
