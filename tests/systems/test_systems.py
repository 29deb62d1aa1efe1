"""Every published preset against ``record.py``: a float64 oracle that shares no code with it."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from jaxstyle import resolve
from jaxstyle.network import weights
from jaxstyle.presets import PRESETS
from jaxstyle.runs.score import score

HERE = Path(__file__).parent


STRETCHED = {name for name in PRESETS if resolve(name).style_fit == "stretch"}
"""Systems that give the style the size of the image: what they do with another one is undefined."""


def recorded(file: str) -> dict[str, dict]:
    """Terms and total by system, of the style pictures that ``pictures`` names."""
    any_size, same_size = (
        json.loads((HERE / f"{file}{style}.json").read_text())["values"]
        for style in ("", "_same_size")
    )
    assert set(any_size) == set(same_size)
    return {n: same_size[n] if n in STRETCHED else any_size[n] for n in any_size}


REAL, SMALL = recorded("values"), recorded("values_small")

PRECISIONS = {"float32": 1e-4, "float64": 1e-8}
"""The largest relative error of a term."""

ROUNDED = {("gatys-color", "float64"): 1e-6}
"""Its style picture is given the content's colors first, and these are kept in float32."""


def pictures(name: str) -> tuple[Path, Path, Path]:
    """Image, content and style; sides are odd, and those of the style others where they may be."""
    style = "style_same_size.png" if name in STRETCHED else "style.png"
    return HERE / "image.png", HERE / "content.png", HERE / style


def every_second_pixel(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))[::2, ::2]


def assert_scored(found, expected, name, precision):
    error = ROUNDED.get((name, precision), PRECISIONS[precision])
    assert found.terms == pytest.approx(expected["terms"], rel=error, abs=0)
    assert found.total == pytest.approx(expected["total"], rel=error, abs=0)


@pytest.mark.parametrize(
    ("name", "precision"),
    [*((name, "float64") for name in SMALL), ("crowsonkb", "float32"), ("gatys-2016", "float32")],
)
def test_every_term_of_a_system_is_that_of_its_oracle(small_weights, name, precision):
    """With few channels, on every second pixel."""
    shown = map(every_second_pixel, pictures(name))
    with jax.enable_x64(precision == "float64"):
        found = score(*shown, preset=name, weights_file=small_weights)
    assert_scored(found, SMALL[name], name, precision)


@pytest.fixture(scope="module")
def loaded() -> weights.Loaded:
    return weights.load(weights.find())


@pytest.mark.slow
@pytest.mark.real_weights
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", REAL)
def test_every_term_with_the_real_weights_is_that_of_its_oracle(loaded, name, precision):
    with jax.enable_x64(precision == "float64"):
        found = score(*pictures(name), preset=name, weights_file=loaded)
    assert_scored(found, REAL[name], name, precision)


ALIKE = {"deep-photo", "gatys-guided", "gatys-guided-inside", "gatys-guided-all", "ruder"}
"""Without masks, and for a frame alone, they measure what others do. Their own tests are those of
the objective, the guides and the temporal loss."""


def test_every_published_preset_has_recorded_values():
    published = {name for name, preset in PRESETS.items() if preset.link}
    assert published - ALIKE == set(REAL) == set(SMALL)
