"""Form fields made from the settings: one for each, in the groups of `jaxstyle.settings`."""

import typing
from collections.abc import Mapping, Sequence
from dataclasses import Field
from typing import Any

import gradio as gr
from gradio.components import Component

from jaxstyle.errors import SettingError
from jaxstyle.presets import PRESETS
from jaxstyle.settings import INITS, Settings, groups, resolve
from jaxstyle.settings.checks import bounds_of
from jaxstyle.settings.text import reader, written

IN_SIGHT = ("preset", "strength", "size")
"""Settings with a field of their own above the others."""

ELSEWHERE = ("content_mask", "style_mask", "auto_masks", "style_blend", "fine_style", "shard")
"""Settings that other parts of the page fill in, or that the page has no use for."""

CHOICES = {"init": INITS, "precision": ("auto", "float32", "bfloat16")}
"""Choices of settings that are more restricted here: no paths, nothing for the whole process."""

HINTS = typing.get_type_hints(Settings)

SEARCH = """(words) => {
  const wanted = words.toLowerCase().split(/\\s+/);
  for (const field of document.querySelectorAll(".more .setting")) {
    const text = field.textContent.toLowerCase();
    field.classList.toggle("out", !wanted.every((word) => text.includes(word)));
  }
  for (const group of document.querySelectorAll(".more .group")) {
    group.classList.toggle("out", !group.querySelector(".setting:not(.out)"));
  }
}"""
"""JavaScript that hides the fields whose label and help do not have all words."""


class Controls:
    """The form fields of all settings.

    Attributes:
      preset, strength, size: those in sight.
      names: the settings, in the order of ``fields``.
      fields: the form fields.
    """

    def __init__(self) -> None:
        usual = resolve()
        with gr.Row():
            self.strength = gr.Slider(
                0, 1, usual.strength, step=0.05, label="Strength", elem_id="strength",
                info="from the photo to the painting",
            )  # fmt: skip
        with gr.Row():
            bounds = bounds_of("size")
            self.size = gr.Number(
                usual.size, label="Size", info="pixels, longest side", elem_id="size",
                precision=0, minimum=bounds and bounds.low, maximum=bounds and bounds.high,
                min_width=120,
            )  # fmt: skip
            self.preset = gr.Dropdown(
                list(PRESETS), value="default", label="Preset", info="settings to start from",
                elem_id="preset", min_width=120,
            )  # fmt: skip
        self.names: list[str] = ["strength", "size"]
        self.fields: list[Any] = [self.strength, self.size]
        with gr.Accordion("More", open=False, elem_classes="more"):
            search = gr.Textbox(label="Search settings", placeholder="color, seed, layers, ...")
            search.input(None, search, None, js=SEARCH)
            for title, fields in groups().items():
                self._add_group(title, fields, usual)

    def _add_group(self, title: str, fields: Sequence[Field], usual: Settings) -> None:
        shown = [each for each in fields if each.name not in (*IN_SIGHT, *ELSEWHERE)]
        if not shown:
            return
        with gr.Group(elem_classes="group"):
            gr.HTML(f"<h3>{title}</h3>", apply_default_css=False)
            for each in shown:
                self.names.append(each.name)
                self.fields.append(_field(each, getattr(usual, each.name)))

    def values(self, settings: Settings) -> list[Any]:
        """Return what the fields show of settings, in their order."""
        return [as_shown(name, getattr(settings, name)) for name in self.names]


def given_of(preset: str, names: Sequence[str], values: Sequence[Any]) -> dict[str, Any]:
    """Return the settings that differ from those of a preset.

    Args:
      preset: name of the preset.
      names: the settings that have a field.
      values: what the fields show.

    Raises:
      SettingError: a text cannot be read.
    """
    usual = resolve(preset)
    found: dict[str, Any] = {"preset": preset}
    for name, value in zip(names, values, strict=True):
        if value != as_shown(name, getattr(usual, name)):
            found[name] = parsed(name, value)
    return found


def as_shown(name: str, value: Any) -> Any:
    """Return a setting's value as its form field has it: a truth, a number or text."""
    if name in CHOICES:
        return value if value in CHOICES[name] else CHOICES[name][0]
    if HINTS[name] is bool or _is_number(name):
        return value
    return written(value)


def parsed(name: str, shown: Any) -> Any:
    """Return a setting's value from what its form field has.

    Raises:
      SettingError: it cannot be read.
    """
    if shown is None:
        raise SettingError(name, "is empty: give a value")
    if not isinstance(shown, str):
        return int(shown) if HINTS[name] is int else shown
    if HINTS[name] not in (bool, int, float) and _choices(name):
        return shown
    try:
        return reader(HINTS[name])(shown)
    except ValueError as error:
        raise SettingError(name, str(error)) from None


def several(name: str, text: str) -> list[Any]:
    """Return the values of a setting in a text: separated by semicolons or, of numbers, commas.

    Raises:
      SettingError: one cannot be read.
    """
    lists = typing.get_origin(HINTS[name]) in (tuple, dict)
    parts = text.split(";" if lists or ";" in text else ",")
    values = [parsed(name, part.strip()) for part in parts if part.strip()]
    return [getattr(resolve(**{name: value}), name) for value in values]


def label(name: str) -> str:
    """Return a setting's name as words: "Style weight"."""
    return name.replace("_", " ").capitalize()


def _choices(name: str) -> tuple[str, ...]:
    found = next(each for each in _all_fields() if each.name == name).metadata["choices"]
    return CHOICES.get(name, found)


def _all_fields() -> list[Field]:
    return [each for fields in groups().values() for each in fields]


def _is_number(name: str) -> bool:
    return HINTS[name] in (int, float)


def _field(each: Field, value: Any) -> Component:
    """Return the form field of a setting."""
    common: Mapping[str, Any] = {
        "label": label(each.name),
        "info": each.metadata["help"],
        "elem_id": f"setting-{each.name}",
        "elem_classes": "setting",
        "value": as_shown(each.name, value),
    }
    if HINTS[each.name] is bool:
        return gr.Checkbox(**common)
    if choices := _choices(each.name):
        return gr.Dropdown(list(choices), **common)
    if _is_number(each.name):
        bounds = bounds_of(each.name)
        limits: dict[str, Any] = {"minimum": bounds.low, "maximum": bounds.high} if bounds else {}
        whole: dict[str, Any] = {"precision": 0} if HINTS[each.name] is int else {}
        return gr.Number(**common, **limits, **whole)
    return gr.Textbox(**common, max_lines=1)


def sweepable() -> list[tuple[str, str]]:
    """Return the settings a grid can go over: labels and names."""
    without = {*ELSEWHERE, "preset", "init", "tile"}
    return [(label(each.name), each.name) for each in _all_fields() if each.name not in without]
