"""The command of a recipe: what the real parsers make of it is the recipe again."""

import dataclasses
import functools
import random
import shlex
from dataclasses import replace

import numpy as np
import optax
import pytest

from jaxstyle.cli import photo, run, texture
from jaxstyle.cli.flags import Parser, given_settings
from jaxstyle.errors import SettingError
from jaxstyle.presets import PRESETS
from jaxstyle.runs.canvas import ABOUT_CONTENT, check_given, on_canvas
from jaxstyle.runs.recipe import Recipe
from jaxstyle.settings import Settings, resolve
from jaxstyle.settings.effect import ABOUT_PHOTOS, check_effects
from tests.cases import for_each

COMMANDS = {"run": run, "photo": photo, "texture": texture}
PREFIX = ["python", "-m", "jaxstyle"]
FIELDS = {field.name: field for field in dataclasses.fields(Settings) if field.name != "preset"}

VALUES = {
    "size": [300, 512, 256],
    "steps": [7, (30, 20, 10)],
    "smallest_size": [64, 512],
    "scale_factor": [2**0.5, 2],
    "strength": [0, 0.3, 1 / 3],
    "content_weight": [0, 1, 1e-3],
    "style_weight": [1e6, 123456.789],
    "tv_weight": [0, 1e-15],
    "content_factors": [(1, 0.5), 1],
    "content_layers": [["relu4_2", "relu5_2"], {"relu5_2": 0.5, "relu4_2": 1}],
    "style_layers": [{"relu2_1": 1 / 7, "relu1_1": 3}, "pool4"],
    "style_scale": [0.5, (1, 2)],
    "style_blend": [(), (0.3, 0.7)],
    "fine_style": ["", "fine art.png"],
    "content_mask": [[], ["sky, blue.png", "a'b.png"]],
    "style_mask": [[], ["-m.png", "$HOME.png"]],
    "auto_masks": [0, 4],
    "photorealism_weight": [0, (1e4, 10)],
    "smooth_radius": [0, 15],
    "smooth_edge": [0.01, 0.2],
    "network_white": [255, 256],
    "network_mean": [(), (0.1, 0.2, 0.3)],
    "init": ["content", "noise", "colors", "-my start.png", "a;b.png"],
    "init_noise": [0, 0.25],
    "noise_level": [0.25, 0.1],
    "seed": [0, 2**32 - 1],
    "learning_rate": [None, 0.1, 1e-7],
    "learning_rate_decay": [1, 0.96 ** (1 / 100)],
    "pyramid_levels": [1, 4],
    "betas": [(0.5, 0.95), (0.9, 0.999)],
    "epsilon": [1e-8, 0.1],
    "momentum": [0.9, 0.5],
    "history": [None, 5],
    "white": [1, 255],
    "average": [0, 0.99],
    "tolerance": [0, 1e-4],
    "tile": ["auto", "off", "512"],
}


def parsed(command):
    """The recipe that a command makes, and the names of the settings that it gives."""
    words = shlex.split(command)
    assert words[:3] == PREFIX
    arguments = parser_of(words[3]).parse_intermixed_args(words[4:])
    assert str(arguments.output) == "out.png"
    return COMMANDS[words[3]].job_of(arguments), given_settings(arguments)


@functools.cache
def parser_of(command):
    """The parser of a command."""
    parser = Parser(prog="test")
    COMMANDS[command].add_arguments(parser)
    return parser


def random_value(dice, name):
    """A value of a setting, which may be the default."""
    default = FIELDS[name].default
    truths = [True, False] if isinstance(default, bool) else []
    return dice.choice(VALUES.get(name) or truths or FIELDS[name].metadata["choices"])


@for_each("name", PRESETS)
def test_the_command_of_a_preset_names_it_and_no_other_setting(name):
    recipe = Recipe("a.png", ("b.png",), resolve(name))
    assert recipe.command("out.png") == (
        f"python -m jaxstyle run a.png b.png -o out.png --preset {name}"
    )
    assert parsed(recipe.command("out.png"))[0] == recipe


@for_each("name", PRESETS)
def test_the_command_of_any_settings_gives_exactly_these(name):
    dice = random.Random(name)
    for _ in range(40):
        names = dice.sample(list(FIELDS), dice.randint(1, 8))
        chosen = {each: random_value(dice, each) for each in names}
        settings = resolve(name, **chosen)
        found, given = parsed(Recipe("a.png", ("b.png",), settings).command("out.png"))
        check_effects([settings], given, 1)  # none is refused
        try:
            check_effects([settings], [each for each in FIELDS if differs(settings, each)], 1)
        except SettingError:  # what has no effect is left out
            used = {each: getattr(settings, each) for each in given}
            assert found.settings == resolve(**used | {"preset": name}), chosen
        else:
            assert repr(found.settings) == repr(settings), chosen


