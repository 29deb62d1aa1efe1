"""What a file is that is not a picture, or not one that can be read."""

import sys
import types

import numpy as np
import pytest
from PIL import Image, ImageFile, features

from jaxstyle import images
from jaxstyle.errors import ImageError
from jaxstyle.images._kinds import kind_of
from tests.cases import for_each

HEIC = b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf" + bytes(100)
AVIF_LATER = b"\0\0\0\x1cftypmif1\0\0\0\0miafavifmif1"

KINDS = {
    "is a pointer of Git LFS": [b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n"],
    "is an HTML page": [
        b"<!DOCTYPE html>\n<html lang='en'>",
        b"\n  <HTML><head>",
        b"\xef\xbb\xbf<!-- made by --><html>",
    ],
    "is an SVG drawing": [
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"<?xml version='1.0'?>\n<!-- Inkscape -->\n<svg>",
    ],
    "is an XML file": [b"<?xml version='1.0'?><note/>"],
    "is a text file": [b"hello\n", "été\n".encode(), b'{"a": 1}', "wide".encode("utf-16")],
    "is a PDF document": [b"%PDF-1.7\n%\xe2\xe3"],
    "is a Photoshop document": [b"8BPS\0\1\0\0"],
    "is a GIMP document": [b"gimp xcf v011\0"],
    "is a JPEG XL picture": [b"\xff\x0a\xfa\x1f", b"\0\0\0\x0cJXL \r\n\x87\n"],
    "is a JPEG 2000 picture": [b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51\0"],
    "is a camera raw file": [
        b"II*\0\x10\0\0\0CR\2\0",
        b"\0\0\0\x18ftypcrx \0\0\0\1",
        b"FUJIFILMCCD-RAW 0201",
        b"IIRO\x08\0\0\0",
    ],
    "is an icon": [b"\0\0\1\0\2\0\x10\x10", b"icns\0\0\1\0"],
    "is a video": [b"\0\0\0\x20ftypisom\0\0\2\0", b"\x1aE\xdf\xa3\x01", b"RIFF\0\0\0\0AVI LIST"],
    "is an archive": [b"PK\x03\x04\x14\0", b"\x1f\x8b\x08\0"],
    "is a HEIC picture": [HEIC],
    "is empty": [bytes(100)],
}


def refusal(path) -> str:
    with pytest.raises(ImageError) as caught:
        images.read(path)
    return str(caught.value)


@for_each(("kind", "heads"), KINDS.items())
@for_each("name", ["a.jpg", "b.png"])
def test_an_error_says_what_a_file_is_whatever_its_name(tmp_path, monkeypatch, kind, heads, name):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as if it were not installed
    for head in heads:
        (tmp_path / name).write_bytes(head)
        assert refusal(tmp_path / name).startswith(f"{tmp_path / name}: {kind}")
        with pytest.raises(ImageError, match=kind):
            images.read_sides(tmp_path / name)


@for_each(
    "head", [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"II*\0\x08\0", AVIF_LATER]
)
def test_what_begins_like_a_readable_picture_may_be_one(head):
    assert kind_of(head) is None


def test_binary_data_of_no_known_kind_is_refused(tmp_path):
    for data in (bytes(range(1, 256)), b"\x89PN", b"RI\xff"):
        (tmp_path / "a.png").write_bytes(data)
        assert "damaged, or not a readable JPEG, PNG" in refusal(tmp_path / "a.png")


def test_markup_is_told_in_time_in_proportion_to_its_length():
    assert kind_of(b"<?xml" + b"<!--" * 500 + b">") == "an XML file"


# --- formats of other packages --------------------------------------------------------------------


def test_a_heic_picture_asks_for_a_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "IMG_1.jpg").write_bytes(HEIC)
    message = refusal(tmp_path / "IMG_1.jpg")
    assert message.endswith(
        "is a HEIC picture, which needs pillow-heif: pip install pillow-heif, or save it as JPEG"
    )


class HeifImageFile(ImageFile.ImageFile):
    """Stands for the class of pillow-heif, as far as it is used."""

    format, n_frames, is_animated = "HEIF", 2, True

    def _open(self):
        self._size, self._mode, self.tile = (3, 2), "RGB", []

    def load(self):
        self.load_prepare()
        self.frombytes(bytes([10, 20, 30] * 6))
        return super().load()


def test_a_heic_picture_is_read_where_the_package_is(tmp_path, monkeypatch):
    package = types.ModuleType("pillow_heif")
    package.HeifImageFile = HeifImageFile
    monkeypatch.setitem(sys.modules, "pillow_heif", package)
    (tmp_path / "IMG_1.jpg").write_bytes(HEIC)
    picture = images.read(tmp_path / "IMG_1.jpg")
    np.testing.assert_allclose(picture.rgb * 255, np.tile([10.0, 20, 30], (2, 3, 1)), atol=1e-3)
    assert images.read_sides(tmp_path / "IMG_1.jpg") == (2, 3)
    assert picture.notes == (
        f"{tmp_path / 'IMG_1.jpg'}: has several pictures: the main one is taken",
    )
    assert "HEIF" not in Image.OPEN


def test_the_package_itself_reads_heic_pictures(tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif")
    levels = np.full((40, 64, 3), (200, 90, 30), np.uint8)
    pillow_heif.from_pillow(Image.fromarray(levels)).save(tmp_path / "a.heic")
    picture = images.read(tmp_path / "a.heic")
    assert images.read_sides(tmp_path / "a.heic") == (40, 64)
    np.testing.assert_allclose(picture.rgb * 255, levels, atol=8)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow cannot read AVIF")
def test_avif(tmp_path):
    levels = np.full((40, 64, 3), (200, 90, 30), np.uint8)
    Image.fromarray(levels).save(tmp_path / "a.jpg", "AVIF")
    np.testing.assert_allclose(images.read(tmp_path / "a.jpg").rgb * 255, levels, atol=8)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow cannot read AVIF")
def test_the_bits_of_an_avif_that_are_lost_are_told(tmp_path):
    path = tmp_path / "a.avif"
    Image.new("RGB", (16, 16), "red").save(path)
    assert images.read(path).notes == ()
    data = bytearray(path.read_bytes())
    bits, kind = data.index(b"pixi") + 9, data.index(b"av1C") + 6
    data[bits : bits + 3] = bytes([10] * 3)
    data[kind] |= 0x40  # high bit depth
    path.write_bytes(data)
    assert images.read(path).notes == (f"{path}: of 10 bits of color 8 are read",)


def test_a_pillow_without_avif_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(features, "check", lambda name: False)
    (tmp_path / "a.jpg").write_bytes(b"\0\0\0\x1cftypavif\0\0\0\0avifmif1")
    assert "is an AVIF picture, which this Pillow cannot read" in refusal(tmp_path / "a.jpg")
