"""A run as the user watches it: progress, previews, and what was reached if it ends early."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from jaxstyle.cli.outputs import Outputs
from jaxstyle.cli.progress import progress_bar
from jaxstyle.image import Picture
from jaxstyle.result import Progress
from jaxstyle.settings import Settings


@contextmanager
def watched(
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
