"""The network against a plain NumPy evaluation, layer by layer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle import vgg
from tests.conftest import features, small_arrays, small_network

NUMPY_PADDING = {"zeros": "constant", "reflect": "reflect", "replicate": "edge"}


def numpy_features(image, layers, pooling="max", padding="zeros"):
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
            x = bias + sum(
                padded[i : i + height, j : j + width] @ kernel[i, j]
                for i in range(3)
                for j in range(3)
            )
        elif name.startswith("relu"):
            x = np.maximum(x, 0)
        else:
            height, width = (side // 2 for side in x.shape[:2])
            cells = x[: 2 * height, : 2 * width].reshape(height, 2, width, 2, -1)
            x = cells.max((1, 3)) if pooling == "max" else cells.mean((1, 3))
        features[name] = x
        if all(layer in features for layer in layers):
            return {layer: features[layer] for layer in layers}
    raise AssertionError(layers)


@pytest.mark.parametrize("pooling", vgg.POOLINGS)
@pytest.mark.parametrize("padding", vgg.PADDINGS)
def test_every_layer_equals_the_plain_evaluation(picture, pooling, padding):
    image = picture(height=37, width=50)  # odd sizes on the way down
    network = small_network(pooling=pooling, padding=padding)
    ours = features(network, image, vgg.LAYERS)
    theirs = numpy_features(image, vgg.LAYERS, pooling, padding)
    assert set(ours) == set(vgg.LAYERS)
    for layer in vgg.LAYERS:
        np.testing.assert_allclose(ours[layer], theirs[layer], rtol=1e-4, atol=1e-4, err_msg=layer)


def test_it_computes_no_further_than_the_deepest_layer(network, picture):
    def convolutions(layers):
        return str(jax.make_jaxpr(lambda image: network(image, layers))(picture())).count(
            "conv_gen"
        )

    assert convolutions(["relu1_1"]) == 1
    assert convolutions(["conv1_1", "relu4_2"]) == 10
    assert convolutions(["relu5_1"]) == 13


def test_gradient_equals_float64_finite_differences(float64, picture):
    network = small_network(jnp.float64, pooling="average")
    image = jnp.asarray(picture(height=16, width=16), jnp.float64)
    direction = jnp.asarray(np.random.default_rng(1).normal(size=image.shape))

    @jax.jit
    def total(image):
        return sum(jnp.sum(jnp.tanh(f)) for f in network(image, ["conv1_2", "conv3_1"]).values())

    step = 1e-6
    numeric = (total(image + step * direction) - total(image - step * direction)) / (2 * step)
    exact = jnp.vdot(jax.grad(total)(image), direction)
    np.testing.assert_allclose(exact, numeric, rtol=1e-6)


@pytest.mark.parametrize(
    ("alias", "name"),
    [("block5_conv1", "relu5_1"), ("block4_pool", "pool4"), (" Relu4_2 ", "relu4_2")],
)
def test_aliases_are_accepted_at_the_door(alias, name):
    assert vgg.canonical_layer(alias) == name


@pytest.mark.parametrize(("typo", "meant"), [("rellu4_2", "relu4_2"), ("conv2_3", "conv2_[12]")])
def test_a_typo_names_the_layer_meant(typo, meant):
    with pytest.raises(vgg.UnknownLayerError, match=f"no layer '{typo}'.*did you mean {meant}"):
        vgg.canonical_layer(typo)


def test_an_image_too_small_for_a_layer_says_so(network, picture):
    network(picture(height=16, width=16), ["relu5_1"])
    with pytest.raises(vgg.TooSmallError, match="40x15.*too small for relu5_1.*at least 16"):
        network(picture(height=15, width=40), ["relu1_1", "relu5_1"])


def test_vmap_over_images_equals_one_by_one(network, picture):
    images = jnp.stack([picture(0), picture(1)])
    batched = jax.jit(jax.vmap(lambda image: network(image, ["relu3_1"])))(images)["relu3_1"]
    for image, maps in zip(images, batched, strict=True):
        np.testing.assert_allclose(
            maps, features(network, image, ["relu3_1"])["relu3_1"], atol=1e-5
        )


def test_bfloat16_is_near_float32(network, picture):
    exact = features(network, picture(), ["relu4_1"])["relu4_1"]
    rough = features(small_network(jnp.bfloat16), picture(), ["relu4_1"])["relu4_1"]
    assert rough.dtype == jnp.bfloat16
    error = np.abs(np.asarray(rough, np.float32) - exact)
    assert error.mean() < 0.02 * np.abs(exact).mean()
