"""The command line: ``python -m jaxstyle COMMAND``."""

import argparse
import os
import sys
from collections.abc import Sequence

from jaxstyle import __version__
from jaxstyle.cli import batch, photo, presets, reconstruct, run, score, sweep, texture
from jaxstyle.cli.failures import exit_status
from jaxstyle.cli.flags import Parser
from jaxstyle.cli.lenient import Lenient
from jaxstyle.cli.memory import check_start
from jaxstyle.execution.compilation import persist
from jaxstyle.network.machine import keep_memory
from jaxstyle.resources import processors

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
"""Commands by name. A new one is a module in ``jaxstyle/cli`` and an entry here."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    Returns:
      0: done; 1: failed; 2: wrong usage; 130: interrupted by Ctrl-C; 128 + N: ended by signal N,
      such as 143 by SIGTERM.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    name = _parser().parse_args(arguments[:1]).command
    parser = Parser(prog=f"jaxstyle {name}", description=COMMANDS[name].HELP)
    COMMANDS[name].add_arguments(parser)
    # Pictures and flags may come in any order (intermixed), which subparsers do not support.
    parsed = parser.parse_intermixed_args(arguments[1:])
    persist()

    def command(parsed: argparse.Namespace) -> None:
        if name != "presets":  # which computes nothing
            check_start()
        COMMANDS[name].main(parsed)

    return exit_status(command, parsed)


def _parser() -> Parser:
    commands = "\n".join(f"  {name:12}{command.HELP}" for name, command in COMMANDS.items())
    parser = Parser(
        prog="jaxstyle",
        description="Neural style transfer in JAX.",
        epilog=f"commands:\n{commands}\n\n'jaxstyle COMMAND --help' lists its arguments",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"jaxstyle {__version__}")
    parser.add_argument("command", metavar="COMMAND", choices=COMMANDS)
    return parser


def entry() -> None:
    """Run ``main`` as a process: the entry point of the shell command."""
    keep_memory()
    if sys.stderr:
        sys.stderr = Lenient(sys.stderr)
    # XLA starts a thread for each processor of the machine, whatever the quota of a container is.
    os.environ.setdefault("PJRT_NPROC", str(processors()))
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    if status:
        # Not sys.exit: it waits for a background compilation, or aborts if its thread is a daemon.
        os._exit(status)


if __name__ == "__main__":
    entry()
