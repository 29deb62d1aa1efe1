"""BENCHMARKS.md and its plots, from the records in bench/results."""

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
    "compile": "Compile time against run time",
    "speed": "Speed against the machine's limit",
    "peers": "Speed against PyTorch",
    "memory": "Memory, predicted and measured",
    "batch": "Many pictures",
    "matting": "The photorealism loss",
    "tiles": "Any size",
    "split": "One picture over several devices",
    "tpu": "What the TPU compiler says",
}
"""Of the sections, by command, in their order."""

HEAD = """# Benchmarks

Measured by `python -m bench`, on the machines named in each section; `tpu` alone is computed.
`python -m bench COMMAND` measures another machine and leaves a record in `bench/results`, and
`python -m bench report` makes this page of the records there. Times of steps are medians, and what
is compared took turns; races, and what takes a new process, were run once or twice.
"""

DPI = 150

Record = dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What this command takes."""
    add, root = parser.add_argument, record.REPOSITORY
    add("--results", type=Path, default=record.RESULTS, help="default: bench/results")
    add("--output", type=Path, default=root / "BENCHMARKS.md", help="default: BENCHMARKS.md")
    add("--plots", type=Path, default=root / "bench" / "plots", help="default: bench/plots")


def main(arguments: argparse.Namespace) -> None:
    """Write the page and its plots.

    Raises:
      UsageError: there is nothing to report, or no matplotlib.
    """
    records = record.load_all(arguments.results)
    if not records:
        raise UsageError(f"{arguments.results} has no records: measure something first")
    drawn = draw(records, arguments.plots)
    base = arguments.output.resolve().parent
    links = [path and Path(os.path.relpath(path.resolve(), base)).as_posix() for path in drawn]
    record.write(arguments.output, page(records, links))


def draw(records: Sequence[Record], folder: Path) -> list[Path | None]:
    """The plot of each record, or None where there is nothing to draw.

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
    """What tells the plots of two machines apart."""
    machine = of["machine"]
    name = machine["device"] if machine["platform"] != "cpu" else machine["cpu"]
    return "-".join("".join(c if c.isalnum() else " " for c in name.lower()).split())


def page(records: Sequence[Record], links: Sequence[str | None]) -> str:
    """The whole of BENCHMARKS.md."""
    sections = [HEAD]
    for command, title in TITLES.items():
        of = [(r, link) for r, link in zip(records, links, strict=True) if r["command"] == command]
        if of:
            module = importlib.import_module(f"bench.{command}")
            sections.append(f"## {title}\n\n{module.HELP}\n")
            sections += [section(each, link, module.table) for each, link in of]
    return "\n".join(sections)


def section(of: Record, link: str | None, table: Any) -> str:
    """One record: where it was measured, its plot, its tables."""
    picture = f"![{TITLES[of['command']]}]({link})\n\n" if link else ""
    return f"### {where(of['machine'])}\n\n{how(of)}\n\n{picture}{table(of['rows'])}\n"


def where(machine: dict[str, Any]) -> str:
    """The machine in a line."""
    host = f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']:.0f} GiB"
    if machine["platform"] == "cpu":
        flags = ", ".join(machine["instructions"])
        return f"{host} ({flags})" if flags else host
    return f"{machine['devices']} x {machine['device']} ({host})"


def how(of: Record) -> str:
    """Command, commit, day and versions in a line."""
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
