"""The packages of jaxstyle import each other in one direction."""

import subprocess
import sys

from tests.processes import ROOT

# A process of its own: import-linter sets up logging for the whole of it.
LINT = """
import sys
from importlinter.cli import lint_imports
sys.exit(lint_imports(no_cache=True))
"""


def test_no_package_imports_from_one_above_it():
    linted = subprocess.run(
        [sys.executable, "-c", LINT], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert linted.returncode == 0, linted.stdout + linted.stderr
    assert "2 kept, 0 broken" in linted.stdout
