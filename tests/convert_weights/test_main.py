"""Tests of the command line: output, one-line errors, exit status."""

import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from convert_weights import __main__ as cli
from convert_weights.vgg19 import Convolution
from convert_weights.weights_file import read_weights, write_weights
from jaxstyle.errors import WeightsError
from tests.cases import for_each
from tests.convert_weights import writers


@pytest.fixture
def source(written, scratch, monkeypatch):
    monkeypatch.chdir(scratch)
    (scratch / "source.h5").write_bytes(written)
    return scratch / "source.h5"


@pytest.fixture
def fails(capsys):
    """A function that runs a command that fails, and returns the last line it prints."""

    def run(*arguments: str) -> str:
        capsys.readouterr()
        assert cli.main(arguments) == 1
        captured = capsys.readouterr()
        *notes, last = captured.err.splitlines()
        assert last.startswith("error: ")
        assert not any("Traceback" in note for note in notes)
        assert captured.out == ""
        return last.removeprefix("error: ")

    return run


def dtype(path: str) -> np.dtype:
    with h5py.File(path) as file:
        return file["conv1_1/kernel"].dtype


def test_a_source_is_converted_to_vgg19_by_default(source, capsys, arrays):
    assert cli.main(["source.h5"]) == 0
    bias = read_weights(Path("vgg19.h5")).layers["conv1_1"].bias
    np.testing.assert_array_equal(bias, arrays["conv1_1"][1])
    out = capsys.readouterr().out
    assert out == "vgg19.h5: VGG-19 from random.pth, not normalized, float32, 0.4 MB\n"


def test_an_existing_output_is_replaced_by_force_only(source, fails):
    assert cli.main(["source.h5", "-o", "small.h5", "--dtype", "float16"]) == 0
    assert dtype("small.h5") == np.float16
    assert fails("source.h5", "-o", "small.h5") == (
        "small.h5: already exists; use --force to replace it, or another name"
    )
    assert Path("small.h5").read_bytes() == source.read_bytes()
    assert cli.main(["source.h5", "-o", "small.h5", "--force"]) == 0
    assert dtype("small.h5") == np.float32
    assert cli.main(["small.h5", "-o", "small.h5", "--force"]) == 0
    assert read_weights(Path("small.h5")).source == "random.pth"


def test_weights_are_normalized_on_a_folder_of_pictures(source, capsys):
    Path("pictures").mkdir()
    Image.effect_noise((64, 64), 60).convert("RGB").save("pictures/noise.png")
    assert cli.main(["source.h5", "--normalize", "pictures", "--dtype", "float16"]) == 0
    assert read_weights(Path("vgg19.h5")).normalized
    captured = capsys.readouterr()
    assert "from random.pth, normalized, float16" in captured.out
    assert "never active on these 1 pictures" in captured.err


def test_without_a_source_the_default_is_fetched(source, weights, monkeypatch, capsys):
    monkeypatch.setattr(cli, "fetch_weights", lambda: weights)
    assert cli.main(["--dtype", "float16"]) == 0
    assert Path("vgg19.h5").read_bytes() == source.read_bytes()
    assert "fetching the normalized VGG-19" in capsys.readouterr().err


@for_each(
    ("arguments", "message"),
    [
        ("none.mat", "none.mat: no such file"),
        (".", ".: a directory, not a file"),
        ("source.h5 -o none/x.h5", "the directory none does not exist"),
        ("-o none/x.h5", "the directory none does not exist"),  # told before anything is fetched
        ("source.h5 -o .", ".: a directory; name the file to write"),
        ("source.h5 --normalize none", "none: no such directory"),
        ("--info none.h5", "none.h5: no such file"),
        ("http://127.0.0.1:9/x.mat", "http://127.0.0.1:9/x.mat: Connection refused"),
    ],
)
def test_failures_are_told_in_one_line(source, monkeypatch, fails, arguments, message):
    def forbidden():
        raise AssertionError("fetched")

    monkeypatch.setattr(cli, "fetch_weights", forbidden)
    assert message in fails(*arguments.split())
    assert not Path("vgg19.h5").exists()


