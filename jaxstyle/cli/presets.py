"""python -m jaxstyle presets [NAME]"""

import argparse
import json
import shutil
import textwrap

from jaxstyle.cli.notes import flags_of
from jaxstyle.errors import SettingError, UsageError
from jaxstyle.presets import ALIASES, PRESETS, Preset
from jaxstyle.settings import resolve

HELP = "List the presets: every known system, its source, and what it does differently."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Everything this command takes."""
    add = parser.add_argument
    add("name", nargs="?", metavar="NAME", help="one preset, with all that it sets")
    add("--json", action="store_true", help="print them as JSON, with every setting")
    add("--debug", action="store_true", help="show a traceback when something fails")


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
        print("\nA flag given beats the preset; 'jaxstyle presets NAME' lists what one sets.")


def description(name: str) -> str:
    """Title, link, what differs."""
    preset = PRESETS[name]
    also = [alias for alias, meant in ALIASES.items() if meant == name]
    lines = [
        preset.title,
        preset.link,
        preset.differs,
        f"meant for the {preset.network} VGG-19",
        f"with the other kind: {flags_of(preset.equivalent)}" if preset.equivalent else "",
    ]
    head = name + (f" (also: {', '.join(also)})" if also else "")
    return "\n".join([head, *(_indented(line) for line in lines if line)])


def what_is_set(preset: Preset) -> str:
    """The settings that are not the default's, as flags."""
    return "\n".join(f"    {flags_of({name: value})}" for name, value in preset.settings.items())


def as_json(name: str) -> dict:
    """Everything that is known of a preset."""
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
