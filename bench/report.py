"""Write BENCHMARKS.md and its plots from the records in bench/results."""

import argparse
import importlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import record
from jaxstyle.errors import UsageError

HELP = "Write BENCHMARKS.md and bench/plots from the records in bench/results."

TITLES = {
    "first-picture": "The first picture",
    "compile": "Compile time against run time",
    "speed": "Speed against the machine's limit",
    "peers": "Speed against PyTorch",
    "memory": "Memory, predicted and measured",
    "batch": "Many pictures",
    "cluster": "Many pictures on a cluster",
    "matting": "The photorealism loss",
    "watching": "A run that is watched in the studio",
    "video": "Clips that hold still",
    "tiles": "Any size",
    "split": "One picture over several devices",
    "tpu": "Predictions of the TPU compiler",
}
"""Titles of the sections, by command and in order."""

HEAD = """# Benchmarks

Measured by `python -m bench` on the machine named in each section; only `tpu` is computed.
`python -m bench COMMAND` measures the machine it runs on and saves a record in `bench/results`;
`python -m bench report` generates this page from the records. Times per step are medians, with the
compared programs timed in alternation. Races, and measurements that need a new process, were run
once or twice.
"""

DPI = 150

Record = dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    add, root = parser.add_argument, record.REPOSITORY
    add(
        "--results",
        type=Path,
        default=record.RESULTS,
        help="folder of the records (default: bench/results)",
    )
    add(
        "--output",
        type=Path,
        default=root / "BENCHMARKS.md",
        help="page to write (default: BENCHMARKS.md)",
    )
    add(
        "--plots",
        type=Path,
        default=root / "bench" / "plots",
        help="folder for the plots (default: bench/plots)",
    )


def main(arguments: argparse.Namespace) -> None:
    """Write the page and its plots.

    Raises:
      UsageError: there are no records, or matplotlib is not installed.
    """
    records = record.load_all(arguments.results)
    if not records:
        raise UsageError(f"{arguments.results} has no records: run a benchmark first")
    drawn = draw(records, arguments.plots)
    base = arguments.output.resolve().parent
    links = [path and Path(os.path.relpath(path.resolve(), base)).as_posix() for path in drawn]
    record.write(arguments.output, page(records, links))


def draw(records: Sequence[Record], folder: Path) -> list[Path | None]:
    """Draw the plot of each record; return the paths, None for records without a plot.

    Raises:
      UsageError: matplotlib is not installed.
    """
    try:
        plots = importlib.import_module("bench.plots")
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        raise UsageError("report needs matplotlib: pip install 'jaxstyle[bench]'") from error
    folder.mkdir(parents=True, exist_ok=True)
    return [_drawn(plots, each, folder) for each in records]


def _drawn(plots: Any, of: Record, folder: Path) -> Path | None:
    plot = plots.PLOTS.get(of["command"])
    figure = plot(of["rows"]) if plot else None
    if figure is None:
        return None
    path = folder / f"{of['command']}-{slug(of)}.png"
    figure.savefig(path, dpi=DPI)
    return path


def slug(of: Record) -> str:
    """Return the machine's name for a file name, so that the plots of two machines differ."""
    machine = of["machine"]
    name = machine["device"] if machine["platform"] != "cpu" else machine["cpu"]
    return "-".join("".join(c if c.isalnum() else " " for c in name.lower()).split())


def page(records: Sequence[Record], links: Sequence[str | None]) -> str:
    """Return the text of BENCHMARKS.md.

    Args:
      records: the records, in any order.
      links: for each record, the link to its plot, or None.
    """
    sections = [HEAD]
    for command, title in TITLES.items():
        of = [(r, link) for r, link in zip(records, links, strict=True) if r["command"] == command]
        if of:
            module = importlib.import_module(f"bench.{command.replace('-', '_')}")
            sections.append(f"## {title}\n\n{module.HELP}\n")
            sections += [section(each, link, module.table) for each, link in of]
    return "\n".join(sections)


def section(of: Record, link: str | None, table: Any) -> str:
    """Return the section of one record: machine, command, plot and tables."""
    picture = f"![{TITLES[of['command']]}]({link})\n\n" if link else ""
    return f"### {where(of['machine'])}\n\n{how(of)}\n\n{picture}{table(of['rows'])}\n"


def where(machine: dict[str, Any]) -> str:
    """Describe the machine in one line."""
    host = f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']:.0f} GiB"
    if machine["platform"] == "cpu":
        flags = ", ".join(machine["instructions"])
        return f"{host} ({flags})" if flags else host
    return f"{machine['devices']} x {machine['device']} ({host})"


def how(of: Record) -> str:
    """Return command, commit, date and versions in one line."""
    command = f"python -m bench {of['command']}"
    if of["arguments"].get("quick"):
        command += " --quick"
    if of["arguments"].get("split"):
        command += " --split"
    for name in ("memory_until", "time_until"):
        if of["arguments"].get(name):
            command += f" --{name.replace('_', '-')} {of['arguments'][name]}"
    for name in ("way", "topology"):
        command += "".join(f" --{name} {each}" for each in of["arguments"].get(name) or [])
    if of["arguments"].get("settings"):
        command += f' --settings "{of["arguments"]["settings"]}"'
    found = of["versions"]
    versions = ", ".join(
        f"{name} {found[name]}" for name in ("jax", "torch", "pymatting") if name in found
    )
    return f"`{command}`, commit {of['commit']}, {of['date'][:10]}, {versions}"
