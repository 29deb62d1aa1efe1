"""python -m jaxstyle COMMAND"""

import argparse
import os
import sys
from collections.abc import Sequence

from jaxstyle import __version__
from jaxstyle.cli import batch, photo, presets, reconstruct, run, score, sweep, texture
from jaxstyle.cli.failures import exit_status
from jaxstyle.cli.flags import Parser
from jaxstyle.execution.compilation import persist
from jaxstyle.network.machine import keep_memory

COMMANDS = {
    "run": run,
    "photo": photo,
    "sweep": sweep,
    "batch": batch,
    "texture": texture,
    "reconstruct": reconstruct,
    "score": score,
    "presets": presets,
}
"""A new command is one file in ``jaxstyle/cli`` and one entry here."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0, 1 (failed), 2 (wrong usage), 130 (interrupted by
    Ctrl-C) or 143 (told to end, by SIGTERM)."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    name = _parser().parse_args(arguments[:1]).command
    parser = Parser(prog=f"jaxstyle {name}", description=COMMANDS[name].HELP)
    COMMANDS[name].add_arguments(parser)
    # Intermixed: pictures and flags in any order, which subparsers cannot do.
    parsed = parser.parse_intermixed_args(arguments[1:])
    persist()
    return exit_status(COMMANDS[name].main, parsed)


def _parser() -> Parser:
    commands = "\n".join(f"  {name:10}{command.HELP}" for name, command in COMMANDS.items())
    parser = Parser(
        prog="jaxstyle",
        description="Neural style transfer in JAX.",
        epilog=f"commands:\n{commands}\n\n'jaxstyle COMMAND --help' says more",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"jaxstyle {__version__}")
    parser.add_argument("command", metavar="COMMAND", choices=COMMANDS)
    return parser


def entry() -> None:
    """What the shell calls."""
    keep_memory()
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    if status:
        os._exit(status)  # nothing is left to be done, and a compiler in the background would go on


if __name__ == "__main__":
    entry()
