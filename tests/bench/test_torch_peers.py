"""Tests that the PyTorch peers compute jaxstyle's loss and take the same steps."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bench import schedules, work
from jaxstyle.optim import solve

pytestmark = pytest.mark.slow

torch = pytest.importorskip("torch")
torch.set_num_threads(1)  # tests run in several processes

from bench import torch_peers  # noqa: E402

SIZE = 24


@pytest.fixture(scope="module")
def loaded():
    return work.few_channels()


@pytest.fixture(scope="module")
def pictures():
    return [work.picture(seed, SIZE, SIZE) for seed in range(3)]


@pytest.fixture
def peer(loaded, pictures):
    content, style, start = pictures

    def make(optimizer="adam", expert=False, **options):
        objective = torch_peers.Objective(loaded.weights, content, style, "cpu", expert)
        return torch_peers.Peer(objective, start, optimizer, **options)

    return make


@pytest.fixture
def ours(loaded, pictures):
    def make(optimizer):
        settings = {**schedules.OBJECTIVE, "optimizer": optimizer, "learning_rate": 1.0}
        problem = work.problem(loaded, SIZE, SIZE, precision="float32", **settings)
        return problem, solve.init(jnp.asarray(pictures[2]), problem.program.optimizer)

    return make


def total(peer) -> float:
    return torch_peers.total(peer.objective, peer.image)


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_eager_steps_are_ours(peer, ours, optimizer):
    theirs, (problem, state) = peer(optimizer), ours(optimizer)
    before = float(jax.jit(problem.objective)(state.image)[0])
    assert total(theirs) == pytest.approx(before, rel=1e-4)
    state, losses = problem.program(problem.objective, problem.rates, state, 4)
    for _ in range(3):
        theirs.step()
    assert theirs.step() == pytest.approx(float(losses.total), rel=1e-3)
    assert float(losses.total) < 0.9 * before


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_expert_is_near_and_goes_down(peer, optimizer):
    expert = peer(optimizer, expert=True)
    before = total(expert)
    assert before == pytest.approx(total(peer()), rel=0.05)
    assert before != total(peer())  # it does round
    expert.take(4)
    assert total(expert) < 0.9 * before


def test_a_batch_is_the_sum_and_steps_as_one(peer):
    one, three = peer(), peer(batch=3)
    assert total(three) == pytest.approx(3 * total(one), rel=1e-4)
    one.take(2)
    three.take(2)
    for image in three.image:
        np.testing.assert_allclose(image.detach(), one.image[0].detach(), atol=0.05)


def test_the_conventions_of_other_weights(loaded, pictures):
    """The same network, for input RGB in 0..1 with a standard deviation."""
    content, style, start = pictures
    first = loaded.weights.layers["conv1_1"]
    flipped = replace(first, kernel=np.ascontiguousarray(first.kernel[:, :, ::-1]))
    described = replace(
        loaded.weights,
        layers={**loaded.weights.layers, "conv1_1": flipped},
        channel_order="BGR",
        scale=1.0,
        mean=tuple(x / 255 for x in loaded.weights.mean),
        std=tuple(x / 255 for x in loaded.weights.std),
    )
    totals = []
    for weights in (loaded.weights, described):
        objective = torch_peers.Objective(weights, content, style, "cpu", False)
        totals.append(total(torch_peers.Peer(objective, start, "adam")))
    assert totals[1] == pytest.approx(totals[0], rel=1e-4)
