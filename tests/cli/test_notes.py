"""What is remarked on before a run, and whether its advice can be taken."""

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from convert_weights.weights_file import Weights
from jaxstyle.__main__ import main
from jaxstyle.cli import flags
from jaxstyle.cli.notes import network_note
from jaxstyle.network.weights import Loaded
from jaxstyle.presets import PRESETS
from jaxstyle.settings import resolve
from jaxstyle.settings.text import flags_of
from tests.cli import conftest as cli

NORMALIZED = Loaded(
    Weights({}, "BGR", 255.0, (0.0,) * 3, (1.0,) * 3, normalized=True), Path("a/vgg.h5"), "0"
)
ORIGINAL = replace(NORMALIZED, weights=replace(NORMALIZED.weights, normalized=False))


def note_of(settings, loaded):
    """The note about a network, or None."""
    (note,) = [*network_note(settings, loaded)] or [None]
    return note


def read(text):
    parser = flags.Parser(prog="test")
    flags.add_settings(parser)
    return flags.given_settings(parser.parse_args(shlex.split(text)))


@pytest.mark.parametrize("name", PRESETS)
def test_the_wrong_weights_alone_are_remarked_on_in_a_line(name):
    kind = PRESETS[name].network
    wrong = NORMALIZED if kind == "original" else ORIGINAL
    right = ORIGINAL if kind == "original" else NORMALIZED
    assert note_of(resolve(name), right) is None
    note = note_of(resolve(name), wrong)
    if kind == "any":
        assert note is None
        return
    assert note.isprintable()
    assert note.startswith(f"note: preset {name} is meant for the {kind} VGG-19")
    said = "vgg.h5 is normalized" if wrong is NORMALIZED else "vgg.h5 is not normalized"
    assert said in note


@pytest.mark.parametrize("name", [name for name, preset in PRESETS.items() if preset.equivalent])
def test_the_flags_advised_are_the_equivalent_and_silence_the_note(name):
    preset = PRESETS[name]
    wrong = NORMALIZED if preset.network == "original" else ORIGINAL
    given = read(note_of(resolve(name), wrong).partition(" effect add ")[2])
    assert set(given) == set(preset.equivalent)
    advised = resolve(name, **given)
    assert advised == resolve(name, **preset.equivalent)
    assert note_of(advised, wrong) is None
    assert note_of(replace(advised, style_weight=123.0), wrong)


def test_original_weights_can_be_normalized():
    note = note_of(resolve(), ORIGINAL)
    assert note.endswith("python -m convert_weights --normalize makes it so")


@pytest.mark.parametrize("name", PRESETS)
def test_what_a_preset_sets_can_be_written_as_flags(name):
    given = read(flags_of(PRESETS[name].settings))
    assert set(given) == set(PRESETS[name].settings)
    given = {"size_rule": resolve(name).size_rule, **given}
    assert replace(resolve(**given), preset=name) == resolve(name)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({}, ""),
        ({"style_weight": 1e6}, "--style-weight 1e+06"),
        ({"style_weight": 100000}, "--style-weight 100000"),
        ({"learning_rate": 1 / 3}, "--learning-rate 0.3333333333333333"),
        ({"clamp": True, "carry": False}, "--clamp --no-carry"),
        ({"steps": (5, 3), "style_scale": (0.5,)}, "--steps 5,3 --style-scale 0.5"),
        (
            {"content_layers": {"relu4_2": 1, "conv1_1": 0.5}},
            "--content-layers relu4_2,conv1_1=0.5",
        ),
        ({"style_layers": ("relu1_1", "pool1")}, "--style-layers relu1_1,pool1"),
        ({"init": "noise"}, "--init noise"),
    ],
)
def test_settings_as_they_are_typed(settings, text):
    assert flags_of(settings) == text
    assert resolve(**read(text)) == resolve(**settings)


