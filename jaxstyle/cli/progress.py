"""A progress bar: scale, step, loss, steps a second and time left; silent off a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from jaxstyle.pyramid import Scale
from jaxstyle.result import Progress as RunProgress


@contextmanager
def progress_bar(hidden: bool = False) -> Iterator[Callable[[RunProgress], None]]:
    """A bar on standard error while the block runs; what it yields takes every report of a run."""
    console = Console(stderr=True)
    columns = TextColumn("{task.fields[scale]}"), BarColumn(), TextColumn("{task.fields[text]}")
    disable = hidden or not console.is_terminal
    with Progress(*columns, console=console, disable=disable, transient=True) as bar:
        task = bar.add_task("", total=1.0, scale="compiling", text="")

        def update(progress: RunProgress) -> None:
            scale, report = progress.scales[progress.scale], progress.solver
            bar.update(
                task,
                completed=done_share(progress.scales, progress.scale, report.step),
                scale=f"{scale.width}x{scale.height} ({progress.scale + 1}/{len(progress.scales)})",
                text=_text(progress),
            )

        yield update


def _text(progress: RunProgress) -> str:
    report = progress.solver
    speed = report.step / report.seconds if report.seconds else 0.0
    return (
        f"step {report.step}/{report.steps}  loss {report.total:.4g}  "
        f"{speed:.1f} steps/s  {_clock(seconds_left(progress))} left"
    )


def seconds_left(progress: RunProgress) -> float:
    """From the speed of the current scale, taking time to be proportional to pixels."""
    scale, report = progress.scales[progress.scale], progress.solver
    per_work = report.seconds / (report.step * _pixels(scale))
    here = (report.steps - report.step) * _pixels(scale)
    later = sum(_pixels(s) * s.steps for s in progress.scales[progress.scale + 1 :])
    return per_work * (here + later)


def done_share(scales: list[Scale], index: int, step: int) -> float:
    """The share of the work done, pixels times steps, between 0 and 1."""
    work = [_pixels(scale) * scale.steps for scale in scales]
    done = sum(work[:index]) + _pixels(scales[index]) * step
    return done / (sum(work) or 1)


def _pixels(scale: Scale) -> int:
    return scale.height * scale.width


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
