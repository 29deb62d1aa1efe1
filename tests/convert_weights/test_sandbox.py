"""Files are parsed in a process of its own: what ends that process is one line here."""

import os
import sys

import pytest

from convert_weights import sandbox
from convert_weights.sources import load_source
from convert_weights.weights_file import read_weights
from tests.cases import for_each
from tests.convert_weights.conftest import refusal


@pytest.fixture
def parser() -> None:
    """Files are parsed in a process of its own, as in use."""


@pytest.fixture
def refused(monkeypatch, tmp_path):
    """A function that runs lines in place of the parser, and returns the message without path."""
    path = tmp_path / "vgg19.h5"
    path.write_bytes(b"weights")

    def run(*lines: str, read=load_source) -> str:
        body = "".join(f"\n    {line}" for line in lines)
        program = f"""
import os, signal, sys, time
sys.path[:] = sys.argv[5:]
from convert_weights import sandboxed
def parse(path):{body}
sandboxed.reader = lambda only_own: parse
sandboxed.main(*sys.argv[1:5])
"""
        monkeypatch.setattr(sandbox, "_PROGRAM", program)
        return refusal(read, path).removeprefix(f"{path}: ")

    return run


@for_each("read", [load_source, read_weights])
def test_a_crash_is_one_line(refused, read):
    crash = "os.kill(os.getpid(), signal.SIGSEGV)"
    told = "a damaged file: it crashes the library that reads it (SIGSEGV)"
    assert refused("print('this stays in the process')", crash, read=read) == told


@for_each(
    ("line", "message"),
    [
        ("raise IndexError('a\\x1b[2J\\nb')", "a damaged file (IndexError: a?[2J b)"),
        ("raise MemoryError", "reading it takes more memory than a VGG-19 in a file of this size"),
        ("raise PermissionError(13, 'Permission denied')", "cannot be read: Permission denied"),
        ("os._exit(3)", "the process that reads it failed: status 3"),
        ("sys.exit('no h5py')", "the process that reads it failed: no h5py"),
        ("os.kill(os.getpid(), 9)", "reading it takes more memory than a VGG-19"),
        ("os.kill(os.getpid(), 15)", "the process that reads it was ended by SIGTERM"),
    ],
)
def test_other_ends_are_one_line_too(refused, line, message):
    assert refused(line).startswith(message)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems limit less")
def test_memory_is_limited(refused):
    told = "reading it takes more memory than a VGG-19 in a file of this size"
    assert refused("bytearray(600 << 20)") == told
    assert (
        refused("bytearray(400 << 20)", "raise ValueError")
        == "a damaged file (ValueError: ValueError)"
    )


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems limit less")
def test_processor_time_is_limited(refused):
    told = "refused: reading it takes more than the 2 s that a VGG-19 of its size needs"
    assert refused("while True: pass") == told


def test_a_process_that_sleeps_is_ended(refused, monkeypatch):
    monkeypatch.setattr(sandbox, "_SECONDS", 0.1)
    monkeypatch.setattr(sandbox, "_START", 0.1)
    assert "takes more than" in refused("time.sleep(60)")


@pytest.mark.skipif(os.name == "nt", reason="Windows has other groups")
def test_ctrl_c_is_for_the_calling_process(refused):
    assert refused("raise ValueError(os.getpgid(0) == os.getpid())").endswith("(ValueError: True)")


def test_where_no_process_can_be_started(tmp_path, monkeypatch):
    (tmp_path / "x.h5").write_bytes(b"weights")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no python"))
    told = refusal(load_source, tmp_path / "x.h5")
    assert "no process can be started to read it: No such file" in told
