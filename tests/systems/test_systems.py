"""Every published preset against ``record.py``: a float64 oracle that shares no code with it."""

import json
from collections.abc import Callable
from pathlib import Path

import jax
import pytest

from jaxstyle import resolve, weights
from jaxstyle.__main__ import main
from jaxstyle.presets import ALIASES, PRESETS
from jaxstyle.score import Score, score

HERE = Path(__file__).parent
ANY_SIZE, SAME_SIZE = (
    json.loads((HERE / name).read_text())["values"]
    for name in ("values.json", "values_same_size.json")
)
STRETCHED = {name for name in ANY_SIZE if resolve(name).style_fit == "stretch"}
"""Systems that give the style the size of the image: what they do with another one is undefined."""

PRECISIONS = {"float32": 1e-4, "float64": 1e-8}
"""The largest relative error of a term."""

ROUNDED = {("gatys-color", "float64"): 1e-6}
"""Its style picture is given the content's colors first, and these are kept in float32."""

Scored = Callable[[str, str], Score]


def pictures(name: str) -> tuple[Path, Path, Path]:
    """Image, content and style; sides are odd, and those of the style others where they may be."""
    style = "style_same_size.png" if name in STRETCHED else "style.png"
    return HERE / "image.png", HERE / "content.png", HERE / style


@pytest.fixture(scope="module")
def loaded() -> weights.Loaded:
    return weights.load(weights.find())


@pytest.fixture(scope="module")
def scored(loaded) -> Scored:
    """The score of the pictures by preset and precision, computed once."""
    known = {}

    def of(name: str, precision: str) -> Score:
        if (name, precision) not in known:
            with jax.enable_x64(precision == "float64"):
                made = score(*pictures(name), preset=name, weights_file=loaded)
            known[name, precision] = made
        return known[name, precision]

    return of


@pytest.mark.real_weights
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", ANY_SIZE)
def test_every_term_of_a_system_is_that_of_its_oracle(scored, name, precision):
    recorded = (SAME_SIZE if name in STRETCHED else ANY_SIZE)[name]
    error = ROUNDED.get((name, precision), PRECISIONS[precision])
    found = scored(name, precision)
    assert found.terms == pytest.approx(recorded["terms"], rel=error, abs=0)
    assert found.total == pytest.approx(recorded["total"], rel=error, abs=0)


GUIDED = {"deep-photo", "gatys-guided", "gatys-guided-inside", "gatys-guided-all"}
"""Without masks they measure what others do; their own tests are those of objective and guide."""


def test_every_published_preset_has_recorded_values():
    published = {name for name, preset in PRESETS.items() if preset.link}
    assert published - GUIDED == set(ANY_SIZE) == set(SAME_SIZE)


@pytest.mark.parametrize("alias", ALIASES)
def test_an_alias_is_the_preset_that_it_means(alias):
    assert ALIASES[alias] in PRESETS
    assert resolve(alias) == resolve(ALIASES[alias])


@pytest.mark.real_weights
@pytest.mark.parametrize("name, has_tv", [("gatys-pytorch", False), ("neural-style-pt", True)])
def test_the_command_prints_what_the_function_returns(scored, loaded, capsys, name, has_tv):
    image, content, style = map(str, pictures(name))
    command = ["score", image, "--content", content, "--style", style, "--preset", name]
    assert main([*command, "--weights", str(loaded.path), "--json"]) == 0

    printed, found = json.loads(capsys.readouterr().out), scored(name, "float32")
    assert set(printed) == {"preset", "total", "terms"}
    assert printed["preset"] == name
    assert printed["terms"] == pytest.approx(found.terms, rel=1e-6, abs=0)
    assert printed["total"] == pytest.approx(sum(printed["terms"].values()), rel=1e-12)
    assert ("tv" in printed["terms"]) == has_tv
