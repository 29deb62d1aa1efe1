"""A small run with the real VGG-19: the picture takes the style and keeps the photo."""

from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle import images, resolve
from jaxstyle.execution.factories import network_of
from jaxstyle.execution.inputs import inputs_at
from jaxstyle.execution.plan import plan, resize
from jaxstyle.execution.strategy import WHOLE
from jaxstyle.network import tuning, weights
from jaxstyle.runs.inputs import Inputs
from jaxstyle.runs.stylize import run

pytestmark = [pytest.mark.real_weights, pytest.mark.slow]

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def loaded():
    return weights.load(weights.find())


@pytest.fixture(scope="module")
def pictures():
    """A photo and a painting."""
    content = images.read(EXAMPLES / "photos" / "chelsea.jpg")
    return content, images.read(EXAMPLES / "styles" / "brushstrokes.jpg").rgb


def test_a_small_run_takes_the_style_and_keeps_the_photo(loaded, pictures):
    content, style = pictures
    settings = resolve(size=128, smallest_size=64, steps=(40, 20))
    result = run(loaded, Inputs(content, [style], settings))

    scale = plan(content.rgb, [style], settings)[-1]
    network = network_of(loaded, settings)
    scored = WHOLE.objective([inputs_at(scale, network, content.rgb, [style], settings)])
    shown = result.image, resize(content.rgb, scale, settings), resize(style, scale, settings)
    parts = jax.jit(lambda image: scored(image)[1])
    made, photo, painting = (parts(jnp.asarray(image)) for image in shown)

    def style_loss(terms):
        return sum(float(value) for name, value in terms.items() if name.startswith("style"))

    assert style_loss(made) < style_loss(photo) / 20
    assert made["content/relu4_2"] < painting["content/relu4_2"]
    assert result.image.std() > 0.1


@pytest.fixture(scope="module")
def short_run(loaded, pictures):
    """A function from the convolutions' algorithm and a precision to a run of 40 steps."""
    content, style = pictures

    @cache
    def made(algorithm, precision):
        settings = resolve(size=64, smallest_size=64, steps=40, precision=precision)
        with pytest.MonkeyPatch.context() as patch:
            chosen = dict.fromkeys(tuning.channels(), algorithm) if algorithm else {}
            patch.setattr(tuning, "algorithms", lambda _: chosen)
            return run(loaded, Inputs(content, [style], settings))

    return made


@pytest.mark.parametrize(
    ("algorithm", "precision", "apart"),
    [
        pytest.param("winograd", "float32", 2 / 255, id="on CPU"),
        # The pixels are further apart: see bench/NOTES.md.
        pytest.param(None, "bfloat16", 6 / 255, id="on accelerators"),
    ],
)
def test_quick_arithmetic_ends_at_the_same_loss_and_near_the_same_picture(
    short_run, algorithm, precision, apart
):
    """The final loss within 1 % of the plain algorithm's in float32, after the same steps."""
    plain, quick = short_run(None, "float32"), short_run(algorithm, precision)
    assert quick.computation["conv4_1"] == (algorithm or "direct")
    assert quick.computation["dtype"] == precision
    assert quick.losses[-1]["total"] == pytest.approx(plain.losses[-1]["total"], rel=0.01)
    assert 0 < np.abs(quick.image - plain.image).mean() < apart