@for_each(
    "arguments",
    ["--dtype int8", "a b", "--nonsense", "--info x y", "--info", "--info x --dtype float16"],
)
def test_wrong_usage_is_told_in_one_line(capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments.split())
    assert caught.value.code == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: ")
    assert printed.count("\n") == 1


def test_an_interrupt_writes_nothing(source, monkeypatch, capsys):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "load_source", interrupt)
    assert cli.main(["source.h5"]) == 130
    assert capsys.readouterr().err == "interrupted; nothing was written\n"
    assert not Path("vgg19.h5").exists()


def test_unexpected_errors_are_one_line_too_unless_debugging(source, monkeypatch, fails):
    def fail(*arguments):
        raise ZeroDivisionError("a\nb")

    monkeypatch.setattr(cli, "load_source", fail)
    assert fails("source.h5") == "unexpected ZeroDivisionError: a b (--debug tells more)"
    with pytest.raises(ZeroDivisionError):
        cli.main(["source.h5", "--debug"])
    with pytest.raises(WeightsError):
        cli.main(["--info", "none.h5", "--debug"])


def test_info_describes_weights_of_this_project(source, arrays, capsys):
    assert cli.main(["--info", "source.h5"]) == 0
    out = capsys.readouterr().out
    parameters = sum(kernel.size + bias.size for kernel, bias in arrays.values())
    for part in (
        *("weights of this project (HDF5)", "random.pth", "BGR x 255", "103.939, 116.779, 123.68"),
        *("1, 2, 4", "zeros", f"16 convolutions, {parameters:,} parameters", "3x3x24x32", "none"),
    ):
        assert part in out


@for_each("field", ["source", "source_sha256", "licence"])
def test_info_of_a_hostile_file_is_printable(weights, scratch, capsys, field):
    path = scratch / "x\x1b[2J.h5"
    write_weights(
        path, replace(weights, **{field: "a\x1b[31mred\nmade up     no\u202e"}), force=True
    )
    assert cli.main(["--info", str(path)]) == 0
    out = capsys.readouterr().out
    assert all(line.isprintable() for line in out.splitlines())
    assert "a?[31mred made up no?" in out
    assert "x?[2J.h5" in out


@for_each("arguments", [["--x\x1b[2J\ny"], ["a", "b\nc\x07"], ["a\x1b\nb"], ["http://a\x1b\nb/"]])
def test_what_the_user_types_is_printed_plainly(capsys, arguments):
    with suppress(SystemExit):
        assert cli.main(arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.isprintable()


def test_closed_streams_are_no_failure(source, monkeypatch):
    monkeypatch.setattr("sys.stderr", None)
    monkeypatch.setattr("sys.stdout", None)
    assert cli.main(["source.h5"]) == 0
    assert cli.main(["source.h5"]) == 1
    assert cli.main(["--info", "source.h5"]) == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_help_that_cannot_be_printed_is_a_failure():
    command = ["sh", "-c", 'exec "$@" >/dev/full', "sh", sys.executable, "-m", "convert_weights"]
    done = subprocess.run([*command, "--help"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "error: standard output cannot be written: No space left on device\n"


def test_info_describes_large_numbers_quietly(weights, scratch, capsys):
    loud = np.full_like(weights.layers["conv1_1"].kernel, 1e30)
    layers = {**weights.layers, "conv1_1": Convolution(loud, weights.layers["conv1_1"].bias)}
    write_weights(scratch / "x.h5", replace(weights, layers=layers))
    assert cli.main(["--info", str(scratch / "x.h5")]) == 0
    assert "standard deviation" in capsys.readouterr().out


def test_info_describes_a_source(arrays, scratch, capsys):
    state = writers.state_dict(arrays, [f"features.{i}" for i in writers.FEATURES])
    writers.write_torch_zip(scratch / "x", state)
    assert cli.main(["--info", str(scratch / "x")]) == 0
    out = capsys.readouterr().out
    assert "PyTorch (zip)" in out
    assert "0.485, 0.456, 0.406" in out
