"""A progress bar with scale, step, loss, speed and time left, shown on terminals only."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from jaxstyle.execution.plan import Scale
from jaxstyle.machine.words import clock
from jaxstyle.runs.result import Progress as RunProgress


@contextmanager
def bar(hidden: bool = False) -> Iterator[Callable[[float, str, str], None]]:
    """Show a bar on standard error during the block.

    Yields:
      A function of the share done, from 0 to 1, and the texts before and after the bar.
    """
    console = Console(stderr=True)
    before, after = (
        TextColumn(text, markup=False) for text in ("{task.description}", "{task.fields[text]}")
    )
    # A step of a large picture takes minutes: the spinner shows that the program is running.
    moving = SpinnerColumn("line" if console.options.ascii_only else "dots")
    columns = moving, before, BarColumn(), after
    disable = hidden or not console.is_terminal
    with Progress(*columns, console=console, disable=disable, transient=True) as shown:
        task = shown.add_task("compiling", total=1.0, text="")

        def update(share: float, before: str, after: str) -> None:
            shown.update(task, completed=share, description=before, text=after)

        yield update


@contextmanager
def progress_bar(hidden: bool = False) -> Iterator[Callable[[RunProgress], None]]:
    """Show a bar for a run; yield a function to call with every report."""
    with bar(hidden) as update:

        def report(progress: RunProgress) -> None:
            scales, index = progress.scales, progress.scale
            here = f"{sides_of(scales[index])} ({index + 1}/{len(scales)})"
            update(progress.share, here, _text(progress))

        yield report


def _text(progress: RunProgress) -> str:
    seconds = progress.reached.seconds
    speed = progress.step / seconds if seconds else 0.0
    pace = f"{speed:.1f} steps/s" if speed >= 0.5 or not speed else f"{1 / speed:.0f} s/step"
    return (
        f"step {progress.step}/{progress.steps}  loss {progress.total:.4g}  "
        f"{pace}  {clock(progress.seconds_left)} left"
    )


def sides_of(scale: Scale) -> str:
    """Format the size of a scale as width x height."""
    return f"{scale.width}x{scale.height}"
