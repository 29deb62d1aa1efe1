"""Earlier results moved along the flow."""

import jax
import numpy as np
import pytest

from jaxstyle.execution.compilation import counted
from jaxstyle.losses import temporal
from jaxstyle.runs.video.motion import Neighbor, moved, nothing_earlier

HEIGHT, WIDTH = 12, 15
warp, reliability = jax.jit(temporal.warp), jax.jit(temporal.reliability)


def shifted(seed, way, holes=0):
    """A neighbor that everything moves to by whole pixels; some of the way back is wrong."""
    rng = np.random.default_rng(seed)
    image = rng.uniform(size=(HEIGHT, WIDTH, 3)).astype(np.float32)
    flow = np.tile(np.float32(way), (HEIGHT, WIDTH, 1))
    opposite = -flow
    if holes:
        opposite[:, 4 : 4 + holes] += 5
    return Neighbor(image, flow, opposite)


NEAR, FAR, THIRD = shifted(0, (1, 0), holes=4), shifted(1, (2, 1)), shifted(2, (0, -3), holes=2)


@pytest.mark.parametrize("neighbors", [[NEAR], [NEAR, FAR], [NEAR, FAR, THIRD]], ids=len)
def test_neighbors_are_warped_and_count_where_no_nearer_one_is_seen(neighbors):
    found = moved(neighbors, 3)
    warped = [warp(each.image, each.flow) for each in neighbors]
    sure = [np.asarray(reliability(each.flow, each.opposite)) for each in neighbors]
    np.testing.assert_allclose(found.nearest, warped[0], atol=1e-6)
    np.testing.assert_allclose(found.reliability, sure[0], atol=1e-6)
    assert found.earlier.images.shape == (HEIGHT, WIDTH, 3, 3)
    assert found.earlier.reliability.shape == (HEIGHT, WIDTH, 3)
    for j in range(len(neighbors)):
        np.testing.assert_allclose(found.earlier.images[:, :, j], warped[j], atol=1e-6)
        expected = np.maximum(sure[j] - sum(sure[:j], np.zeros_like(sure[j])), 0)
        np.testing.assert_allclose(found.earlier.reliability[:, :, j], expected, atol=1e-6)
        assert expected.any()
    assert not np.any(found.earlier.reliability[:, :, len(neighbors) :])
    np.testing.assert_allclose(found.nearest[:, :-1], NEAR.image[:, 1:], atol=1e-6)


def test_fewer_neighbors_and_none_have_the_shapes_and_the_program_of_all():
    moved([NEAR, FAR, THIRD], 3)
    with counted() as compiled:
        fewer = moved([FAR], 3)
    assert compiled.count == 0
    none = nothing_earlier(HEIGHT, WIDTH, 3)
    assert not np.any(none.reliability)
    for some, nothing in zip(fewer.earlier, none, strict=True):
        assert (some.shape, some.dtype) == (nothing.shape, nothing.dtype)
    assert jax.tree.structure(fewer.earlier) == jax.tree.structure(none)
