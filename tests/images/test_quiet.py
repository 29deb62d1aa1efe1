"""Nothing but an error's own line reaches standard error."""

import io
import logging
import os
import sys
import threading

import numpy as np
import pytest
import tifffile
from PIL import Image

from jaxstyle import images
from jaxstyle.errors import ImageError
from jaxstyle.images import _quiet as quiet
from tests.cases import for_each

PIXELS = np.random.default_rng(0).integers(0, 256, (90, 80, 3), dtype=np.uint8)


def damaged(path, compression: str) -> None:
    """Write a TIFF whose compressed pixels are damaged."""
    buffer = io.BytesIO()
    bilevel = compression in ("group3", "group4")
    image = Image.fromarray(PIXELS).convert("1" if bilevel else "RGB")
    image.save(buffer, "TIFF", compression=compression, tiffinfo={278: 8})
    data = bytearray(buffer.getvalue())
    buffer.seek(0)
    with tifffile.TiffFile(buffer) as file:
        start = file.pages[0].dataoffsets[1]
    data[start : start + 40] = b"\x5a" * 40
    path.write_bytes(data)


@for_each("compression", ["tiff_lzw", "tiff_adobe_deflate", "jpeg", "group4", "tiff_lzma"])
def test_libtiff_says_nothing(tmp_path, capfd, compression):
    damaged(tmp_path / "a.tif", compression)
    try:
        images.read(tmp_path / "a.tif")
    except ImageError as error:
        assert "\n" not in str(error)
    assert capfd.readouterr() == ("", "")
    os.write(2, b"after")
    assert capfd.readouterr().err == "after"


def test_what_others_say_meanwhile_is_passed_on(capfd, monkeypatch):
    image = Image.new("RGB", (2, 2))
    image.tile = [("libtiff", (0, 0, 2, 2), 0, ("RGB", False, 8))]

    def load():
        print("note: a.tif: has 2 pictures.", file=sys.stderr, flush=True)
        os.write(2, b"ZIPDecode: Decoding error at scanline 0.\n")
        other = threading.Thread(target=os.write, args=(2, b"\x1b[2Kbar 3%\n"))
        other.start()
        other.join()
        os.write(2, b"tempfile.tif: Can not read TIFF directory.\n")
        raise OSError("decoder error -9")

    monkeypatch.setattr(image, "load", load)
    with pytest.raises(OSError, match="-9"):
        quiet.load(image)
    assert capfd.readouterr().err == "note: a.tif: has 2 pictures.\n\x1b[2Kbar 3%\n"


def test_standard_error_may_be_closed(tmp_path):
    damaged(tmp_path / "a.tif", "tiff_lzw")
    kept = os.dup(2)
    os.close(2)
    try:
        with pytest.raises(ImageError):
            images.read(tmp_path / "a.tif")
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def test_pillow_logs_nothing_where_no_logging_is_set_up(tmp_path, capfd, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, photometric="rgb")
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as file:
        file.pages[0].tags[277].overwrite(60_000)  # "More samples per pixel than can be decoded"
    root = logging.getLogger()
    with monkeypatch.context() as patch:
        patch.setattr(root, "handlers", [])
        with pytest.raises(ImageError):
            images.read(tmp_path / "a.tif")
    assert capfd.readouterr() == ("", "")
    assert not any(isinstance(h, logging.NullHandler) for h in logging.getLogger("PIL").handlers)


def test_a_program_that_logs_still_gets_what_pillow_logs(tmp_path, caplog):
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, photometric="rgb")
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as file:
        file.pages[0].tags[277].overwrite(60_000)
    with pytest.raises(ImageError):
        images.read(tmp_path / "a.tif")
    assert "More samples per pixel" in caplog.text
