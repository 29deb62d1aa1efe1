"""The packages of jaxstyle import each other in one direction."""

from pathlib import Path

from importlinter import cli

CONTRACTS = Path(__file__).parents[1] / "pyproject.toml"


def test_no_package_imports_from_one_above_it(capsys):
    status = cli.lint_imports(config_filename=str(CONTRACTS), no_cache=True)
    assert status == cli.EXIT_STATUS_SUCCESS, capsys.readouterr().out