@for_each("name", PRESETS)
def test_the_command_of_a_texture_gives_the_same_settings_on_its_canvas(name):
    dice, style = random.Random(name), np.zeros((64, 48, 3), np.float32)
    for _ in range(20):
        names = dice.sample([each for each in FIELDS if each not in ABOUT_PHOTOS], 6)
        settings = resolve(name, **{each: random_value(dice, each) for each in names})
        shape, periodic = dice.choice([None, (64, 96)]), dice.choice([True, False])
        made = Recipe("", ("b.png",), settings, shape=shape, periodic=periodic)
        found, given = parsed(made.command("out.png"))
        assert (found.shape, found.periodic, found.kind) == (shape, periodic, "texture")
        if shape:
            try:
                _, used = on_canvas([style], shape, periodic, settings)
            except SettingError:  # such as two scales for one style
                continue
            _, again = on_canvas([style], shape, periodic, found.settings)
            check_given(given, shape, 1, found.settings, again)  # none is refused
            differing = [each for each in FIELDS if getattr(used, each) != getattr(again, each)]
            for each in differing:
                assert each in ABOUT_CONTENT or idle(used, each), (each, settings)


def idle(settings, name):
    """Whether a setting would be refused beside the others."""
    try:
        check_effects([settings], [name], 1)
    except SettingError:
        return True
    return False


def differs(settings, name):
    """Whether a setting is another one than the preset's."""
    return getattr(settings, name) != getattr(resolve(settings.preset), name)


@for_each(
    ("settings", "flags"),
    [
        # A size is the longest side, unless a rule is given.
        (resolve("keras", size=300), "--size 300"),
        (resolve("keras", size=300, size_rule="height"), "--size 300 --size-rule height"),
        (resolve("keras", size_rule="longest"), "--size-rule longest"),
        # Another optimizer has a learning rate of its own.
        (resolve("keras", optimizer="adam"), "--optimizer adam"),
        (
            resolve("keras", optimizer="adam", learning_rate=100),
            "--optimizer adam --learning-rate 100",
        ),
        (resolve("keras", learning_rate=None), "--learning-rate ''"),
        # What would be refused has no effect.
        (resolve(size_rule="own", size=300), "--size-rule own"),
        (resolve(optimizer="lbfgs", betas=(0.9, 0.99)), "--optimizer lbfgs"),
        # The order of layers is that of sums.
        (
            resolve("gatys-2016", style_layers=[f"relu{n}_1" for n in (5, 4, 3, 2, 1)]),
            "--style-layers relu5_1,relu4_1,relu3_1,relu2_1,relu1_1",
        ),
        (
            resolve(content_mask=["sky, blue.png", "b.png"], style_mask="-m.png"),
            "--content-mask 'sky, blue.png' --content-mask b.png --style-mask=-m.png",
        ),
        (resolve("photo", refine=False, clamp=False), None),
    ],
)
def test_the_flags_are_those_that_are_needed(settings, flags):
    command = Recipe("a.png", ("b.png",), settings).command("out.png")
    if flags is not None:
        assert command.partition(f" --preset {settings.preset} ")[2] == flags
    assert given_of(command) == parsed(command)[0].settings


def given_of(command):
    """The settings of a command's flags."""
    return resolve(**parsed(command)[1])


def test_pictures_bits_weights_and_full_size_are_there():
    recipe = Recipe(
        "my photo.png", ("-b.png", "c&d.png"), resolve("photo"), "my vgg.h5", 16, full_size=True
    )
    command = recipe.command("out.png")
    assert command == (
        "python -m jaxstyle photo 'my photo.png' ./-b.png 'c&d.png' -o out.png --full-size "
        "--bits 16 --weights 'my vgg.h5' --preset photo"
    )
    assert parsed(command)[0] == replace(recipe, styles=("./-b.png", "c&d.png"))


def test_a_transformation_of_ones_own_is_refused():
    recipe = Recipe("a.png", ("b.png",), resolve("keras", optimizer=optax.adam(0.1)))
    with pytest.raises(SettingError, match="stands for an Optax transformation"):
        parsed(recipe.command("out.png"))
