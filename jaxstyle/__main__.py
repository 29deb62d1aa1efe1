"""The command line: ``python -m jaxstyle COMMAND``."""

import importlib
import os
import sys
from collections.abc import Sequence
from functools import partial
from types import ModuleType

from jaxstyle import __version__
from jaxstyle.cli.environment import check_xla_flags
from jaxstyle.cli.failures import exit_status
from jaxstyle.errors import did_you_mean
from jaxstyle.machine.command_line import Parser, open_streams
from jaxstyle.machine.host import collect_rarely, keep_memory
from jaxstyle.machine.resources import processors

COMMANDS = (
    *("run", "photo", "video", "sweep", "batch", "texture", "reconstruct", "score", "studio"),
    "presets",
)
"""The commands, each the name of a module in ``jaxstyle/cli``.

They are imported when called: JAX takes a second, and raises errors for variables it refuses.
"""


def main(arguments: Sequence[str] | None = None, *, own_process: bool = False) -> int:
    """Run one command and return its exit status.

    Args:
      arguments: the command and its arguments; those of the process if None.
      own_process: whether JAX has not been used in this process yet, so that its variables can be
        checked.

    Returns:
      0: done; 1: failed; 2: wrong usage; 130: interrupted by Ctrl-C; 128 + N: ended by signal N,
      such as 143 by SIGTERM.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    return exit_status(partial(_run, words, own_process), debug="--debug" in words)


def _run(words: list[str], own_process: bool) -> None:
    name = _command(words[:1])
    command = command_of(name)
    # Pictures and flags may come in any order (intermixed), which subparsers do not support.
    parsed = _parser_of(name).parse_intermixed_args(words[1:])
    if name != "presets":  # it alone computes nothing
        if own_process:
            check_xla_flags()
        _prepare()
        if own_process:
            collect_rarely()
    command.main(parsed)


def _prepare() -> None:
    from jaxstyle.cli.memory import check_start
    from jaxstyle.execution.compilation import persist, use_usual_rules

    check_start()
    use_usual_rules()
    persist()


def command_of(name: str) -> ModuleType:
    """Import the module of a command: it has ``HELP``, ``add_arguments`` and ``main``."""
    return importlib.import_module(f"jaxstyle.cli.{name}")


def _parser_of(name: str) -> Parser:
    command = command_of(name)
    parser = Parser(_elsewhere, prog=f"jaxstyle {name}", description=command.HELP)
    command.add_arguments(parser)
    return parser


def _elsewhere(flag: str) -> str:
    """Return which commands have a flag, as the end of an error about it."""
    having = [name for name in COMMANDS if flag in _parser_of(name).flags]
    return f": it is a flag of {', '.join(having)}" if having else ""


def _command(words: Sequence[str]) -> str:
    """Return the command named by the first word, or print help, or the version, and exit."""
    parser = _Overview(prog="jaxstyle", description="Neural style transfer in JAX.")
    parser.add_argument("--version", action="version", version=f"jaxstyle {__version__}")
    parser.add_argument("command", metavar="COMMAND")
    name = parser.parse_args(words).command
    if name not in COMMANDS:
        near = did_you_mean(name, COMMANDS) or f": there are {', '.join(COMMANDS)}"
        parser.error(f"there is no command {name!r}{near}")
    return name


class _Overview(Parser):
    def format_help(self) -> str:
        """Return the help with a line for each command."""
        lines = (f"  {name:12}{command_of(name).HELP}\n" for name in COMMANDS)
        more = "\n'jaxstyle COMMAND --help' lists its arguments\n"
        return f"{super().format_help()}\ncommands:\n{''.join(lines)}{more}"


def prepare_process() -> None:
    """Set what holds for the whole process, before JAX is imported."""
    keep_memory()
    # XLA starts a thread for each processor of the machine, whatever the quota of a container is.
    os.environ.setdefault("PJRT_NPROC", str(processors()))


def entry() -> None:
    """Run ``main`` as a process: the entry point of the shell command."""
    open_streams()
    prepare_process()
    status = main(own_process=True)
    sys.stdout.flush()
    sys.stderr.flush()
    if status:
        # Not sys.exit: it waits for a background compilation, or aborts if its thread is a daemon.
        os._exit(status)


if __name__ == "__main__":
    entry()
