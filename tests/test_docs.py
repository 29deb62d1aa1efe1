"""docs/systems.md says what the presets say."""

import importlib.util
from pathlib import Path

from jaxstyle.presets import PRESETS

DOCS = Path(__file__).parents[1] / "docs"


def test_the_table_of_runs_is_that_of_the_presets():
    spec = importlib.util.spec_from_file_location("check_systems", DOCS / "check_systems.py")
    assert spec and spec.loader
    check_systems = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(check_systems)
    assert check_systems.runs_table().strip() in (DOCS / "systems.md").read_text()


def test_every_system_has_its_row():
    rows = (DOCS / "systems.md").read_text().splitlines()
    for name, preset in PRESETS.items():
        assert not preset.link or any(
            f"`{name}`" in row and preset.link in row and preset.differs in row for row in rows
        ), f"python docs/check_systems.py -o docs/systems.md is due for {name}"
