"""The temporal loss, and what it is made from, against loops over pixels in NumPy."""

from functools import partial
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle.losses import temporal
from jaxstyle.losses.temporal import Earlier
from jaxstyle.losses.tile_mask import TileMask
from tests.numerics import assert_gradient

distance = jax.jit(jax.value_and_grad(temporal.distance))
of_tile = jax.jit(jax.value_and_grad(temporal.of_tile))
warp, reliability = jax.jit(temporal.warp), jax.jit(temporal.reliability)
exact = partial(np.testing.assert_allclose, rtol=0, atol=1e-10)


def sampled(image, row, column):
    """An image between its pixels; beyond the border it is what is at the border."""
    height, width = image.shape[:2]
    row, column = min(max(row, 0), height - 1), min(max(column, 0), width - 1)
    y, x = int(np.floor(row)), int(np.floor(column))
    parts = [
        (1 - abs(row - i)) * (1 - abs(column - j)) * image[i, j]
        for i, j in product((y, y + 1), (x, x + 1))
        if i < height and j < width
    ]
    return sum(parts)


def warped(image, flow):
    height, width = flow.shape[:2]
    places = [[(y + flow[y, x, 1], x + flow[y, x, 0]) for x in range(width)] for y in range(height)]
    return np.array([[sampled(image, *place) for place in row] for row in places])


def marks(flow, opposite):
    """-1 where a pixel is disoccluded, 0 at a motion boundary and where it leaves the frame."""
    height, width = flow.shape[:2]
    found, back = np.ones((height, width)), warped(opposite, flow)
    for y, x in product(range(height), range(width)):
        f, g = flow[y, x], back[y, x]
        row, column = y + f[1], x + f[0]
        above, below = flow[max(y - 1, 0), x], flow[min(y + 1, height - 1), x]
        left, right = flow[y, max(x - 1, 0)], flow[y, min(x + 1, width - 1)]
        steep = np.sum(((below - above) / 2) ** 2) + np.sum(((right - left) / 2) ** 2)
        if not (0 <= row <= height - 1 and 0 <= column <= width - 1):
            found[y, x] = 0
        elif (f + g) @ (f + g) >= 0.01 * (f @ f + g @ g) + 0.5:
            found[y, x] = -1
        elif steep > 0.01 * (f @ f) + 0.002:
            found[y, x] = 0
    return found


def smoothed(found):
    taps = np.exp(-(np.arange(-2, 3) ** 2) / (2 * 0.8**2))
    kernel, wide = np.outer(taps, taps) / taps.sum() ** 2, np.pad(found, 2, mode="symmetric")
    height, width = found.shape
    return np.array(
        [[np.sum(kernel * wide[y : y + 5, x : x + 5]) for x in range(width)] for y in range(height)]
    )


def motion(seed=0, height=13, width=17):
    """A flow and its opposite that contradict each other in places, and lead out of the frame."""
    rng = np.random.default_rng(seed)
    flow = np.tile(rng.uniform(-3, 3, 2), (height, width, 1))
    flow[4:9, 6:12] += rng.uniform(1, 2, 2)
    flow += 0.02 * rng.normal(size=flow.shape)
    opposite = -flow[::-1] + 0.1 * rng.normal(size=flow.shape)
    opposite[:, :5] = -flow[:, :5]
    return flow, opposite


def target(seed=0, height=6, width=7, count=2):
    rng = np.random.default_rng(seed)
    images = rng.uniform(size=(height, width, count, 3))
    return Earlier(images, rng.uniform(size=(height, width, count)))


@pytest.mark.parametrize("seed", range(3))
def test_a_warped_image_is_sampled_where_the_flow_points(float64, seed):
    flow, _ = motion(seed)
    image = np.random.default_rng(seed).uniform(size=(13, 17, 3))
    exact(warp(image, flow), warped(image, flow))


def test_whole_pixels_are_moved_and_the_border_is_repeated_beyond_it(float64):
    image = np.random.default_rng(0).uniform(size=(5, 6, 3))
    exact(warp(image, np.zeros((5, 6, 2))), image)
    moved = warp(image, np.tile([2.0, -1.0], (5, 6, 1)))
    exact(moved[1:, :-2], image[:-1, 2:])
    exact(moved[0, :-2], image[0, 2:])
    exact(moved[1:, -2:], np.repeat(image[:-1, -1:], 2, axis=1))


@pytest.mark.parametrize("seed", range(4))
def test_reliability_is_the_smoothed_check_of_both_flows(float64, seed):
    flow, opposite = motion(seed)
    before = marks(flow, opposite)
    assert {-1, 0, 1} == set(np.unique(before))
    exact(reliability(flow, opposite), np.clip(smoothed(before), 0, 1))


def test_two_flows_that_agree_are_reliable_everywhere(float64):
    flow = np.zeros((6, 9, 2))
    exact(reliability(flow, flow), 1)
    shift = np.tile([1.5, 0.0], (6, 9, 1))
    found = reliability(shift, -shift)
    exact(found[:, :5], 1)  # the last two columns leave the frame, and smoothing reaches two more
    exact(found[:, 5:], smoothed(np.arange(9)[None] + 1.5 <= np.full((6, 1), 8))[:, 5:])


def test_a_flow_out_of_the_frame_is_not_reliable_even_if_its_opposite_agrees(float64):
    for way in ([20.0, 0.0], [-20.0, 0.0], [0.0, 20.0], [0.0, -20.0]):
        flow = np.tile(way, (6, 9, 1))
        exact(reliability(flow, -flow), 0)


