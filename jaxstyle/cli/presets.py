"""The command ``jaxstyle presets [NAME]``."""

import argparse
import json
import shutil
import textwrap

from jaxstyle.cli.common import DEBUG_HELP
from jaxstyle.errors import SettingError, UsageError
from jaxstyle.presets import ALIASES, PRESETS, Preset
from jaxstyle.settings import resolve
from jaxstyle.settings.text import flags_of

HELP = "List the presets: their sources and what sets them apart, or all settings of one."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add = parser.add_argument
    add(
        "name",
        nargs="?",
        metavar="NAME",
        help="only this preset, with the settings it changes",
    )
    add("--json", action="store_true", help="print JSON, with the value of every setting")
    add("--debug", action="store_true", help=DEBUG_HELP)


def main(arguments: argparse.Namespace) -> None:
    """Print one preset or all of them."""
    try:
        names = [resolve(arguments.name).preset] if arguments.name else list(PRESETS)
    except SettingError as error:
        raise UsageError(error.problem) from None
    if arguments.json:
        print(json.dumps({name: as_json(name) for name in names}, indent=1))
    elif arguments.name:
        print(description(names[0]) + "\n" + what_is_set(PRESETS[names[0]]))
    else:
        print("\n\n".join(map(description, names)))
        print("\nFlags override the preset's settings; 'jaxstyle presets NAME' lists these.")


def description(name: str) -> str:
    """Return the lines about a preset: title, link, what sets it apart, kind of network."""
    preset = PRESETS[name]
    also = [alias for alias, meant in ALIASES.items() if meant == name]
    lines = [
        preset.title,
        preset.link,
        preset.differs,
        f"meant for the {preset.network} VGG-19",
        f"with the other kind add {flags_of(preset.equivalent)}" if preset.equivalent else "",
    ]
    head = name + (f" (also: {', '.join(also)})" if also else "")
    return "\n".join([head, *(_indented(line) for line in lines if line)])


def what_is_set(preset: Preset) -> str:
    """Return the settings that a preset changes, as flags."""
    return "\n".join(f"    {flags_of({name: value})}" for name, value in preset.settings.items())


def as_json(name: str) -> dict:
    """Return all data of a preset, with the value of every setting."""
    preset = PRESETS[name]
    return {**preset._asdict(), "settings": resolve(name).to_dict()}


def _indented(line: str) -> str:
    width = max(40, min(100, shutil.get_terminal_size().columns))
    return textwrap.fill(
        line,
        width,
        initial_indent="    ",
        subsequent_indent="    ",
        break_on_hyphens=False,
        break_long_words=False,
    )
