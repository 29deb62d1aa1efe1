"""A small run with the real VGG-19: the picture takes the style and keeps the photo."""

from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxstyle.execution.formulation import objective_at

from jaxstyle import images, resolve
from jaxstyle.execution.factories import network_of
from jaxstyle.execution.plan import plan, resize
from jaxstyle.network import tuning, weights
from jaxstyle.runs.stylize import run

pytestmark = [pytest.mark.real_weights, pytest.mark.slow]

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_a_small_run_takes_the_style_and_keeps_the_photo():
    loaded = weights.load(weights.find())
    content = images.read(EXAMPLES / "photos" / "chelsea.jpg")
    style = images.read(EXAMPLES / "styles" / "brushstrokes.jpg").rgb
    settings = resolve(size=128, smallest_size=64, steps=(40, 20))
    result = run(loaded, content, [style], settings, lambda progress: None)

    scale = plan(content.rgb, [style], settings)[-1]
    scored = objective_at(scale, network_of(loaded, settings), content.rgb, [style], settings)
    parts = jax.jit(lambda image: scored(image)[1])
    made, photo, painting = (
        {name: float(value) for name, value in parts(jnp.asarray(picture)).items()}
        for picture in (
            result.image,
            resize(content.rgb, scale, settings),
            resize(style, scale, settings),
        )
    )

    def style_loss(terms):
        return sum(value for name, value in terms.items() if name.startswith("style"))

    assert style_loss(made) < style_loss(photo) / 20
    assert made["content/relu4_2"] < painting["content/relu4_2"]
    assert result.image.std() > 0.1


@pytest.fixture(scope="module")
def short_run():
    """A function from the convolutions' algorithms and a precision to a run of 40 steps."""
    loaded = weights.load(weights.find())
    content = images.read(EXAMPLES / "photos" / "chelsea.jpg")
    style = images.read(EXAMPLES / "styles" / "brushstrokes.jpg").rgb

    @cache
    def made(algorithm, precision="float32"):
        settings = resolve(size=64, smallest_size=64, steps=40, precision=precision)
        with pytest.MonkeyPatch.context() as patch:
            chosen = dict.fromkeys(tuning.channels(), algorithm) if algorithm else {}
            patch.setattr(tuning, "algorithms", lambda _: chosen)
            return run(loaded, content, [style], settings, lambda progress: None)

    return made


def test_what_is_chosen_on_cpu_is_not_seen_in_the_picture(short_run):
    """The final loss within 1 % of the plain algorithm's after the same steps, and the picture
    within 2/255 on average."""
    plain, fast = short_run(None), short_run("winograd")
    assert fast.computation["conv4_1"] == "winograd"
    assert fast.losses[-1]["total"] == pytest.approx(plain.losses[-1]["total"], rel=0.01)
    assert np.abs(fast.image - plain.image).mean() < 2 / 255
    assert not np.array_equal(fast.image, plain.image)


def test_what_is_chosen_on_accelerators_scores_the_same(short_run):
    """The final loss within 1 % of float32's. The pixels are further apart: see bench/NOTES.md."""
    plain, half = short_run(None), short_run(None, "bfloat16")
    assert half.computation["dtype"] == "bfloat16"
    assert half.losses[-1]["total"] == pytest.approx(plain.losses[-1]["total"], rel=0.01)
    assert np.abs(half.image - plain.image).mean() < 6 / 255
