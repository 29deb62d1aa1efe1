"""How far a batch is, as a small table that people watch."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table

from jaxstyle.batch.task import Status
from jaxstyle.cli.progress import clock, done_share, sides_of


@contextmanager
def batch_table(hidden: bool = False) -> Iterator[Callable[[Status], None]]:
    """A table on standard error while the block runs; what it yields takes every report."""
    console = Console(stderr=True)
    if hidden or not console.is_terminal:
        yield lambda status: None
        return
    with Live(_table({"": "getting ready"}), console=console, transient=True) as live:
        yield lambda status: live.update(_table(rows(status)))


def rows(status: Status) -> dict[str, str]:
    """What the table says, by the names of its rows."""
    ready = status.found + status.made + status.failed
    before = f", {status.found} of them before" if status.found else ""
    return {
        "done": f"{status.found + status.made} of {status.total}{before}",
        "failed": str(status.failed),
        "left": str(status.total - ready),
        "at work": _at_work(status),
        "speed": _speed(status),
        "waited": f"{status.waited / (status.seconds or 1):.1%} of the time for files",
    }


def _at_work(status: Status) -> str:
    """The batch that is running."""
    progress = status.running
    if not progress:
        return "getting ready"
    scale = progress.scales[progress.scale]
    return (
        f"{status.slots} of {sides_of(scale)}: scale {progress.scale + 1} of "
        f"{len(progress.scales)}, step {progress.step} of {progress.steps}"
    )


def _speed(status: Status) -> str:
    """Pictures a minute in this process, the batch at work for as much of it as is done."""
    left = status.total - status.found - status.made - status.failed
    share = 0.0
    if progress := status.running:
        share = done_share(progress.scales, progress.scale, progress.step)
    running = min(left, share * status.slots)
    pace = (status.made + running) / (status.seconds or 1)
    if not pace:
        return "not known yet"
    return f"{60 * pace:.3g} pictures a minute, {clock((left - running) / pace)} left"


def _table(said: dict[str, str]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(overflow="ellipsis", no_wrap=True)
    for name, text in said.items():
        table.add_row(name, text)
    return table
