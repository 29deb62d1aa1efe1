"""Command line of the benchmarks: python -m bench COMMAND measures and saves the rows as JSON."""

import argparse
import importlib
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from jaxstyle.cli.failures import exit_status
from jaxstyle.machine.command_line import Parser, one_of, open_streams
from jaxstyle.machine.host import keep_memory

COMMANDS = {
    "first-picture": "bench.first_picture",
    "compile": "bench.compile",
    "speed": "bench.speed",
    "memory": "bench.memory",
    "lives": "bench.lives",
    "peers": "bench.peers",
    "batch": "bench.batch",
    "cluster": "bench.cluster",
    "matting": "bench.matting",
    "watching": "bench.watching",
    "video": "bench.video",
    "tiles": "bench.tiles",
    "split": "bench.split",
    "tpu": "bench.tpu",
    "report": "bench.report",
}
"""Modules by command, imported only when called: some need optional packages (torch, ...)."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the same exit statuses as ``jaxstyle.__main__.main``."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    parser = Parser(prog="bench", description="Measure jaxstyle.", epilog="COMMAND --help: options")
    parser.add_argument("command", **one_of(COMMANDS))
    name = parser.parse_args(arguments[:1]).command
    module = importlib.import_module(COMMANDS[name])
    parser = Parser(prog=f"bench {name}", description=module.HELP)
    parser.add_argument(
        "--debug", action="store_true", help="show the traceback if an error occurs"
    )
    module.add_arguments(parser)
    if name == "report":
        parsed = parser.parse_args(arguments[1:])
        return exit_status(partial(module.main, parsed), parsed.debug)
    add_common(parser)
    parsed = parser.parse_args(arguments[1:])
    return exit_status(partial(run, name, parsed), parsed.debug)


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of all commands that measure."""
    add = parser.add_argument
    add(
        "--json",
        metavar="FILE",
        type=Path,
        help="file to write (default: bench/results/COMMAND-PLATFORM.json)",
    )
    add("--quick", action="store_true", help="trial run: tiny pictures and few channels")
    add("--weights", metavar="VGG19.h5", help="weights file written by convert_weights")


def run(name: str, arguments: argparse.Namespace) -> None:
    """Run a benchmark, print its table and save its record."""
    from bench import record

    module = importlib.import_module(COMMANDS[name])
    rows = module.measure(arguments, show)
    result = record.record(name, vars(arguments), rows)
    print(module.table(rows))
    if arguments.quick and not arguments.json:  # a trial must not overwrite a result
        return
    path = arguments.json or record.default_path(result)
    record.save(result, path)
    show(f"{path} written")


def show(line: str) -> None:
    """Print a line of progress to standard error, because standard output is for results."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    open_streams()
    keep_memory()
    sys.exit(main())
