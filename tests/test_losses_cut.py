"""Sums of pieces: those of the whole, and as precise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle.losses import LOSSES, STYLE_LOSSES, moments
from jaxstyle.losses.cut import Cut, filled

MEAN, DEVIATION = 1000.0, 0.03
"""Of features: squares are a million, and the variance is a thousandth, below their last digit."""


def flat_features(height=24, width=20, channels=5):
    rng = np.random.default_rng(0)
    level = MEAN * (1 + np.arange(channels))
    return level + rng.normal(0, DEVIATION, (height, width, channels))


def halves(x, at=9):
    return x[:at], x[at:]


@pytest.mark.parametrize("products", [True, False])
def test_halves_together_are_the_whole_though_features_hardly_vary(products):
    exact = flat_features().astype(np.float32).astype(np.float64).reshape(-1, 5)
    of_halves = [
        moments.sums(jnp.asarray(half, jnp.float32), products=products)
        for half in halves(flat_features())
    ]
    for one, other in (of_halves, of_halves[::-1]):
        together = moments.centered(moments.merged(one, other))
        assert together.second.dtype == jnp.float32
        np.testing.assert_allclose(moments.mean(together), exact.mean(0), rtol=1e-6)
        covariance = np.cov(exact, rowvar=False, bias=True)
        if not products:
            covariance = np.diag(covariance)
        largest = covariance.max()
        np.testing.assert_allclose(together.second / 480, covariance, atol=2e-3 * largest)
        np.testing.assert_allclose(together.first / 480, 0, atol=1e-6 * MEAN)


def test_sums_about_another_origin_are_the_same_sums(float64):
    x = jnp.asarray(flat_features())
    here, there = moments.sums(x), jnp.asarray([900.0, 2100.0, 3000.0, 0.0, 5000.5])
    moved, measured = moments.about(here, there), moments.sums(x, origin=there)
    for one, other in zip(moved, measured, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)


@pytest.mark.parametrize("guided", [False, True])
@pytest.mark.parametrize("loss", STYLE_LOSSES)
def test_statistics_of_a_picture_are_those_of_its_pieces(float64, loss, guided):
    rng, pooled = np.random.default_rng(1), LOSSES[loss].pooled
    x = jnp.asarray(rng.normal(1, 1, (24, 20, 5)))
    guide = jnp.asarray(rng.uniform(0, 2, (24, 20))) if guided else None
    guides = (None, None) if guide is None else halves(guide)
    one, other = (pooled.sums(h, g) for h, g in zip(halves(x), guides, strict=True))
    whole, pieces = pooled.statistics(x, guide), pooled.whole(pooled.merged(one, other))
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(pieces), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11)


@pytest.mark.parametrize("loss", STYLE_LOSSES)
def test_what_is_not_inside_does_not_count(float64, loss):
    rng, pooled = np.random.default_rng(2), LOSSES[loss].pooled
    x = jnp.asarray(rng.normal(1, 1, (24, 20, 5)))
    inside = jnp.zeros((24, 20), bool).at[:17, 3:].set(True)
    of_piece, of_rest = pooled.sums(x[:17, 3:]), pooled.sums(x, None, inside)
    for a, b in zip(
        jax.tree.leaves(pooled.whole(of_piece)), jax.tree.leaves(pooled.whole(of_rest)), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-11)


@pytest.mark.parametrize("loss", ["gram", "gram-centered", "mean-std"])
def test_a_tile_of_nothing_changes_no_sums(loss):
    """A region that is not there at all: neither its weight nor its origin may be NaN."""
    pooled = LOSSES[loss].pooled
    x, none = jnp.asarray(flat_features(), jnp.float32), jnp.zeros((24, 20))
    some = pooled.sums(x, none.at[3:9, 4:7].set(1.0))
    for merged in (
        pooled.merged(some, pooled.sums(x, none)),
        pooled.merged(pooled.sums(x, none), some),
    ):
        for name in set(some._fields) - {"positions"}:
            np.testing.assert_allclose(getattr(merged, name), getattr(some, name), rtol=1e-6)


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
        cut = Cut(jnp.asarray(rows), jnp.asarray(columns), *map(jnp.asarray, own), height, width)
        found = np.asarray(filled(jnp.asarray(x), cut, mode))
        near_rows = (rows >= -1) & (rows <= height)
        near_columns = (columns >= -1) & (columns <= width)
        near = found[near_rows][:, near_columns]
        wanted = expected[rows[near_rows] + 1][:, columns[near_columns] + 1]
        np.testing.assert_allclose(near, wanted, rtol=1e-6)


def test_inside_are_the_positions_of_the_map_that_are_the_tiles_own():
    own = jnp.arange(6) >= 2
    cut = Cut(jnp.arange(-1, 5), jnp.arange(3, 9), own, ~own, 3, 4)
    expected = np.zeros((6, 6), bool)
    expected[2:4, :1] = True  # rows 1 and 2, column 3
    np.testing.assert_array_equal(cut.inside, expected)
