"""The progress of a batch, as a table on the terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from jaxstyle.batch.task import Status
from jaxstyle.cli.progress import clock, done_share, sides_of


@contextmanager
def batch_table(hidden: bool = False) -> Iterator[Callable[[Status], None]]:
    """Show a table on standard error; yield a function to call with every status."""
    console = Console(stderr=True)
    if hidden or not console.is_terminal:
        yield lambda status: None
        return
    with Live(_table({"": "getting ready"}), console=console, transient=True) as live:
        yield lambda status: live.update(_table(rows(status)))


def rows(status: Status) -> dict[str, str]:
    """Return the text of each row of the table by the row's name."""
    ready = status.found + status.made + status.failed
    before = f", {status.found} of them by earlier runs" if status.found else ""
    return {
        "done": f"{status.found + status.made} of {status.total}{before}",
        "failed": str(status.failed),
        "left": str(status.total - ready),
        "running": _running(status),
        "speed": _speed(status),
        "waiting": f"{status.waited / (status.seconds or 1):.1%} of the time for files",
    }


def _running(status: Status) -> str:
    progress = status.running
    if not progress:
        return "getting ready"
    scale = progress.scales[progress.scale]
    return (
        f"{status.slots} of {sides_of(scale)}: scale {progress.scale + 1} of "
        f"{len(progress.scales)}, step {progress.step} of {progress.steps}"
    )


def _speed(status: Status) -> str:
    """Return the pictures per minute, counting the finished part of the running batch."""
    left = status.total - status.found - status.made - status.failed
    share = 0.0
    if progress := status.running:
        share = done_share(progress.scales, progress.scale, progress.step)
    running = min(left, share * status.slots)
    pace = (status.made + running) / (status.seconds or 1)
    if not pace:
        return "not known yet"
    return f"{60 * pace:.3g} pictures per minute, {clock((left - running) / pace)} left"


def _table(said: dict[str, str]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(overflow="ellipsis", no_wrap=True)
    for name, text in said.items():
        table.add_row(name, Text(text))
    return table