OUT = "content.png style.png -o out.png"
IDLE = [
    (f"run {OUT} --optimizer lbfgs --betas 0.9,0.99", "--betas has no effect without --optimizer"),
    (f"run {OUT} --momentum 0.5", "--momentum has no effect without --optimizer sgd: leave it out"),
    (f"run {OUT} --preset keras --style-scale 2", "--style-scale has no effect with --style-fit"),
    (f"run {OUT} --guidance all --plan", "--guidance has no effect without masks"),
    (f"photo {OUT} --smooth-radius 0 --photorealism-weight 0 --smooth-edge 0.1", "--smooth-edge"),
    (f"photo {OUT} --method histogram --color-match pca", "--color-match is for --method"),
    (f"photo {OUT} --method color --weights v.h5", "--weights is for --method transfer, or"),
    ("photo content.png -o out.png --apply-map m.npz --full-size", "--full-size does not go with"),
    (f"sweep {OUT} --noise gaussian", "--noise has no effect without --init noise"),
    (f"sweep {OUT} --init noise --seeds 1,2 --seed 4", "--seed has no effect with a list of"),
    ("batch --contents content.png --styles style.png -o out --history 3", "--history has no eff"),
    ("batch --manifest jobs.csv -o out", "row 1: momentum: has no effect without --optimizer sgd"),
    ("batch --manifest good.csv -o out --pairs zip", "--pairs does not go with --manifest"),
    ("texture style.png -o out.png --shape 48x48 --size-rule own", "--size-rule does not go with"),
    ("texture style.png -o out.png --periodic --padding zeros", "--padding has no effect on such"),
    ("texture style.png -o out.png --init content", "--init has no effect on such a texture"),
    ("reconstruct content.png -o out.png --init content", "--init content would be the solution"),
    ("reconstruct content.png -o out.png --epsilon 1e-3", "--epsilon has no effect without"),
    ("score a.png --style style.png --content b.png --guidance all", "--guidance has no effect"),
]


def test_a_flag_without_effect_is_refused_before_anything_is_done(folder, refused):
    Path("jobs.csv").write_text("content,style,momentum\ncontent.png,style.png,0.5\n")
    Path("good.csv").write_text("content,style,seed\ncontent.png,style.png,1\n")
    for name in ("a.png", "b.png"):
        Path(name).write_bytes(Path("style.png").read_bytes())
    for line, said in IDLE:
        refused(line, 1 if "jobs.csv" in line else 2, said)


def test_a_flag_that_could_be_left_out_is_remarked_on(folder, capsys):
    more = ["--steps", "2,1,1", "--style-blend", "1", "--save-every", "100", "--tv-weight", "0"]
    assert main(["run", *cli.OUT, *cli.ONE_SCALE, *more, "--tv-loss", "total-variation-half"]) == 0
    *notes, _ = capsys.readouterr().err.splitlines()
    assert sorted(notes) == [
        "note: --save-every 100 saves no preview: the run has 2 steps",
        "note: --steps has more numbers than there are scales: the last have no effect",
        "note: --style-blend has no effect with one style picture",
        "note: --tv-loss has no effect with --tv-weight 0",
    ]
    assert main(["run", *cli.OUT, *cli.ONE_SCALE, *more, "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_flags_without_effect_on_a_plan_are_remarked_on(folder, capsys):
    flags = ["--timelapse", "t.webp", "--checkpoint-every", "9", "--resume"]
    assert main(["run", *cli.OUT, *cli.ONE_SCALE, "--plan", *flags]) == 0
    note = "note: with --plan, which runs nothing, --timelapse, --checkpoint-every, --resume has no"
    assert capsys.readouterr().err.splitlines()[0].startswith(note)


def test_what_a_recipe_holds_has_not_been_given(folder, capsys):
    assert (
        main(["run", *cli.OUT, *cli.ONE_SCALE, "--init-noise", "0.1", "--noise", "gaussian"]) == 0
    )
    capsys.readouterr()
    assert main(["run", "--from", "out.png", "-o", "b.png", "--init-noise", "0"]) == 0
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["run", "--from", "out.png", "-o", "b.png", "--momentum", "0.5"]) == 2
    assert "--momentum has no effect" in capsys.readouterr().err


def test_what_has_an_effect_in_one_cell_or_job_is_not_remarked_on(folder, capsys):
    sweep = ["sweep", *cli.OUT, *cli.ONE_SCALE, "--content-weight", "0,1", "--rows", "none"]
    assert main([*sweep, "--content-loss", "content"]) == 0
    assert "note: " not in capsys.readouterr().err
    Path("jobs.csv").write_text(
        "content,style,optimizer\ncontent.png,style.png,adam\ncontent.png,style.png,sgd\n"
    )
    batch = ["batch", "--manifest", "jobs.csv", "-o", "out", *cli.ONE_SCALE, "--momentum", "0.5"]
    assert main(batch) == 0
    assert "note: " not in capsys.readouterr().err
