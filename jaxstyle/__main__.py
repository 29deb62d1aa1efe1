"""python -m jaxstyle COMMAND"""

import sys
from collections.abc import Sequence

from jaxstyle import __version__
from jaxstyle.cli import run
from jaxstyle.cli.failures import exit_status
from jaxstyle.cli.flags import Parser

COMMANDS = {"run": run}
"""A new command is one file in ``jaxstyle/cli`` and one entry here."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0, 1 (failed), 2 (wrong usage) or 130 (interrupted)."""
    parser = Parser(prog="jaxstyle", description="Neural style transfer in JAX.")
    parser.add_argument("--version", action="version", version=f"jaxstyle {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        command.add_arguments(
            commands.add_parser(name, help=command.HELP, description=command.HELP)
        )
    namespace = parser.parse_args(arguments)
    return exit_status(COMMANDS[namespace.command].main, namespace)


if __name__ == "__main__":
    sys.exit(main())