def test_a_disoccluded_hole_grows(float64):
    """The map is below zero in it before it is smoothed; another boundary stays where it is."""
    flow, opposite = np.zeros((16, 20, 2)), np.zeros((16, 20, 2))
    opposite[5:11, 6:14] = 1.0
    hole = np.zeros((16, 20), bool)
    hole[5:11, 6:14] = True
    found, plain = np.asarray(reliability(flow, opposite)), smoothed(~hole)
    assert np.all(plain[hole][[0, 7]] > 0.1)
    exact(found[hole], 0)
    exact(found, np.clip(2 * plain - 1, 0, 1))
    exact(found[8, 16:], 1)


def test_unknown_flow_is_not_reliable_and_leads_to_pixels_of_the_image(float64):
    """Middlebury's format has values above 1e9 where the flow is unknown."""
    flow, opposite = np.zeros((12, 14, 2)), np.zeros((12, 14, 2))
    flow[2:7, 3:8] = 1.7e9
    opposite[9:, :] = -1.7e9
    image = np.random.default_rng(0).uniform(size=(12, 14, 3))
    found = np.asarray(reliability(flow, opposite))
    exact(found, np.clip(smoothed(marks(flow, opposite)), 0, 1))
    exact(found[4, 5], 0)
    exact(found[9:], 0)
    exact(warp(image, flow)[2:7, 3:8], np.broadcast_to(image[-1, -1], (5, 5, 3)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_reliability_and_warped_images_have_the_type_of_the_flow(dtype):
    with jax.enable_x64(dtype == np.float64):
        flow, opposite = (each.astype(dtype) for each in motion())
        assert reliability(flow, opposite).dtype == dtype
        assert warp(np.zeros((13, 17, 3), dtype), flow).dtype == dtype


def test_an_older_frame_counts_where_no_nearer_one_sees_the_pixel(float64):
    each = np.random.default_rng(0).uniform(size=(4, 3, 5)) ** 2
    expected = np.empty_like(each)
    for (j, y, x), own in np.ndenumerate(each):
        expected[j, y, x] = max(own - sum(each[k, y, x] for k in range(j)), 0)
    assert 0 in expected
    found = jax.jit(temporal.long_term)(each)
    exact(found, expected)
    exact(found[0], each[0])


@pytest.mark.parametrize("count", [1, 3])
def test_the_loss_is_the_weighted_mean_square_and_adds_up_over_frames(float64, count):
    of, x = target(count=count), np.random.default_rng(9).uniform(size=(6, 7, 3))
    expected, gradient = 0.0, np.zeros_like(x)
    for y, c, channel, j in np.ndindex(6, 7, 3, count):
        apart = x[y, c, channel] - of.images[y, c, j, channel]
        expected += of.reliability[y, c, j] * apart**2 / x.size
        gradient[y, c, channel] += 2 * of.reliability[y, c, j] * apart / x.size
    found = distance(x, of)
    exact(found[0], expected)
    exact(found[1], gradient)


def test_the_gradient_is_that_of_the_value(float64):
    rng = np.random.default_rng(1)
    x, along = rng.uniform(size=(6, 7, 3)), rng.normal(size=(6, 7, 3))
    assert_gradient(lambda x: distance(x, target()), x, along, rtol=1e-7)


def test_what_is_not_reliable_does_not_count(float64):
    of = target()
    reliable = of.reliability.copy()
    reliable[2:4] = 0
    x = np.random.default_rng(2).uniform(size=(6, 7, 3))
    other = of.images.copy()
    other[2:4] = 99
    value, gradient = distance(x, of._replace(reliability=reliable))
    changed, _ = distance(x, Earlier(other, reliable))
    exact(changed, value)
    exact(gradient[2:4], 0)
    value, gradient = distance(x, of._replace(reliability=0 * reliable))
    assert value == 0
    assert not np.any(gradient)


def test_tiles_add_up_to_the_whole(float64):
    """Their rows and columns beside their own, and beyond the image, do not count."""
    height, width, count, margin = 6, 7, 2, 2
    of = target(0, height, width, count)
    x = np.random.default_rng(3).uniform(size=(height, width, 3))
    around = [(margin, margin + 4)] * 2

    def wide(values):
        return np.pad(values, around + [(0, 0)] * (values.ndim - 2), constant_values=9)

    total, gradient = 0.0, np.zeros_like(wide(x))
    own = np.zeros(4 + 2 * margin, bool)
    own[margin:-margin] = True
    for top, left in product((0, 4), (0, 4)):
        place = np.s_[top : top + 8, left : left + 8]
        offsets = np.arange(-margin, 4 + margin)
        cut = TileMask(top + offsets, left + offsets, own, own, height, width)
        piece = Earlier(*(wide(values)[place] for values in of))
        value, slope = of_tile(wide(x)[place], piece, cut)
        total += value
        gradient[place] += slope
    expected, whole = distance(x, of)
    exact(total, expected)
    exact(gradient[margin : margin + height, margin : margin + width], whole)


def test_of_a_tile_in_half_precision_the_loss_is_computed_in_single():
    own = np.ones(6, bool), np.ones(7, bool)
    of, cut = jax.tree.map(np.float32, target()), TileMask(np.arange(6), np.arange(7), *own, 6, 7)
    x = jnp.full((6, 7, 3), 0.5, jnp.bfloat16)
    value, _ = of_tile(x, of, cut)
    assert value.dtype == jnp.float32
    np.testing.assert_allclose(value, distance(x.astype(jnp.float32), of)[0], rtol=1e-6)
