"""The command ``jaxstyle studio``."""

import sys

import pytest

from jaxstyle.__main__ import main
from jaxstyle.cli import studio


def test_without_the_extra_one_line_says_what_to_install(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "gradio", None)
    for name in [name for name in sys.modules if name.startswith("jaxstyle.studio")]:
        monkeypatch.delitem(sys.modules, name)
    assert main(["studio", "--folder", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "pip install 'jaxstyle[studio]'" in said and said.count("\n") == 1


def test_a_password_is_made_up_and_printed(monkeypatch, capsys):
    monkeypatch.delenv("JAXSTYLE_PASSWORD", raising=False)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
    first, second = (studio.password_for("0.0.0.0", print) for _ in range(2))
    assert first != second and len(first) >= 16
    assert first in capsys.readouterr().err


def test_a_short_password_is_refused(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("JAXSTYLE_PASSWORD", "short")
    assert main(["studio", "--folder", str(tmp_path / "s"), "--host", "0.0.0.0"]) == 2
    assert "too short" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_told(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["studio", "--folder", str(tmp_path / "file")]) == 1
    assert "cannot be made the studio's folder" in capsys.readouterr().err


@pytest.mark.parametrize(("variables", "screen"), [({}, False), ({"DISPLAY": ":0"}, True)])
def test_a_browser_is_opened_where_there_is_a_screen(monkeypatch, variables, screen):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(sys, "platform", "linux")
    assert studio.has_screen() is screen
    monkeypatch.setenv("SSH_CONNECTION", "here there")
    assert not studio.has_screen()
