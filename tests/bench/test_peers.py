"""Tests of bench peers: equal losses on both sides, ratios per round, time to a loss."""

from dataclasses import replace

import numpy as np
import pytest

from bench import peers, race, schedules, work
from jaxstyle.execution import compilation
from jaxstyle.images import Picture
from tests.bench.conftest import arguments_of, measured


@pytest.fixture
def torch():
    """PyTorch, if installed; with one thread, because tests run in several processes."""
    found = pytest.importorskip("torch")
    found.set_num_threads(1)
    return found


def test_ratios_are_of_turns():
    row = peers.compared([1.0, 2.0, 4.0], [2.0, 6.0, 4.0])
    assert (row["our_ms"], row["peer_ms"], row["ratio"]) == (2000, 4000, 2)
    assert row["ratio_low"] < 2 < row["ratio_high"] < 3  # of 2, 3 and 1
    assert row["rounds"] == 3


def test_cases_of_a_gpu(monkeypatch):
    monkeypatch.setattr(peers.jax, "default_backend", lambda: "gpu")
    found = peers.cases(arguments_of(peers, quick=False))
    assert peers.Case(1024, 16, "adam") in found and peers.Case(1024, 1, "lbfgs") in found
    assert not [case for case in found if case.batch > 1 and case.optimizer == "lbfgs"]


@pytest.mark.slow
def test_steps_of_both(torch):
    rows = measured(peers, "--only", "step", "--steps", "1", "--batches", "2")
    assert {(row["batch"], row["optimizer"]) for row in rows} == {(2, "adam")}
    assert [(row["peer"], row["precision"]) for row in rows] == [
        (peer, precision)
        for peer in (peers.EAGER, peers.UNCOMPILED)
        for precision in ("float32", "auto")
    ]
    assert all(row["difference"] < 1e-4 and row["ratio"] > 0 for row in rows)
    assert "PyTorch's time over jaxstyle's" in peers.table(rows)


@pytest.mark.slow
def test_other_losses_are_not_compared(torch, monkeypatch):
    monkeypatch.setattr(peers, "loss", lambda problem: 1.0)
    rows = measured(peers, "--only", "step")
    assert [row["part"] for row in rows] == ["step", "step"]
    assert all("losses of the same picture differ" in row["error"] for row in rows)


def test_no_case_is_begun_too_late(torch):
    rows = measured(peers, "--only", "step", "--seconds", "-1")
    assert {row["error"] for row in rows} == {"no time left"}


@pytest.fixture(scope="module")
def pair():
    return Picture(work.picture(0, 64, 64)), work.picture(1, 40, 40)


def trial(pair, target, *, steps=(2,), most=6, shallow=True):
    settings = schedules.settings_for({"steps": steps}, 32, most)
    if shallow:
        settings = replace(settings, content_layers={"relu1_1": 1.0}, style_layers={"relu1_1": 1.0})
    return schedules.attempt(work.few_channels(), *pair, settings, target)


@pytest.mark.slow
def test_an_attempt_stops_at_the_target(pair):
    slow = trial(pair, 0.0)
    assert not slow["reached"] and slow["steps"] == [2, 6] and slow["total"] is None
    begun = trial(pair, 1e9)
    assert begun["reached"] and begun["steps"] == [2, 1]
    assert 0 < begun["solver_seconds"] < begun["seconds"]
    reached = trial(pair, 0.8 * begun["total"])
    assert reached["reached"] and reached["total"] <= 0.8 * begun["total"]
    assert 1 < reached["steps"][1] <= 6


@pytest.mark.slow
def test_a_total_that_is_not_confirmed_does_not_count(pair, monkeypatch):
    score = schedules.score_pictures

    def stricter(*given, **options):
        found = score(*given, **options)
        return replace(found, total=found.total + 1e12)

    monkeypatch.setattr(schedules, "score_pictures", stricter)
    row = trial(pair, 1e9, steps=())
    assert not row["reached"] and row["steps"] == [6] and row["total"] > 1e12


@pytest.mark.slow
def test_pytorch_starts_from_the_same_total(torch, pair):
    """The baseline's first loss equals the total that an attempt computes for the initial image."""
    from bench import torch_peers

    photo, painting = schedules.at_full_size(*pair, 32)
    others = race.Peers(torch_peers, work.few_channels(), photo, painting)
    one = trial(pair, 1e9, steps=(), shallow=False)
    lead = others.baseline(1)
    assert lead["total"] == pytest.approx(one["total"], rel=1e-4)
    further = others.chase("eager", "lbfgs", target=0.8 * lead["total"], most=20)
    assert further["reached"] and further["total"] <= 0.8 * lead["total"]
    assert not others.chase("eager", "adam", target=0.0, most=2)["reached"]


@pytest.mark.slow
def test_the_race_has_all_racers(torch, monkeypatch):
    monkeypatch.setattr(compilation, "persist", lambda directory: None, raising=False)
    told = schedules.told
    monkeypatch.setattr(race.child, "call", lambda function, **options: told(**options))
    names = list(schedules.SCHEDULES)[:1]
    rows = measured(peers, "--only", "race", "--schedules", *names)
    assert [row["who"] for row in rows] == ["PyTorch, eager, lbfgs", f"jaxstyle, {names[0]}"]
    assert "error" not in rows[1]
    assert rows[1]["reached"] == (rows[1]["total"] is not None)
    assert "Time to a loss" in peers.table(rows)


def test_a_racer_that_fails_is_a_row():
    def falls():
        raise RuntimeError("no more")

    row = race.raced("x", falls, {"seconds": 1.0}, print)
    assert row == {"who": "x", "error": "RuntimeError: no more"}


def test_the_objective_is_that_of_the_baseline():
    settings = schedules.settings_for({"steps": (40, 20)}, 256, 300)
    assert settings.steps == (40, 20, 300) and settings.smallest_size == 64
    assert settings.style_loss == "gram-size" and settings.tv_weight == 0
    assert np.all([share == 1e5 for share in settings.style_weights().values()])
