"""The settings of a clip: what is taken, what is refused in one line, what presets say."""

import math
import re
from dataclasses import fields
from functools import partial

import numpy as np
import pytest

from jaxstyle.errors import SettingError
from jaxstyle.presets import ALIASES, PRESETS
from jaxstyle.settings import resolve
from jaxstyle.settings.clip import MOST_EARLIER, ClipSettings, resolve_clip
from tests.cases import for_each
from tests.settings.refusals import refusal

NUMBERS = {  # lowest and highest of what will do, and what is just outside
    "temporal_weight": (0, 1e15, -1e-9, 1.1e15),
    "later_steps": (0, 1_000_000, -1, 1_000_001),
    "passes": (1, 1000, 0, 1001),
}
EARLIER = (1, 1000, 0, 1001)


def taken(name, value):
    """What becomes of a value of a setting."""
    return getattr(resolve_clip(**{name: value}), name)


refused = partial(refusal, taken)


def test_every_setting_of_a_clip_is_tested_here():
    assert {each.name for each in fields(ClipSettings)} == {*NUMBERS, "earlier_frames"}


@for_each("name", NUMBERS)
def test_numbers_have_bounds_and_may_be_texts(name):
    low, high, below, beyond = NUMBERS[name]
    for value in (low, high):
        found = taken(name, value)
        assert found == taken(name, repr(value)) == value
        assert type(found) is type(getattr(ClipSettings(), name))
    for value in (below, beyond):
        bounds = rf"must be at least .* and at most .*, not {re.escape(repr(value))}"
        assert re.search(bounds, refused(name, value))
    for value in (math.nan, math.inf, "much", "", None, True, [], [1], {}, b"one", np.zeros(3)):
        refused(name, value)


@for_each("name", ["later_steps", "passes"])
def test_counts_are_whole_numbers(name):
    assert "must be a whole number, not 2.5" in refused(name, 2.5)
    found = taken(name, 3.0)
    assert (type(found), found) == (int, 3)


def test_earlier_frames_are_the_nearest_first_and_each_of_them_once():
    for value in ((1, 2, 4), [4, 1, 2], (2, 4, 1, 2, 4), ("4", 2.0, 1), [1, "2", 2, 4]):
        assert taken("earlier_frames", value) == (1, 2, 4)
    assert taken("earlier_frames", 1) == taken("earlier_frames", "1") == (1,)
    assert {type(each) for each in taken("earlier_frames", (2.0, "1"))} == {int}


def test_earlier_frames_have_bounds():
    low, high, below, beyond = EARLIER
    assert taken("earlier_frames", (high, low)) == (low, high)
    for value in (below, beyond, -1, 1.5, math.nan, None, True, "x", b"x", {}, object()):
        for given in (value, (1, value)):
            refused("earlier_frames", given)
    refused("earlier_frames", (1, [2]))


def test_there_is_at_least_one_earlier_frame_and_not_too_many():
    most = tuple(range(1, MOST_EARLIER + 1))
    assert taken("earlier_frames", (*most, *most)) == most
    counts = f"needs 1 to {MOST_EARLIER} different numbers, not"
    assert f"{counts} {MOST_EARLIER + 1}" in refused("earlier_frames", (*most, MOST_EARLIER + 1))
    for value in ((), []):
        assert f"{counts} 0" in refused("earlier_frames", value)


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(SettingError, match="temporal_wieght: no such setting: did you mean temp"):
        resolve_clip(temporal_wieght=3)
    with pytest.raises(SettingError, match="^size: no such setting$"):
        resolve_clip(size=512)  # that of a frame


def test_without_a_preset_of_their_own_clips_have_the_defaults():
    assert resolve_clip() == resolve_clip("default") == ClipSettings()
    assert resolve_clip("gatys-2016") == ClipSettings()
    assert resolve_clip(passes=2) == ClipSettings(passes=2)


@for_each("name", [*PRESETS, *ALIASES])
def test_what_presets_say_of_clips_can_be_used_and_given_otherwise(name):
    own = PRESETS[ALIASES.get(name, name)].clip
    found = resolve_clip(name)
    assert {key: getattr(found, key) for key in own} == own
    assert resolve_clip(name, **own) == found
    assert resolve_clip(name, later_steps=17).later_steps == 17


def test_the_preset_ruder_is_the_authors_program():
    """The defaults of artistic_video.lua; the rest is that of neural-style, which it began as."""
    clip, frame, plain = resolve_clip("ruder"), resolve("ruder"), resolve("neural-style")
    assert (clip.temporal_weight, clip.earlier_frames, clip.later_steps) == (1000, (1,), 1000)
    assert clip.passes == 1
    assert (frame.white, frame.optimizer) == (256, "lbfgs")  # that is what both multiply images by
    assert (frame.steps, frame.tolerance) == ((2000,), 4e-5)
    changed = {
        name
        for name, value in frame.to_dict().items()
        if value != plain.to_dict()[name] and name != "preset"
    }
    assert changed == {"steps", "tolerance"}


@for_each(("passes", "held"), [(1, [1]), (2, [2]), (5, [3, 4, 5]), (15, list(range(8, 16)))])
def test_the_temporal_loss_counts_in_the_second_half_of_the_passes(passes, held):
    """Of 15 from the eighth on, as in the paper."""
    clip = resolve_clip(passes=passes, temporal_weight=7.0)
    weights = {number: clip.weight_in(number) for number in range(1, passes + 1)}
    assert weights == {number: 7.0 if number in held else 0.0 for number in weights}


def test_the_frame_before_is_always_among_the_earlier_ones():
    assert "must have 1 among them" in refused("earlier_frames", (2, 4))
