"""A progress bar with scale, step, loss, speed and time left, shown on terminals only."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from jaxstyle.execution.plan import Scale
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
            update(done_share(scales, index, progress.step), here, _text(progress))

        yield report


def _text(progress: RunProgress) -> str:
    seconds = progress.reached.seconds
    speed = progress.step / seconds if seconds else 0.0
    pace = f"{speed:.1f} steps/s" if speed >= 0.5 or not speed else f"{1 / speed:.0f} s/step"
    return (
        f"step {progress.step}/{progress.steps}  loss {progress.total:.4g}  "
        f"{pace}  {clock(seconds_left(progress))} left"
    )


def seconds_left(progress: RunProgress) -> float:
    """Estimate the seconds left of a run from the pixels per second at the current scale."""
    scale = progress.scales[progress.scale]
    per_work = progress.reached.seconds / (progress.step * _pixels(scale))
    here = (progress.steps - progress.step) * _pixels(scale)
    later = sum(_pixels(s) * s.steps for s in progress.scales[progress.scale + 1 :])
    return per_work * (here + later)


def done_share(scales: list[Scale], index: int, step: int) -> float:
    """Return the share of the work (pixels times steps) that is done, from 0 to 1."""
    work = [_pixels(scale) * scale.steps for scale in scales]
    done = sum(work[:index]) + _pixels(scales[index]) * step
    return done / (sum(work) or 1)


def sides_of(scale: Scale) -> str:
    """Format the size of a scale as width x height."""
    return f"{scale.width}x{scale.height}"


def clock(seconds: float) -> str:
    """Format seconds as ``0:07`` or ``1:02:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _pixels(scale: Scale) -> int:
    return scale.height * scale.width
