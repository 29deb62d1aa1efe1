"""Tests of python -m bench: wrong usage and missing packages are one line."""

import importlib

import pytest

from bench import record
from bench.__main__ import main


def test_a_command_that_is_not_there_is_refused(capsys):
    with pytest.raises(SystemExit) as refused:
        main(["mating"])
    assert refused.value.code == 2
    assert "mating" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "module", "package"),
    [
        ("matting", "pymatting", "pymatting"),
        ("peers", "bench.torch_peers", "PyTorch"),
        ("report", "bench.plots", "matplotlib"),
    ],
)
def test_a_missing_package_is_one_line(capsys, monkeypatch, tmp_path, command, module, package):
    find = importlib.import_module

    def missing(name):
        if name == module:
            package_name = package.lower().replace("pytorch", "torch")
            raise ModuleNotFoundError(f"No module named {package_name!r}", name=package_name)
        return find(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    record.save(record.record("speed", {}, []), tmp_path / "speed.json")
    places = ["--results", tmp_path, "--output", tmp_path / "page.md", "--plots", tmp_path]
    flags = map(str, places) if command == "report" else ["--quick"]
    assert main([command, *flags]) == 2
    needs = f"jaxstyle: {command} needs {package}: pip install 'jaxstyle[bench]'\n"
    assert capsys.readouterr().err == needs
