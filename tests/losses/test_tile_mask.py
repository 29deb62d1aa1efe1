"""Sums of pieces: those of the whole, and as precise."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle.losses import LOSSES, STYLE_LOSSES, moments
from jaxstyle.losses.tile_mask import TileMask, filled
from tests.numerics import assert_trees_close

MEAN, DEVIATION = 1000.0, 0.03
"""Of features: squares are a million, and the variance is a thousandth, below their last digit."""


def flat_features(height=24, width=20, channels=5):
    rng = np.random.default_rng(0)
    level = MEAN * (1 + np.arange(channels))
    return level + rng.normal(0, DEVIATION, (height, width, channels))


def halves(x, at=9):
    return x[:at], x[at:]


centered_merged = jax.jit(lambda one, other: moments.centered(moments.merged(one, other)))
sums_of = jax.jit(lambda sums, *arguments: sums(*arguments), static_argnums=0)


@partial(jax.jit, static_argnums=0)
def whole(pooled, *pieces):
    """Statistics from the sums of one piece, or of two."""
    return pooled.whole(pieces[0] if len(pieces) == 1 else pooled.merged(*pieces))


@pytest.mark.parametrize("name", ["gram-centered", "mean-std"])
def test_sums_of_halves_are_those_of_the_whole_for_nearly_flat_features(name):
    x = flat_features().astype(np.float32)
    exact = x.astype(np.float64).reshape(-1, 5)
    of_halves = [sums_of(LOSSES[name].pooled.sums, half) for half in halves(x)]
    covariance = np.cov(exact, rowvar=False, bias=True)
    expected = covariance if name == "gram-centered" else np.diag(covariance)
    for one, other in (of_halves, of_halves[::-1]):
        together = centered_merged(one, other)
        assert together.second.dtype == jnp.float32
        np.testing.assert_allclose(jax.jit(moments.mean)(together), exact.mean(0), rtol=1e-6)
        np.testing.assert_allclose(together.second / 480, expected, atol=2e-3 * expected.max())
        np.testing.assert_allclose(together.first / 480, 0, atol=1e-6 * MEAN)


@pytest.mark.parametrize("name", ["gram-centered", "mean-std"])
def test_statistics_do_not_depend_on_the_origin_of_their_sums(float64, name):
    pooled = LOSSES[name].pooled
    x = jnp.asarray(np.random.default_rng(0).normal(3, 1, (5, 4, 3)))
    elsewhere = pooled.whole(pooled.sums(x, None, None, jnp.asarray([1.0, -2.0, 4.0])))
    assert_trees_close(elsewhere, pooled.statistics(x), rtol=1e-10)


@pytest.mark.parametrize("guided", [False, True])
@pytest.mark.parametrize("loss", STYLE_LOSSES)
def test_statistics_of_a_picture_are_those_of_its_pieces(float64, loss, guided):
    rng, pooled = np.random.default_rng(1), LOSSES[loss].pooled
    x, guide = rng.normal(1, 1, (24, 20, 5)), rng.uniform(0, 2, (24, 20))
    pieces = zip(halves(x), halves(guide) if guided else (None, None), strict=True)
    one, other = (sums_of(pooled.sums, *piece) for piece in pieces)
    of_all = whole(pooled, sums_of(pooled.sums, x, guide if guided else None))
    of_pieces = whole(pooled, one, other)
    assert_trees_close(of_all, of_pieces, rtol=1e-11)


@pytest.mark.parametrize("loss", STYLE_LOSSES)
def test_positions_outside_the_tile_do_not_count(float64, loss):
    rng, pooled = np.random.default_rng(2), LOSSES[loss].pooled
    x, inside = rng.normal(1, 1, (24, 20, 5)), np.zeros((24, 20), bool)
    inside[:17, 3:] = True
    of_piece = whole(pooled, sums_of(pooled.sums, x[:17, 3:]))
    of_rest = whole(pooled, sums_of(pooled.sums, x, None, inside))
    assert_trees_close(of_piece, of_rest, rtol=1e-11)


@pytest.mark.parametrize("loss", ["gram", "gram-centered", "mean-std"])
def test_a_tile_without_the_region_changes_no_sums(loss):
    """A region that is not there at all: neither its weight nor its origin may be NaN."""
    pooled = LOSSES[loss].pooled
    x, none = flat_features().astype(np.float32), np.zeros((24, 20), np.float32)
    region = none.copy()
    region[3:9, 4:7] = 1
    some, nothing = (sums_of(pooled.sums, x, guide) for guide in (region, none))
    merged_of = jax.jit(pooled.merged)
    for merged in (merged_of(some, nothing), merged_of(nothing, some)):
        for name in set(some._fields) - {"positions"}:
            np.testing.assert_allclose(getattr(merged, name), getattr(some, name), rtol=1e-6)


filled_of = jax.jit(filled, static_argnums=2)
NUMPY = {"zeros": "constant", "replicate": "edge", "reflect": "reflect"}


@pytest.mark.parametrize("mode", NUMPY)
@pytest.mark.parametrize(("height", "width"), [(6, 9), (6, 2), (2, 9), (1, 9)])
def test_a_piece_is_filled_with_what_padding_puts_around_its_map(mode, height, width):
    """Wherever the piece is, and whatever was beyond the border before."""
    whole = np.random.default_rng(3).normal(size=(height, width, 2))
    reflectable = min(height, width) > 1  # else the border is repeated
    padding = NUMPY[mode] if mode != "reflect" or reflectable else "edge"
    expected = np.pad(whole, ((1, 1), (1, 1), (0, 0)), mode=padding)
    for top, left in ((-1, -1), (-2, 0), (0, -2), (height - 2, width - 2)):
        rows, columns = np.arange(top, top + 9), np.arange(left, left + 12)
        nonsense = np.full((height + 20, width + 20, 2), 1e3)
        nonsense[10 : 10 + height, 10 : 10 + width] = whole
        x = nonsense[top + 10 : top + 19, left + 10 : left + 22]
        own = np.ones(9, bool), np.ones(12, bool)
        found = np.asarray(filled_of(x, TileMask(rows, columns, *own, height, width), mode))
        near = np.ix_((rows >= -1) & (rows <= height), (columns >= -1) & (columns <= width))
        wanted = expected[np.ix_(rows[near[0].ravel()] + 1, columns[near[1].ravel()] + 1)]
        np.testing.assert_allclose(found[near], wanted, rtol=1e-6)


def test_inside_are_the_positions_of_the_map_that_are_the_tiles_own():
    own = np.arange(6) >= 2
    cut = TileMask(*map(jnp.asarray, (np.arange(-1, 5), np.arange(3, 9), own, ~own)), 3, 4)
    expected = np.zeros((6, 6), bool)
    expected[2:4, :1] = True  # rows 1 and 2, column 3
    np.testing.assert_array_equal(jax.jit(lambda cut: cut.inside)(cut), expected)
