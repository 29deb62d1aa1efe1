"""Tiles cover the picture, windows have their halos, and gradients add up to the picture's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle.execution.compilation import counted
from jaxstyle.execution.tiles.grid import (
    LEAST_HALO,
    Grid,
    Place,
    added,
    alignment,
    framed,
    halo,
    stride_at,
    unframed,
    window,
)
from jaxstyle.losses.targets import IMAGE
from jaxstyle.network.vgg import CONVOLUTIONS, VGG19
from tests.networks import small_arrays

LAYERS = ("conv1_1", "relu1_2", "pool1", "relu2_1", "conv3_4", "pool3", "relu4_2", "relu5_1")
TILE, SIDE = 16, 208
"""Sides of a tile, and of a picture so large that nothing sees its border from the middle."""


@pytest.fixture(scope="module")
def slopes():
    """By layer, how a tile's features depend on each pixel of the picture.

    All kernels are positive and pooling averages: no dependence is lost to a ReLU or a maximum.
    """
    arrays = {
        name: (jnp.abs(kernel) + 0.1, jnp.ones_like(bias))
        for name, (kernel, bias) in small_arrays(shrink=64).items()
    }
    network = VGG19(arrays, jnp.ones(3), jnp.zeros(3), pooling="average")
    first = SIDE // 2 - TILE // 2

    @jax.jit
    def total(image, shares):
        features = network(image, LAYERS)
        parts = []
        for layer, share in zip(LAYERS, shares, strict=True):
            stride = SIDE // features[layer].shape[0]
            own = slice(first // stride, (first + TILE) // stride)
            parts.append(share * jnp.mean(features[layer][own, own]))
        return sum(parts)

    image = jnp.ones((SIDE, SIDE, 3))
    slope = jax.jit(jax.grad(total))
    return dict(zip(LAYERS, (slope(image, one) for one in jnp.eye(len(LAYERS))), strict=True))


@pytest.mark.parametrize("layer", LAYERS)
def test_a_halo_is_as_wide_as_features_see(slopes, layer):
    seen = np.asarray(jnp.any(slopes[layer] != 0, axis=2))
    expected = np.zeros((SIDE, SIDE), bool)
    around = (SIDE - TILE) // 2 - halo([layer])
    # Priors want two pixels, even where the network sees but one.
    around += layer == "conv1_1"
    expected[around:-around, around:-around] = True
    np.testing.assert_array_equal(seen, expected)


def test_the_deepest_layer_determines_the_halo():
    assert halo(["relu5_1"]) == halo(["relu1_1", "relu5_1", IMAGE, "relu4_2"]) == 70
    assert halo([]) == halo([IMAGE]) == halo(["conv1_1"]) == LEAST_HALO


def test_a_tile_has_whole_positions_at_every_layer():
    assert [stride_at(name) for name in (IMAGE, "relu1_2", "pool1", "relu5_1")] == [1, 1, 2, 16]
    assert alignment(["relu1_1", "relu3_1", IMAGE]) == 4
    assert alignment([]) == 1
    assert alignment(CONVOLUTIONS) == 16


@pytest.mark.parametrize(
    ("height", "width", "rows", "columns"),
    [(1, 1, 1, 1), (32, 64, 1, 2), (33, 64, 2, 2), (65, 31, 3, 1), (64, 97, 2, 4)],
)
def test_tiles_cover_the_picture_row_by_row(height, width, rows, columns):
    grid = Grid(height, width, 32, 6)
    assert (grid.rows, grid.columns, grid.count, grid.window) == (rows, columns, rows * columns, 44)
    counted = np.zeros((rows * 32, columns * 32), int)
    for number in range(grid.count):
        top, left, *sides = grid.place(number)
        assert sides == [height, width]
        assert counted[top, left] == 0
        counted[top : top + 32, left : left + 32] += 1
    assert (counted == 1).all()
    assert grid.place(0)[:2] == (0, 0)
    assert grid.place(grid.count - 1)[:2] == ((rows - 1) * 32, (columns - 1) * 32)


def test_places_are_numbers_that_are_not_compiled_in():
    for number in Grid(33, 64, 32, 6).place(3):
        assert number.dtype == np.int32


@pytest.mark.parametrize("channels", [(), (5,)])
@pytest.mark.parametrize("layer", [IMAGE, "relu1_1", "relu3_1"])
def test_pieces_together_are_the_map_with_zeros_beyond_it(layer, channels):
    grid, stride = Grid(45, 70, 32, 6), stride_at(layer)
    # At the stride of four, rounding up keeps a row more than rounding down.
    sides = -(-45 // stride), -(-70 // stride)
    values = np.random.default_rng(0).uniform(1, 2, (*sides, *channels))
    pieces = grid.pieces(values, layer)
    assert len(pieces) == grid.count == 6
    side = 32 // stride
    assert {piece.shape for piece in pieces} == {(side, side, *channels)}
    whole = np.concatenate([np.concatenate(pieces[row : row + 3], 1) for row in (0, 3)])
    np.testing.assert_array_equal(whole[: sides[0], : sides[1]], values)
    assert not whole[sides[0] :].any()
    assert not whole[:, sides[1] :].any()


GRIDS = [
    Grid(45, 70, 32, 6),
    Grid(48, 64, 32, 6, wraps=True),
    Grid(16, 32, 32, 70, wraps=True),  # so small that it is around itself several times
]


def normal(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape))


def frame_of(grid):
    """The sides of its frame."""
    return tuple(n * grid.tile + 2 * grid.halo for n in (grid.rows, grid.columns))


@pytest.mark.parametrize("grid", GRIDS)
def test_a_frame_is_the_picture_with_a_halo(grid):
    image = normal(grid.height, grid.width, 3)
    frame = framed(image, grid)
    assert frame.shape == (*frame_of(grid), 3)
    rows, columns = (np.arange(side) - grid.halo for side in frame.shape[:2])
    expected = np.asarray(image)[np.ix_(rows % grid.height, columns % grid.width)]
    if not grid.wraps:
        inside = [(x >= 0) & (x < n) for x, n in ((rows, grid.height), (columns, grid.width))]
        expected *= np.outer(*inside)[..., None]
    np.testing.assert_array_equal(frame, expected)


@pytest.mark.parametrize("grid", GRIDS)
def test_unframed_is_the_transpose_of_framed(float64, grid):
    image, slope = normal(grid.height, grid.width, 3), normal(*frame_of(grid), 3, seed=1)
    forward, back = jnp.vdot(framed(image, grid), slope), jnp.vdot(image, unframed(slope, grid))
    np.testing.assert_allclose(forward, back, rtol=1e-12)


def test_added_windows_are_the_transpose_of_cut_windows(float64):
    grid = Grid(45, 70, 32, 6)
    frame, sum_of_windows, together = normal(*frame_of(grid), 3), 0.0, jnp.zeros((76, 108, 3))
    for number in range(grid.count):
        place, piece = grid.place(number), normal(44, 44, 3, seed=number)
        sum_of_windows += jnp.vdot(window(frame, place, 44), piece)
        together = added(together, piece, place)
    np.testing.assert_allclose(jnp.vdot(frame, together), sum_of_windows, rtol=1e-12)


def test_a_window_has_its_tile_in_the_middle():
    grid = Grid(45, 70, 32, 6)
    image = normal(45, 70, 3)
    tile = window(framed(image, grid), grid.place(1), 44)[6:38, 6:38]
    np.testing.assert_array_equal(tile, image[:32, 32:64])


def test_one_program_cuts_every_window_of_frames_of_one_shape():
    frame = normal(76, 108, 3)
    places = [grid.place(grid.count - 1) for grid in (Grid(45, 70, 32, 6), Grid(64, 96, 32, 6))]
    window.clear_cache()
    with counted() as compiled:
        for place in [*places, Place(*map(np.int32, (5, 7, 45, 70)))]:
            window(frame, place, 43)
    assert compiled.count == 1
