"""The progress of a batch: a table on a terminal, else a line once a minute."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from jaxstyle.batch.folder import Status
from jaxstyle.cli.common import tell_user
from jaxstyle.cli.progress import sides_of
from jaxstyle.machine.words import clock

EVERY = 60.0
"""Seconds between two lines where there is no terminal, as in the log of a cluster's job."""


SHOWN = 4
"""Number of batches of a cluster that are named."""


@contextmanager
def batch_progress(hidden: bool = False) -> Iterator[Callable[[Status], None]]:
    """Show progress on standard error; yield a function to call with every status."""
    console = Console(stderr=True)
    if hidden:
        yield lambda status: None
    elif console.is_terminal:
        with Live(_table({"": "getting ready"}), console=console, transient=True) as live:
            yield lambda status: live.update(_table(rows(status)))
    else:
        yield _lines()


def rows(status: Status) -> dict[str, str]:
    """Return the text of each row of the table by the row's name."""
    before = f", {status.found} of them by earlier runs" if status.found else ""
    return {
        "done": f"{status.found + status.made} of {status.total}{before}",
        "failed": str(status.failed),
        "left": str(status.left),
        **(_workers(status) if status.members or status.lost else {"running": _running(status)}),
        "speed": _speed(status),
        "waiting": f"{status.waited / (status.capacity or 1):.1%} of the time for files",
    }


def _lines() -> Callable[[Status], None]:
    """Return a function that tells a line of progress, but not more often than ``EVERY``."""
    last = time.monotonic()

    def show(status: Status) -> None:
        nonlocal last
        if time.monotonic() - last >= EVERY:
            last = time.monotonic()
            said = rows(status)
            named = (f"{name} {said[name]}" for name in ("failed", "workers") if name in said)
            tell_user(", ".join([f"{said['done']} done", *named, said["speed"]]))

    return show


def _workers(status: Status) -> dict[str, str]:
    """Return the rows about the workers of a cluster."""
    kinds = Counter(member.devices for member in status.members)
    devices = ", ".join(f"{count} with {kind}" for kind, count in kinds.items())
    lost = f"; {status.lost} lost" if status.lost else ""
    names = [a.task.name for member in status.members for a in member.busy.values()]
    return {
        "workers": (devices or "none: waiting for one") + lost,
        "running": ", ".join(names[:SHOWN]) or "nothing",
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
    """Return the pictures per hour, counting the finished part of the running batch."""
    left = status.left
    share = status.running.share if status.running else 0.0
    running = min(left, share * status.slots)
    pace = (status.made + running) / (status.seconds or 1)
    if not pace:
        return "not known yet"
    return f"{3600 * pace:.4g} pictures per hour, {clock((left - running) / pace)} left"


def _table(said: dict[str, str]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(overflow="ellipsis", no_wrap=True)
    for name, text in said.items():
        table.add_row(name, Text(text))
    return table
