"""The temporal term of an objective: its value, its unit, and one program for all frames."""

import jax
import numpy as np
import pytest

from jaxstyle.execution.batched import stacked_objective
from jaxstyle.execution.compilation import counted
from jaxstyle.execution.inputs import inputs_at
from jaxstyle.execution.plan import Scale
from jaxstyle.losses import objective
from jaxstyle.losses.objective import LossSpec
from jaxstyle.losses.temporal import Earlier
from jaxstyle.runs.video.motion import nothing_earlier
from jaxstyle.settings import resolve

SIDES = (14, 11)


@pytest.fixture
def image(picture):
    return picture(3, *SIDES)


@pytest.fixture
def build(network, picture):
    """A function from earlier frames and options of ``LossSpec`` to an objective."""

    def make(earlier, seed=0, **options):
        pictures = picture(seed, *SIDES), [picture(seed + 1, 15, 13)]
        spec = LossSpec({"relu1_1": 1.0}, {}, 0.5, **options)
        return objective.build(network, *pictures, spec, earlier=earlier)

    return make


@jax.jit
def graded(scored, image):
    return jax.value_and_grad(scored, has_aux=True)(image)


def earlier_frames(seed=0, count=2):
    rng = np.random.default_rng(seed)
    images = rng.uniform(size=(*SIDES, count, 3)).astype(np.float32)
    return Earlier(images, rng.uniform(size=(*SIDES, count)).astype(np.float32))


def plain_value(image, earlier):
    """The temporal loss of frames one after the other."""
    image, images, each = (np.asarray(x, np.float64) for x in (image, *earlier))
    squares = [(image - images[:, :, j]) ** 2 for j in range(each.shape[-1])]
    return sum(np.mean(each[..., j, None] * square) for j, square in enumerate(squares))


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("white", [1.0, 255.0])
def test_the_term_is_the_weighted_loss_in_units_of_white(build, image, white, count):
    """With white at 255 it is the mean square of values from 0 to 255, as in the paper."""
    earlier = earlier_frames(count=count)
    (_, parts), gradient = graded(build(earlier, temporal_weight=7.0, white=white), image)
    expected = 7 * white**2 * plain_value(image, earlier)
    np.testing.assert_allclose(parts["temporal"], expected, rtol=1e-5)
    (_, without), rest = graded(build(earlier, white=white), image)
    assert without["temporal"] == 0
    apart = np.asarray(image)[:, :, None] - earlier.images
    slope = 2 * 7 * white**2 * np.sum(earlier.reliability[..., None] * apart, axis=2) / image.size
    scale = np.abs(gradient).max()
    np.testing.assert_allclose(gradient, rest + slope, atol=1e-5 * scale)


def test_frames_with_neighbors_and_without_share_one_program(build, image):
    """A first frame has earlier ones of no reliability; their values and weight do not matter."""
    first = build(nothing_earlier(*SIDES, 2), temporal_weight=300.0)
    (total, parts), gradient = graded(first, image)
    assert parts["temporal"] == 0
    (alone, others), slope = graded(build(None), image)
    assert "temporal" not in others
    np.testing.assert_allclose(total, alone, rtol=1e-6)
    np.testing.assert_allclose(gradient, slope, atol=1e-6 * np.abs(slope).max())
    of_device = jax.device_put(earlier_frames())
    later = [
        build(earlier, seed=4, temporal_weight=weight)
        for earlier, weight in ((earlier_frames(), 300.0), (of_device, 300.0), (of_device, 0.0))
    ]
    with counted() as compiled:
        (_, here), (_, same), (_, none) = (graded(each, image)[0] for each in later)
    assert compiled.count == 0
    assert here["temporal"] == same["temporal"] > none["temporal"] == 0


def test_a_batch_has_the_temporal_terms_of_its_pictures(build, picture, image):
    each = [build(earlier_frames(seed), seed, temporal_weight=3.0 + seed) for seed in (0, 5)]
    images = np.stack([image, picture(8, *SIDES)])
    together = stacked_objective(each)

    @jax.jit
    def all_graded(together, images):
        def one(terms, image):
            scored = objective.Objective(together.network, terms, together.white)
            return jax.value_and_grad(scored, has_aux=True)(image)

        return jax.vmap(one)(together.terms, images)

    (totals, parts), gradients = all_graded(together, images)
    for index, (one, own) in enumerate(zip(each, images, strict=True)):
        (total, terms), gradient = graded(one, own)
        np.testing.assert_allclose(totals[index], total, rtol=1e-5)
        np.testing.assert_allclose(parts["temporal"][index], terms["temporal"], rtol=1e-5)
        scale = np.abs(gradient).max()
        np.testing.assert_allclose(gradients[index], gradient, atol=1e-5 * scale)


def test_only_the_scale_of_their_size_sees_earlier_frames(network, picture):
    settings = resolve(content_layers=["relu1_1"], style_layers=["relu1_1"])
    pictures = np.asarray(picture(0, 28, 22)), [np.asarray(picture(1, 20, 20))]
    more = {"earlier": earlier_frames(), "temporal_weight": 5.0}
    large, small, none = (
        inputs_at(Scale(*sides, max(sides), 1), network, *pictures, settings, **given)
        for sides, given in ((SIDES, more), ((7, 6), more), (SIDES, {}))
    )
    assert large.earlier is more["earlier"]
    assert large.spec.temporal_weight == 5
    assert small.earlier is none.earlier is None
