"""Tests of the benchmarks' problems: arithmetic, seeds, batches."""

from argparse import Namespace
from dataclasses import replace

import jax
import numpy as np
import pytest

from bench import work
from jaxstyle.execution.arithmetic import step_flops
from jaxstyle.network import vgg
from jaxstyle.settings import resolve

SHALLOW = {"content_layers": ["relu1_2"], "style_layers": ["relu1_1", "relu2_1"]}
SHALLOW |= {"precision": "float32"}


@pytest.fixture(scope="module")
def loaded():
    return work.few_channels()


def test_arithmetic_of_a_default_step_is_99_gflop():
    assert step_flops(256, 256, resolve()) == pytest.approx(99.2e9, rel=0.001)


def test_pictures_are_seeded_and_within_the_gamut():
    one, other = work.picture(0, 20, 30), work.picture(1, 20, 30)
    assert one.shape == (20, 30, 3)
    assert one.dtype == np.float32
    assert 0 <= one.min() < one.max() <= 1
    np.testing.assert_array_equal(one, work.picture(0, 20, 30))
    assert np.abs(one - other).mean() > 0.01


def test_a_problem_has_what_a_step_takes(loaded):
    problem = work.problem(loaded, 16, 24, **SHALLOW, learning_rate=0.5)
    assert problem.state.image.shape == (16, 24, 3)
    assert float(problem.rates.learning_rate) == 0.5
    assert problem.flops == step_flops(16, 24, problem.settings, work.FEW_CHANNELS)


@pytest.mark.slow
def test_a_batch_takes_the_steps_that_each_picture_would(loaded):
    alone = work.problem(loaded, 16, 16, **SHALLOW)
    batch = work.batched(alone, 2)
    assert batch.state.image.shape == (2, 16, 16, 3)
    assert batch.flops == 2 * alone.flops
    after = []
    for problem in (alone, batch):
        step = problem.program
        state, losses = step(problem.objective, problem.rates, problem.state, 3)
        after.append((np.asarray(state.image), np.asarray(losses.total)))
    for one, both in zip(*after, strict=True):
        np.testing.assert_allclose(both[0], one, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(both[0], both[1])


def test_stepping_goes_on_from_where_it_was(loaded):
    problem, steps = work.problem(loaded, 16, 16, **SHALLOW), []

    def spy(*arguments):
        state, losses = problem.program(*arguments)
        steps.append(int(state.step))
        return state, losses

    call = work.stepping(replace(problem, program=spy), 2)
    call()
    call()
    assert steps == [2, 4]


def test_a_trial_needs_no_weights():
    arguments = Namespace(quick=True, weights=None)
    loaded = work.weights_of(arguments, pytest.fail)
    assert work.channels_of(loaded) == tuple(c // 16 for c in vgg.CHANNELS_PER_BLOCK)
    assert jax.tree.leaves(loaded.weights.layers)
