"""Sums of pieces: those of the whole, and as precise."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle.losses import LOSSES, STYLE_LOSSES, moments
from jaxstyle.losses.tile_mask import TileMask, filled

MEAN, DEVIATION = 1000.0, 0.03
"""Of features: squares are a million, and the variance is a thousandth, below their last digit."""


def flat_features(height=24, width=20, channels=5):
    rng = np.random.default_rng(0)
    level = MEAN * (1 + np.arange(channels))
    return level + rng.normal(0, DEVIATION, (height, width, channels))


def halves(x, at=9):
    return x[:at], x[at:]


about = jax.jit(moments.about)
centered_merged = jax.jit(lambda one, other: moments.centered(moments.merged(one, other)))
sums_of = jax.jit(lambda sums, *arguments: sums(*arguments), static_argnums=0)


@partial(jax.jit, static_argnums=0)
def whole(pooled, *pieces):
    """Statistics from the sums of one piece, or of two."""
    return pooled.whole(pieces[0] if len(pieces) == 1 else pooled.merged(*pieces))


SUMS = {
    products: LOSSES["gram-centered" if products else "mean-std"].pooled.sums
    for products in (True, False)
}


@pytest.mark.parametrize("products", SUMS)
def test_halves_together_are_the_whole_though_features_hardly_vary(products):
    exact = flat_features().astype(np.float32).astype(np.float64).reshape(-1, 5)
    of_halves = [
        sums_of(SUMS[products], half.astype(np.float32)) for half in halves(flat_features())
    ]
    for one, other in (of_halves, of_halves[::-1]):
        together = centered_merged(one, other)
        assert together.second.dtype == jnp.float32
        np.testing.assert_allclose(jax.jit(moments.mean)(together), exact.mean(0), rtol=1e-6)
        covariance = np.cov(exact, rowvar=False, bias=True)
        if not products:
            covariance = np.diag(covariance)
        largest = covariance.max()
        np.testing.assert_allclose(together.second / 480, covariance, atol=2e-3 * largest)
        np.testing.assert_allclose(together.first / 480, 0, atol=1e-6 * MEAN)


def test_sums_about_another_origin_are_the_same_sums(float64):
    x, there = flat_features(), np.array([900.0, 2100.0, 3000.0, 0.0, 5000.5])
    moved = about(sums_of(moments.sums, x), there)
    measured = sums_of(moments.sums, x, None, None, there)
    for one, other in zip(moved, measured, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)


@pytest.mark.parametrize("name", ["gram-centered", "mean-std"])
def test_statistics_do_not_depend_on_the_origin_of_their_sums(float64, name):
    pooled = LOSSES[name].pooled
    x = jnp.asarray(np.random.default_rng(0).normal(3, 1, (5, 4, 3)))
    elsewhere = pooled.whole(pooled.sums(x, None, None, jnp.asarray([1.0, -2.0, 4.0])))
    for found, expected in zip(
        jax.tree.leaves(elsewhere), jax.tree.leaves(pooled.statistics(x)), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize("guided", [False, True])
@pytest.mark.parametrize("loss", STYLE_LOSSES)
def test_statistics_of_a_picture_are_those_of_its_pieces(float64, loss, guided):
    rng, pooled = np.random.default_rng(1), LOSSES[loss].pooled
    x, guide = rng.normal(1, 1, (24, 20, 5)), rng.uniform(0, 2, (24, 20))
    pieces = zip(halves(x), halves(guide) if guided else (None, None), strict=True)
    one, other = (sums_of(pooled.sums, *piece) for piece in pieces)
    of_all = whole(pooled, sums_of(pooled.sums, x, guide if guided else None))
    of_pieces = whole(pooled, one, other)
    for a, b in zip(*map(jax.tree.leaves, (of_all, of_pieces)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11)


@pytest.mark.parametrize("loss", STYLE_LOSSES)
def test_what_is_not_inside_does_not_count(float64, loss):
    rng, pooled = np.random.default_rng(2), LOSSES[loss].pooled
    x, inside = rng.normal(1, 1, (24, 20, 5)), np.zeros((24, 20), bool)
    inside[:17, 3:] = True
    of_piece = whole(pooled, sums_of(pooled.sums, x[:17, 3:]))
    of_rest = whole(pooled, sums_of(pooled.sums, x, None, inside))
    for a, b in zip(*map(jax.tree.leaves, (of_piece, of_rest)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11)


@pytest.mark.parametrize("loss", ["gram", "gram-centered", "mean-std"])
def test_a_tile_of_nothing_changes_no_sums(loss):
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


@partial(jax.jit, static_argnums=2)
def filled_of(x, cut, mode):
    return filled(x, cut, mode)


NUMPY = {"zeros": "constant", "replicate": "edge", "reflect": "reflect"}


@pytest.mark.parametrize("mode", NUMPY)
@pytest.mark.parametrize(("height", "width"), [(6, 9), (6, 2), (2, 9)])
def test_a_piece_is_filled_with_what_padding_puts_around_its_map(mode, height, width):
    """Wherever the piece is, and whatever was beyond the border before."""
    whole = np.random.default_rng(3).normal(size=(height, width, 2))
    expected = np.pad(whole, ((1, 1), (1, 1), (0, 0)), mode=NUMPY[mode])
    for top, left in ((-1, -1), (-2, 0), (0, -2), (height - 2, width - 2)):
        rows, columns = np.arange(top, top + 9), np.arange(left, left + 12)
        nonsense = np.full((height + 20, width + 20, 2), 1e3)
        nonsense[10 : 10 + height, 10 : 10 + width] = whole
        x = nonsense[top + 10 : top + 19, left + 10 : left + 22]
        own = np.ones(9, bool), np.ones(12, bool)
        found = np.asarray(filled_of(x, TileMask(rows, columns, *own, height, width), mode))
        near_rows = (rows >= -1) & (rows <= height)
        near_columns = (columns >= -1) & (columns <= width)
        near = found[near_rows][:, near_columns]
        wanted = expected[rows[near_rows] + 1][:, columns[near_columns] + 1]
        np.testing.assert_allclose(near, wanted, rtol=1e-6)


def test_inside_are_the_positions_of_the_map_that_are_the_tiles_own():
    own = np.arange(6) >= 2
    cut = TileMask(*map(jnp.asarray, (np.arange(-1, 5), np.arange(3, 9), own, ~own)), 3, 4)
    expected = np.zeros((6, 6), bool)
    expected[2:4, :1] = True  # rows 1 and 2, column 3
    np.testing.assert_array_equal(jax.jit(lambda cut: cut.inside)(cut), expected)
