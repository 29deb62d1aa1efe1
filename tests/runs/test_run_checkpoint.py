"""A run that is stopped and gone on with makes the same picture as one that is not, to the byte."""

import itertools
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import jax
import numpy as np
import optax
import pytest

from jaxstyle import images, resolve
from jaxstyle.errors import CheckpointError
from jaxstyle.images import Picture
from jaxstyle.optim import solve
from jaxstyle.presets.preset import PIXELS
from jaxstyle.runs import checkpoint
from jaxstyle.runs.inputs import Inputs
from jaxstyle.runs.optimize import Hooks
from jaxstyle.runs.run_checkpoint import RunCheckpoint, differences, fingerprint
from jaxstyle.runs.stylize import run

SHALLOW = {"content_layers": ["relu1_2"], "style_layers": ["relu1_1"]}
QUICK = {"size": 64, "smallest_size": 32, "steps": (3, 2), **SHALLOW}


@pytest.fixture
def pictures(picture):
    return np.asarray(picture(0, 45, 64)), np.asarray(picture(1, 40, 40))


@pytest.fixture
def made(pictures, small_weights):
    """A function from settings, and what else a run takes, to its result."""
    content, style = pictures

    def make(settings, report=lambda progress, saved: None, saved=None, every=None):
        inputs = Inputs(Picture(content), [style], settings)
        return run(small_weights, inputs, Hooks(report, every=every), saved)

    return make


def kept_at_reports(made, settings, directory, wanted=range(100), every=None):
    """What a run keeps after its reports of these numbers, by number, and its result."""
    kept, reports = {}, itertools.count()

    def keep(progress, saved):
        number = next(reports)
        if number in wanted:
            checkpoint.save(directory / str(number), saved.to_tree())
            kept[number] = directory / str(number)

    result = made(settings, keep, every=every)
    return kept, result


def assert_same(found, expected):
    """The pictures are, and so is the record but for the time it took."""
    assert found.image.tobytes() == expected.image.tobytes()
    assert found.losses == expected.losses
    assert [(s.height, s.width, s.steps) for s in found.scales] == [
        (s.height, s.width, s.steps) for s in expected.scales
    ]


RUNS = {
    "adam": {},
    "adam-carry": {
        "carry": True,
        "average": 0.9,
        "keep_best": True,
        "init_noise": 0.3,
        "seed": 5,
        "clamp": False,
        "learning_rate": 0.3,  # up and down
    },
    "lbfgs": {"optimizer": "lbfgs", "history": 3, "smallest_size": 64, "steps": (3,)},
    "neighbors": {
        "style_loss": "neighbors",
        "last_style_loss": "neighbors-split",
        "content_loss": "self-similarity",
        "steps": (2, 2, 2),
    },
}


@pytest.mark.parametrize("name", RUNS)
def test_resuming_from_any_report_gives_the_same_bytes(made, tmp_path, name):
    """From the first one, from both sides of the border between scales, and from the last one."""
    settings = resolve(**{**QUICK, **RUNS[name]})
    untouched = made(settings)
    kept, result = kept_at_reports(made, settings, tmp_path)
    assert_same(result, untouched)
    reports = [(record["scale"], record["step"]) for record in untouched.losses]
    assert len(kept) == len(reports) == sum(settings.steps)
    for number, directory in kept.items():
        saved = RunCheckpoint.from_tree(checkpoint.load(directory), settings)
        assert (saved.scale, saved.reached.step) == reports[number]
        assert_same(made(settings, saved=saved), untouched)


def test_a_resumed_run_stops_early_at_the_same_step(made, tmp_path):
    """Both scales end where the second twenty steps have gained too little."""
    settings = resolve(
        **{**QUICK, "steps": (60, 50)}, **PIXELS, init="content", style_weight=5, tolerance=0.45
    )
    untouched = made(settings)
    assert [scale.steps for scale in untouched.scales] == [41, 41]
    kept, _ = kept_at_reports(made, settings, tmp_path, wanted=(39, 40, 62))
    for number, directory in kept.items():
        saved = RunCheckpoint.from_tree(checkpoint.load(directory), settings)
        assert saved.reached.courses[0].over == (number == 40)
        assert_same(made(settings, saved=saved), untouched)


def test_a_resumed_run_does_not_repeat_finished_scales(made, tmp_path, monkeypatch):
    settings = resolve(**QUICK)
    kept, _ = kept_at_reports(made, settings, tmp_path)
    compile_program, seen, compiled = solve.Program.compile, [], []

    def watched(self, scored, rates, state):
        compiled.append(state.image.shape)
        return compile_program(self, scored, rates, state)

    monkeypatch.setattr(solve.Program, "compile", watched)
    saved = RunCheckpoint.from_tree(checkpoint.load(kept[3]), settings)
    made(settings, lambda progress, saved: seen.append((progress.scale, progress.step)), saved)
    assert seen == [(1, 2)]
    assert compiled == [(45, 64, 3)]


