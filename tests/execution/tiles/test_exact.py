"""In tiles: the loss, every term of it and the gradient are those of the whole picture."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle.execution.tiles.build import build
from jaxstyle.guidance.masks import Regions, everywhere
from jaxstyle.guidance.propagate import guides
from jaxstyle.losses import CONTENT_LOSSES, STYLE_LOSSES, TV_LOSSES, matting, objective
from jaxstyle.losses.objective import LossSpec
from jaxstyle.losses.temporal import Earlier
from jaxstyle.network.vgg import PADDINGS, POOLINGS, ROUNDINGS
from tests.networks import small_network

LAYERS = {
    "content_weights": {"relu1_2": 0.5},
    "style_weights": {"relu1_1": 20.0, "relu2_1": 5.0},
}
"""With a pooling between them."""

DEEPER = {
    "content_weights": {"relu2_2": 0.5},
    "style_weights": {"relu1_1": 20.0, "relu3_1": 3.0},
}
"""With two: every four pixels there is one position."""

PLAIN = {
    **LAYERS,
    "tv_weight": 25.0,
    "content_loss": "content",
    "style_loss": "gram",
    "tv_loss": "total-variation",
    "white": 1.0,
    "normalize_gradients": False,
    "photorealism_weight": 1e-3,
    "temporal_weight": 2.0,
}

OF_NETWORK = ("pooling", "rounding", "padding", "pooling_scale")

value_and_gradient = jax.jit(lambda scored, image: jax.value_and_grad(scored, has_aux=True)(image))


def corner_and_rest(*sides):
    """Masks of pictures: the first region is so small that it lies in one tile alone."""
    masks = [np.zeros((2, *each), np.float32) for each in sides]
    for corner, rest in masks:
        corner[:11, :9] = 1
        rest[:] = 1 - corner
    return Regions(("corner", "rest"), masks[0], tuple(masks[1:]))


def assert_same(losses, expected, rtol):
    """Total losses are the same, and so are all their terms."""
    (total, terms), (expected_total, expected_terms) = losses, expected
    np.testing.assert_allclose(total, expected_total, rtol=rtol)
    assert set(terms) == set(expected_terms)
    for name, value in expected_terms.items():
        np.testing.assert_allclose(terms[name], value, rtol=rtol, err_msg=name)


def guides_of_gradients(content, styles, network, spec):
    """Return the guides of pictures that fade to the left, and are transparent in a corner."""
    alphas = [
        np.linspace(0, 1, h * w, dtype=np.float32).reshape(h, w) for h, w in (content, *styles)
    ]
    for alpha in alphas:
        alpha[:7, :9] = 0
    layers = list(spec.style_weights), list(spec.content_weights)
    own = network, content, styles, layers[0], "augmented", alphas, layers[1]
    return guides(everywhere(len(styles)), *own)


def earlier_frames(count, height, width, dtype):
    """So many earlier frames, if there are any, of any reliability."""
    if not count:
        return None
    images, each = (
        np.random.default_rng(9).uniform(size=(height, width, count, *more)).astype(dtype)
        for more in ((3,), ())
    )
    return Earlier(images, each)


@pytest.fixture
def compared(picture):
    """A function from a case to both objectives and an image, compared as far as ``rtol``."""

    def compare(
        sides,
        tile,
        rtol,
        *,
        dtype=jnp.float64,
        styles=1,
        guided=False,
        clear=False,
        photo=False,
        earlier=0,
        **options,
    ):
        of_network = {name: options.pop(name) for name in OF_NETWORK if name in options}
        network, spec = small_network(dtype, **of_network), LossSpec(**{**PLAIN, **options})
        precise = jnp.promote_types(dtype, jnp.float32)
        every = [sides, sides, *((60 - 9 * n, 40) for n in range(styles))]
        content, image, *shown = jax.device_put(
            [np.asarray(picture(seed, *each), precise) for seed, each in enumerate(every)]
        )
        own = None
        if guided:
            (_, *each), layers = every, list(spec.style_weights)
            own = guides(corner_and_rest(*each), network, each[0], each[1:], layers, "augmented")
        if clear:
            own = guides_of_gradients(every[0], every[2:], network, spec)
        local = matting.target(content) if photo else None
        before = earlier_frames(earlier, *sides, precise)
        given = {"guides": own, "local_colors": local, "earlier": before}
        whole = objective.build(network, content, shown, spec, **given)
        tiled = build(network, content, shown, tile, spec, own, photo, before)
        (total, terms), gradient = value_and_gradient(whole, image)
        found = tiled.gradient(image)
        assert all(terms.values())  # or there would be nothing to be compared
        assert_same(found[:2], (total, terms), rtol)
        assert found[2].dtype == gradient.dtype
        largest = float(jnp.max(jnp.abs(gradient)))
        np.testing.assert_allclose(found[2], gradient, rtol=0, atol=rtol * largest)
        return tiled, image, found[:2]

    return compare


CASES = [
    {"photo": True, "earlier": 2},
    {
        "style_loss": "gram-relative",
        "content_loss": "content-relative",
        "clear": True,
        "tv_loss": "total-variation-absolute",
        "pooling": "average",
        "rounding": "ceil",
        "padding": "replicate-first",
        "sides": (61, 83),
        "tile": 16,
        "styles": 2,
        "style_blend": (0.3, 0.7),
    },
    {
        **DEEPER,
        "style_loss": "gram-size",
        "content_loss": "content-sum",
        "tv_loss": "total-variation-half",
        "pooling": "l2",
        "rounding": "ceil",
        "padding": "reflect",
        "white": 255.0,
        "earlier": 1,
        "sides": (71, 4),  # one position at the deepest layer
    },
    {
        "style_loss": "gram-sum",
        "content_weights": {},
        "tv_loss": "total-variation-power",
        "rounding": "ceil",
        "padding": "replicate",
        "sides": (20, 90),
        "styles": 2,
        "style_blend": (1.0, 3.0),
        "sum_styles": True,
    },
    {
        "style_loss": "gram-keras",
        "content_weights": {},
        "tv_loss": "total-variation-nine",
        "rounding": "ceil-max",
        "padding": "reflect-first",
        "sides": (49, 35),
        "guided": True,
    },
    {
        "style_loss": "gram-centered",
        "content_loss": "content-sum",
        "pooling": "average",
        "rounding": "ceil",  # and no odd row for it, where the picture wraps around
        "padding": "circular",
        "sides": (64, 48),
        "guided": True,
    },
    {
        "style_loss": "mean-std",
        "content_loss": "content-sum",
        "clear": True,
        "tv_loss": "total-variation-nine",
        "pooling": "l2",
        "rounding": "ceil-max",
        "sides": (18, 71),
        "normalize_gradients": True,
    },
    {
        "style_loss": "wasserstein",
        "content_weights": {},
        "tv_loss": "total-variation-half",
        "pooling": "average",
        "rounding": "ceil-max",
        "padding": "replicate",
        "pooling_scale": True,
        "sides": (45, 49),
        "tile": 20,
    },
]
"""Every loss, pooling, rounding and padding, and most pairs of them that could interfere."""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.get("style_loss", "gram"))
def test_losses_and_gradients_in_tiles_are_those_of_the_whole_picture(float64, compared, case):
    compared(**{"sides": (75, 49), "tile": 32, "rtol": 1e-10, **case})


def test_the_cases_cover_every_loss_and_every_network():
    for name, choices in (
        ("style_loss", STYLE_LOSSES),
        ("content_loss", CONTENT_LOSSES),
        ("tv_loss", TV_LOSSES),
        ("pooling", POOLINGS),
        ("rounding", ROUNDINGS),
        ("padding", PADDINGS),
    ):
        first = {"pooling": "max", "rounding": "floor", "padding": "zeros", **PLAIN}[name]
        assert {case.get(name, first) for case in CASES} == set(choices)


def case_of(style_loss):
    (case,) = [case for case in CASES if case.get("style_loss") == style_loss]
    return {"tile": 32, "rtol": 1e-10, **case}


@pytest.mark.slow
@pytest.mark.parametrize("sides", [(33, 33), (21, 30)], ids=["a pixel more", "less"])
def test_pictures_that_are_little_larger_than_a_tile_or_smaller(float64, compared, sides):
    compared(**{**case_of("gram-size"), "sides": sides})


@pytest.mark.parametrize("padding", ["zeros", "circular"])
@pytest.mark.parametrize("tv_loss", TV_LOSSES)
def test_every_prior_alone(float64, compared, tv_loss, padding):
    """Without the network: pixels that count twice at a seam, or not at all beyond a border."""
    nothing = {"content_weights": {}, "style_weights": {}}
    around_itself = [(3, 16)] if (tv_loss, padding) == ("total-variation-nine", "circular") else []
    for sides in ((33, 47), *around_itself):
        compared(sides, 16, 1e-10, tv_loss=tv_loss, padding=padding, **nothing)


@pytest.mark.slow
def test_the_deepest_layers(float64, compared):
    """A plain run has the cases of ``DEEPER`` for these, and how far they see, in ``test_grid``."""
    weights = {"relu1_1": 20.0, "relu5_1": 1.0}
    network = {"padding": "replicate-first", "pooling": "average", "rounding": "ceil"}
    layers = {"content_weights": {"relu4_2": 1.0}, "style_weights": weights}
    compared((97, 131), 64, 1e-10, **layers, **network)


# The others are left out of a plain run: they differ in the losses, whose sums the cases in float64
# hold to more digits, and in the size of tiles.
@pytest.mark.parametrize(
    "number",
    [pytest.param(n, marks=[pytest.mark.slow] if n != 1 else []) for n in range(len(CASES))],
)
def test_in_single_precision(compared, number):
    """In tiles of 64 to 512 by turns, so many that the first pass has sums to merge."""
    case, tile = CASES[number], (64, 128, 256, 512)[number % 4]
    # Roots of a matrix lose digits: here the whole picture's loss too is 7e-5 off.
    rtol = 1e-4 if case.get("style_loss") == "wasserstein" else 1e-5
    sides = (2 * tile + 32, 64) if case.get("padding") == "circular" else (2 * tile + 11, 75)
    given = {**case, "tile": tile, "sides": sides, "rtol": rtol, "dtype": jnp.float32}
    tiled, *_ = compared(**given)
    assert tiled.grid.first_pass.count == 2


@pytest.mark.slow
def test_in_half_precision(compared):
    """Each sum is rounded where a map is: not at the same places as in the whole picture."""
    compared((49, 35), 32, 0.02, dtype=jnp.bfloat16, style_weights={"relu2_1": 5.0})


def test_losses_without_a_gradient_are_the_same(float64, compared):
    tiled, image, losses = compared(**case_of("gram-keras"))
    again = tiled(image)
    assert_same(again, losses, 1e-12)
    assert list(again[1]) == list(losses[1])
