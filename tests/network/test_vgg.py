"""The network against a plain NumPy evaluation, layer by layer."""

from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle.network import vgg
from tests.networks import features, small_arrays, small_network
from tests.numerics import assert_gradient

NUMPY_PADDING: dict[str, Any] = {"zeros": "constant", "reflect": "reflect"}
NUMPY_PADDING |= {"replicate": "edge", "circular": "wrap"}
WINDOW = {"max": np.max, "average": np.mean, "l2": lambda v, axis: np.sqrt((v**2).sum(axis))}
SCALE = {"max": 1, "average": 2, "l2": 0.78}


def numpy_pool(x, pooling, rounding="floor"):
    """Window by window; the last ones have what there is."""
    ceil = {"floor": False, "ceil": True, "ceil-max": pooling == "max"}[rounding]
    height, width = ((side + ceil) // 2 for side in x.shape[:2])
    pooled = np.empty((height, width, x.shape[2]))
    for i in range(height):
        for j in range(width):
            window = x[2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
            pooled[i, j] = WINDOW[pooling](window, axis=(0, 1))
    return pooled


def numpy_features(
    image, layers, pooling="max", padding="zeros", rounding="floor", pooling_scale=False
):
    """An independent VGG-19: loops, no JAX, double precision."""
    arrays = small_arrays()
    x = np.asarray(image, np.float64) * [4.0, 4.5, 5.0] - [2.0, 2.1, 1.9]
    features = {}
    for name in vgg.LAYERS:
        if name.startswith("conv"):
            mode, _, first_only = padding.partition("-")
            mode = "zeros" if first_only and name != "conv1_1" else mode
            kernel, bias = (np.asarray(a, np.float64) for a in arrays[name])
            padded = np.pad(x, ((1, 1), (1, 1), (0, 0)), mode=NUMPY_PADDING[mode])
            height, width = x.shape[:2]
            taps = product(range(3), range(3))
            x = bias + sum(padded[i : i + height, j : j + width] @ kernel[i, j] for i, j in taps)
        elif name.startswith("relu"):
            x = np.maximum(x, 0)
        else:
            x = numpy_pool(x, pooling, rounding) * (SCALE[pooling] if pooling_scale else 1)
        features[name] = x
        if all(layer in features for layer in layers):
            return {layer: features[layer] for layer in layers}
    raise AssertionError(layers)


pooled = jax.jit(vgg.pool, static_argnums=(1, 2))


def random_maps(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


OPTIONS = [
    {"pooling": "max", "padding": "zeros", "rounding": "floor"},
    {"pooling": "average", "padding": "reflect", "rounding": "floor"},
    {"pooling": "l2", "padding": "replicate", "rounding": "floor"},
    {"pooling": "max", "padding": "circular", "rounding": "ceil", "pooling_scale": True},
    {"pooling": "average", "padding": "reflect-first", "rounding": "ceil", "pooling_scale": True},
    {"pooling": "l2", "padding": "replicate-first", "rounding": "ceil", "pooling_scale": True},
    {"pooling": "average", "padding": "zeros", "rounding": "ceil-max"},
]


def test_every_option_of_the_network_is_tried():
    names = ("pooling", "padding", "rounding")
    tried = tuple({options[name] for options in OPTIONS} for name in names)
    assert tried == (set(vgg.POOLINGS), set(vgg.PADDINGS), set(vgg.ROUNDINGS))


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(map(str, o.values())))
def test_every_layer_equals_the_plain_evaluation(float64, picture, options):
    image = np.asarray(picture(height=37, width=34), np.float64)  # odd sizes on the way down
    ours = features(small_network(jnp.float64, **options), jnp.asarray(image), vgg.LAYERS)
    theirs = numpy_features(image, vgg.LAYERS, **options)
    assert set(ours) == set(vgg.LAYERS)
    for layer in vgg.LAYERS:
        assert ours[layer].dtype == jnp.float64
        np.testing.assert_allclose(ours[layer], theirs[layer], atol=1e-11, err_msg=layer)


@pytest.mark.parametrize("sides", [(6, 7), (5, 4), (3, 3), (1, 3), (1, 1)], ids=str)
def test_pooling_equals_the_plain_one_at_every_odd_size(float64, sides):
    maps = random_maps(*sides, 3)  # negative ones too, as a convolution's are
    roundings = vgg.ROUNDINGS if min(sides) > 1 else ["ceil"]
    ways = list(product(vgg.POOLINGS, roundings))
    ours = jax.jit(lambda x: [vgg.pool(x[None], *way)[0] for way in ways])(maps)
    for way, found in zip(ways, ours, strict=True):
        np.testing.assert_allclose(found, numpy_pool(maps, *way), atol=1e-14, err_msg=str(way))


@pytest.mark.parametrize("rounding", vgg.ROUNDINGS)
@pytest.mark.parametrize("pooling", vgg.POOLINGS)
def test_gradient_of_pooling_is_that_of_finite_differences(float64, pooling, rounding):
    maps, along = random_maps(1, 9, 7, 4), random_maps(1, 9, 7, 4, seed=1)
    total = jax.jit(jax.value_and_grad(lambda x: jnp.tanh(vgg.pool(x, pooling, rounding)).sum()))
    assert_gradient(total, maps, along, rtol=1e-5)


@pytest.mark.parametrize("rounding", vgg.ROUNDINGS)
def test_l2_pooling_of_zeros_has_no_gradient(rounding):
    maps = np.zeros((1, 5, 5, 2), np.float32)
    maps[0, 0, 0, 0] = 3
    gradient = jax.jit(jax.grad(lambda x: vgg.pool(x, "l2", rounding).sum()))(maps)
    np.testing.assert_array_equal(gradient, maps / 3)


@pytest.mark.parametrize("pooling", ["average", "l2"])
def test_pooling_of_bfloat16_is_rounded_once(pooling):
    maps = random_maps(1, 8, 8, 16).astype(jnp.bfloat16)
    found = pooled(maps, pooling, "floor")
    assert found.dtype == jnp.bfloat16
    exact = np.asarray(pooled(np.float32(maps), pooling, "floor"))
    np.testing.assert_array_equal(found, exact.astype(jnp.bfloat16))


@pytest.mark.parametrize("padding", ["reflect", "circular"])
def test_maps_of_one_pixel_repeat_it_and_have_a_gradient(picture, padding):
    network = small_network(pooling="l2", padding=padding)
    image = picture(height=16, width=31)

    def total(image):
        maps = network(image, ["relu5_2"])["relu5_2"]
        return jnp.sum(maps), maps

    gradient, maps = jax.jit(jax.grad(total, has_aux=True))(image)
    expected = numpy_features(image, ["relu5_2"], "l2", padding)["relu5_2"]
    assert maps.shape[:2] == (1, 1) and maps.dtype == jnp.float32
    np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-4)
    assert np.isfinite(gradient).all() and np.any(gradient)


def test_nothing_is_computed_beyond_the_deepest_layer(network, picture):
    for layers, convolutions in ((["relu1_1"], 1), (["conv1_1", "relu4_2"], 10), (["relu5_1"], 13)):
        program = jax.make_jaxpr(lambda image, layers=layers: network(image, layers))(picture())
        assert str(program).count("conv_gen") == convolutions


@pytest.mark.parametrize(
    ("alias", "name"),
    [("block5_conv1", "relu5_1"), ("block4_pool", "pool4"), (" Relu4_2 ", "relu4_2")],
)
def test_names_of_other_programs_are_aliases_of_layers(alias, name):
    assert vgg.canonical_layer(alias) == name


@pytest.mark.parametrize(("typo", "meant"), [("rellu4_2", "relu4_2"), ("conv2_3", "conv2_[12]")])
def test_a_typo_names_the_layer_meant(typo, meant):
    with pytest.raises(vgg.UnknownLayerError, match=f"no layer '{typo}'.*did you mean {meant}"):
        vgg.canonical_layer(typo)


def test_an_image_too_small_for_a_layer_says_so(network, picture):
    jax.eval_shape(lambda image: network(image, ["relu5_1"]), picture(height=16, width=16))
    with pytest.raises(vgg.TooSmallError, match="40x15.*too small for relu5_1.*at least 16"):
        network(picture(height=15, width=40), ["relu1_1", "relu5_1"])


def test_bfloat16_is_near_float32(network, picture):
    image = picture(0, 32, 24)
    exact = np.asarray(features(network, image, ["relu3_1"])["relu3_1"])
    rough = features(small_network(jnp.bfloat16), image, ["relu3_1"])["relu3_1"]
    assert rough.dtype == jnp.bfloat16
    error = np.abs(np.asarray(rough, np.float32) - exact)
    assert error.mean() < 0.02 * np.abs(exact).mean()