class Stopped(Exception):
    """What ends a run in these tests."""


def stopped(made, settings, directory, at):
    """Run up to a report, keep that, and stop; whether there was such a report."""
    left = [at]

    def keep(progress, saved):
        left[0] -= 1
        if not left[0]:
            checkpoint.save(directory, saved.to_tree())
            raise Stopped

    tree = checkpoint.load(directory)
    saved = RunCheckpoint.from_tree(tree, settings) if tree else None
    try:
        made(settings, keep, saved)
    except Stopped:
        return True
    return False


def test_a_run_can_be_interrupted_repeatedly(made, tmp_path):
    settings = resolve(**QUICK, average=0.5)
    stops = 0
    while stopped(made, settings, tmp_path / "kept", at=1):
        stops += 1
    assert stops == 5
    saved = RunCheckpoint.from_tree(checkpoint.load(tmp_path / "kept"), settings)
    result = made(settings, saved=saved)
    assert_same(result, made(settings))
    assert result.seconds > saved.seconds > 0
    assert all(scale.run_seconds > 0 for scale in result.scales)


def test_a_halved_learning_rate_stays_halved(made, tmp_path, monkeypatch):
    """A step that is not finite in the first scale, before the report that is kept."""
    program = solve.Program.__call__

    def sabotaged(self, scored, rates, state, count):
        after, losses = program(self, scored, rates, state, count)
        if state.image.shape[1] == 32 and state.step >= 1 and rates.learning_rate > 0.015:
            losses = replace(losses, finite=np.array(False))
        return after, losses

    monkeypatch.setattr(solve.Program, "__call__", sabotaged)
    settings = resolve(**QUICK, schedule="constant")
    untouched = made(settings)
    rates = [record["learning_rate"] for record in untouched.losses]
    np.testing.assert_allclose(rates, [0.02, 0.01, 0.01, 0.02, 0.02])
    kept, _ = kept_at_reports(made, settings, tmp_path)
    for directory in kept.values():
        saved = RunCheckpoint.from_tree(checkpoint.load(directory), settings)
        assert_same(made(settings, saved=saved), untouched)


def test_the_fine_style_is_not_mixed_again(made, picture, tmp_path, monkeypatch):
    """Two reports of the style picture, and three of the picture itself."""
    images.write(tmp_path / "fine.png", Picture(np.asarray(picture(2, 48, 48))))
    settings = resolve(**{**QUICK, "steps": (2, 1)}, fine_style=str(tmp_path / "fine.png"))
    untouched = made(settings)
    kept, result = kept_at_reports(made, settings, tmp_path)
    assert_same(result, untouched)
    for number, directory in kept.items():
        seen: list[bool] = []
        saved = RunCheckpoint.from_tree(checkpoint.load(directory), settings)
        assert saved.preparing == (number < 2)
        assert len(saved.mixtures) == (number >= 2)
        assert_same(made(settings, partial(noted, seen), saved), untouched)
        assert seen == [progress < 2 for progress in range(number + 1, 5)]


def noted(seen, progress, saved):
    """Note whether a report is of a style picture that is being prepared."""
    seen.append(progress.preparing)


def test_a_run_with_rare_reports_resumes_with_the_same_reports(made, tmp_path):
    settings = resolve(**{**QUICK, "steps": (7, 3)})
    kept, untouched = kept_at_reports(made, settings, tmp_path, every=3)
    saved = [
        RunCheckpoint.from_tree(checkpoint.load(directory), settings) for directory in kept.values()
    ]
    assert [(s.scale, s.reached.step) for s in saved] == [(0, 3), (0, 6), (0, 7), (1, 3)]
    assert_same(made(settings, every=3, saved=saved[0]), untouched)


class Transformations(NamedTuple):
    """Two optimizers, of which the first is checkpointed."""

    saved: optax.GradientTransformation
    other: optax.GradientTransformation


@pytest.mark.parametrize(
    "each",
    [
        Transformations(optax.adam(optax.cosine_decay_schedule(0.02, 5)), optax.sgd(0.1)),
        Transformations(optax.chain(optax.add_noise(0.1, 0.5, 0), optax.sgd(0.1)), optax.sgd(0.1)),
        Transformations(
            optax.chain(optax.add_noise(0.1, 0.5, jax.random.key(0, impl="rbg")), optax.sgd(0.1)),
            optax.sgd(0.1),
        ),
    ],
    ids=["schedule", "random keys", "other random keys"],
)
def test_optax_transformations_resume_and_another_one_is_refused(made, tmp_path, each):
    settings = resolve(**QUICK, optimizer=each.saved)
    kept, untouched = kept_at_reports(made, settings, tmp_path, wanted=(1,))
    tree = checkpoint.load(kept[1])
    assert_same(made(settings, saved=RunCheckpoint.from_tree(tree, settings)), untouched)
    with pytest.raises(CheckpointError, match="another optimizer"):
        RunCheckpoint.from_tree(tree, resolve(**QUICK, optimizer=each.other))


