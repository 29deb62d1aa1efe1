"""docs/systems.md says what the presets say."""

import importlib.util
from pathlib import Path

import pytest

from jaxstyle.presets import PRESETS

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def check_systems():
    spec = importlib.util.spec_from_file_location("check_systems", DOCS / "check_systems.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_of_runs_is_that_of_the_presets(check_systems):
    assert check_systems.runs_table().strip() in (DOCS / "systems.md").read_text()


@pytest.mark.parametrize("name", [name for name, preset in PRESETS.items() if preset.link])
def test_every_system_has_its_row(name):
    preset = PRESETS[name]
    rows = (DOCS / "systems.md").read_text().splitlines()
    assert any(
        f"`{name}`" in row and preset.link in row and preset.differs in row for row in rows
    ), f"python docs/check_systems.py -o docs/systems.md is due for {name}"
