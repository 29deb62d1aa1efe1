"""Tests of the command line: output, one-line errors, exit status."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from convert_weights import __main__ as cli
from convert_weights.errors import WeightsError
from convert_weights.weights_file import read_weights
from tests.convert_weights import writers


@pytest.fixture
def source(written, scratch, monkeypatch):
    monkeypatch.chdir(scratch)
    (scratch / "source.h5").write_bytes(written)
    return scratch / "source.h5"


def complaint(capsys) -> str:
    captured = capsys.readouterr()
    *notes, last = captured.err.splitlines()
    assert last.startswith("error: ")
    assert not any("Traceback" in note for note in notes)
    assert captured.out == ""
    return last.removeprefix("error: ")


def test_converts_to_vgg19_by_default(source, capsys, arrays):
    assert cli.main(["source.h5"]) == 0
    assert np.array_equal(
        read_weights(Path("vgg19.h5")).layers["conv1_1"].bias, arrays["conv1_1"][1]
    )
    out = capsys.readouterr().out
    assert out == "vgg19.h5: VGG-19 from random.pth, not normalized, float32, 0.4 MB\n"


def test_float16_and_force(source, capsys):
    assert cli.main(["source.h5", "-o", "small.h5", "--dtype", "float16"]) == 0
    with h5py.File("small.h5") as file:
        assert file["conv1_1/kernel"].dtype == np.float16
    assert Path("small.h5").read_bytes() == source.read_bytes()
    capsys.readouterr()
    assert cli.main(["source.h5", "-o", "small.h5"]) == 1
    assert complaint(capsys) == (
        "small.h5: already exists; use --force to replace it, or another name"
    )
    assert Path("small.h5").read_bytes() == source.read_bytes()
    assert cli.main(["source.h5", "-o", "small.h5", "--force"]) == 0
    with h5py.File("small.h5") as file:
        assert file["conv1_1/kernel"].dtype == np.float32


def test_converts_onto_itself(source):
    assert cli.main(["source.h5", "-o", "source.h5", "--force"]) == 0
    assert read_weights(source).source == "random.pth"


def test_normalizes(source, capsys):
    Path("pictures").mkdir()
    Image.effect_noise((64, 64), 60).convert("RGB").save("pictures/noise.png")
    assert cli.main(["source.h5", "--normalize", "pictures", "--dtype", "float16"]) == 0
    assert read_weights(Path("vgg19.h5")).normalized
    captured = capsys.readouterr()
    assert "from random.pth, normalized, float16" in captured.out
    assert "never active on these 1 pictures" in captured.err


def test_without_a_source_the_default_is_fetched(scratch, weights, monkeypatch, capsys):
    monkeypatch.chdir(scratch)
    monkeypatch.setattr(cli, "fetch_weights", lambda: weights)
    assert cli.main(["--dtype", "float16"]) == 0
    assert Path("vgg19.h5").exists()
    assert "fetching the normalized VGG-19" in capsys.readouterr().err


def test_url_is_downloaded(source, server, capsys):
    server.pages["/w"] = ("x/y", source.read_bytes())
    assert cli.main([f"{server.url}/w", "--dtype", "float16"]) == 0
    assert Path("vgg19.h5").read_bytes() == source.read_bytes()


def test_failures(source, capsys):
    for arguments, message in (
        (["none.mat"], "none.mat: no such file"),
        (["."], ".: a directory, not a file"),
        (["source.h5", "-o", "none/x.h5"], "the directory none does not exist"),
        (["source.h5", "-o", "."], ".: a directory; name the file to write"),
        (["source.h5", "--normalize", "none"], "none: no such directory"),
        (["--info", "none.h5"], "none.h5: no such file"),
        (["http://127.0.0.1:9/x.mat"], "http://127.0.0.1:9/x.mat: Connection refused"),
    ):
        assert cli.main(arguments) == 1, arguments
        assert message in complaint(capsys)
        assert not Path("vgg19.h5").exists()


def test_output_is_checked_before_fetching(scratch, monkeypatch, capsys):
    def forbidden():
        raise AssertionError("fetched")

    monkeypatch.setattr(cli, "fetch_weights", forbidden)
    assert cli.main(["-o", str(scratch / "none" / "x.h5")]) == 1
    assert "does not exist" in complaint(capsys)


def test_wrong_usage(capsys):
    for arguments in ("--dtype int8", "a b", "--nonsense", "--info x y", "--info"):
        with pytest.raises(SystemExit) as caught:
            cli.main(arguments.split())
        assert caught.value.code == 2, arguments
        printed = capsys.readouterr().err
        assert printed.startswith("error: "), arguments
        assert printed.count("\n") == 1, arguments


def test_interrupt(source, monkeypatch, capsys):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "load_source", interrupt)
    assert cli.main(["source.h5"]) == 130
    assert capsys.readouterr().err == "interrupted; nothing was written\n"
    assert not Path("vgg19.h5").exists()


def test_unexpected_errors_are_one_line_too(source, monkeypatch, capsys):
    def fail(*arguments):
        raise ZeroDivisionError("a\nb")

    monkeypatch.setattr(cli, "load_source", fail)
    assert cli.main(["source.h5"]) == 1
    assert complaint(capsys) == "unexpected ZeroDivisionError: a b (--debug tells more)"
    with pytest.raises(ZeroDivisionError):
        cli.main(["source.h5", "--debug"])
    with pytest.raises(WeightsError):
        cli.main(["--info", "none.h5", "--debug"])


def test_info(source, arrays, capsys):
    assert cli.main(["--info", "source.h5"]) == 0
    out = capsys.readouterr().out
    parameters = sum(kernel.size + bias.size for kernel, bias in arrays.values())
    for part in (
        *("weights of this project (HDF5)", "random.pth", "BGR x 255", "103.939, 116.779, 123.68"),
        *("1, 2, 4", "zeros", f"16 convolutions, {parameters:,} parameters", "3x3x24x32", "none"),
    ):
        assert part in out


def test_info_of_a_source(arrays, scratch, capsys):
    state = writers.state_dict(arrays, [f"features.{i}" for i in writers.FEATURES])
    writers.write_torch_zip(scratch / "x", state)
    assert cli.main(["--info", str(scratch / "x")]) == 0
    out = capsys.readouterr().out
    assert "PyTorch (zip)" in out
    assert "0.485, 0.456, 0.406" in out