def test_a_run_that_has_not_begun_cannot_be_saved():
    with pytest.raises(ValueError, match="has not begun"):
        RunCheckpoint().to_tree()


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, []),
        ({"style_weight": 8.0}, ["style_weight"]),
        ({"seed": 1, "steps": (3, 3)}, ["steps", "seed"]),
        ({"preset": "texture"}, None),
        ({"original_colors": True}, []),
    ],
)
def test_a_fingerprint_has_the_settings(small_weights, pictures, given, named):
    content, style = pictures
    before = fingerprint(small_weights, content, [style], resolve(**QUICK))
    after = fingerprint(small_weights, content, [style], resolve(**{**QUICK, **given}))
    found = differences(before, after)
    assert "preset" not in found
    assert found == named or (named is None and found)


def test_a_fingerprint_has_pictures_and_weights(small_weights, pictures, picture, tmp_path):
    content, style = pictures

    def found(loaded=small_weights, content=content, styles=(style,), **given):
        settings = resolve(**QUICK, init=str(tmp_path / "start.png"))
        return fingerprint(loaded, content, list(styles), settings)

    images.write(tmp_path / "start.png", Picture(style))
    before = found()
    assert differences(before, found()) == []
    brighter = np.clip(content + np.float32(1e-6), 0, 1)
    assert differences(before, found(content=brighter)) == ["the content picture"]
    assert differences(before, found(content=content.reshape(64, 45, 3))) == ["the content picture"]
    assert differences(before, found(styles=(style, style))) == ["style picture 2"]
    assert differences(found(styles=(style, style)), before) == ["style picture 2"]
    assert differences(before, found(replace(small_weights, sha256="1" * 64))) == ["the weights"]
    images.write(tmp_path / "start.png", Picture(content))
    assert differences(before, found()) == ["init"]


def test_the_optimizer_is_taken_to_the_host_only_where_it_is_asked_for(made, monkeypatch):
    """L-BFGS' history is large: who keeps nothing pays nothing."""
    taken = []
    get = jax.device_get

    def watched(tree):
        taken.append(sum(leaf.size for leaf in jax.tree.leaves(tree)))
        return get(tree)

    monkeypatch.setattr(jax, "device_get", watched)
    made(resolve(**{**QUICK, **RUNS["lbfgs"]}))
    assert taken
    assert max(taken) < 20  # losses, a number a term


def test_a_damaged_state_is_refused(made, tmp_path):
    settings = resolve(**QUICK)
    kept, _ = kept_at_reports(made, settings, tmp_path, wanted={1})
    tree = checkpoint.load(kept[1])
    assert tree is not None
    for name in tree:
        for wrong in (None, "a", [None], [{}], {"a": 1}, [[7]], 1.5, True):
            plain = name in ("mixtures", "losses") or isinstance(wrong, type(tree[name]))
            if plain and name != "solver":  # of the right type
                continue
            with pytest.raises(CheckpointError, match="is damaged|another optimizer"):
                RunCheckpoint.from_tree({**tree, name: wrong}, settings)
        with pytest.raises(CheckpointError, match=f"is damaged .{name} is missing"):
            RunCheckpoint.from_tree({key: tree[key] for key in tree if key != name}, settings)


def changed(tree, *path, to):
    """A copy of a tree with another value at a path."""
    if not path:
        return to
    first, *rest = path
    copy = list(tree) if isinstance(tree, list) else dict(tree)
    copy[first] = changed(tree[first], *rest, to=to)
    return copy


def test_a_state_that_does_not_fit_the_run_is_refused(made, tmp_path):
    settings = resolve(**QUICK)
    kept, _ = kept_at_reports(made, settings, tmp_path, wanted=[0])
    tree = checkpoint.load(kept[0])
    image = next(i for i, leaf in enumerate(tree["solver"]) if np.ndim(leaf) == 3)
    for path, value in [
        (["scale"], 9),
        (["scale"], -1),
        (["courses"], []),
        (["courses", 0, "step"], 99),
        (["courses", 0, "step"], -1),
        (["solver", image], np.zeros((8, 8, 3), np.float32)),
        (["solver", 0], np.zeros(7, np.float32)),
        (["solver_seconds"], 10**400),
        (["solver", image], np.float32(0)),
        (["mixtures"], ["x"]),
    ]:
        with pytest.raises(CheckpointError, match="damaged|another optimizer"):
            saved = RunCheckpoint.from_tree(changed(tree, *path, to=value), settings)
            made(settings, saved=saved)
