"""Reading the sides of pictures, local and at URLs."""

import io
import secrets
import threading

import fsspec
import numpy as np
import pytest
from PIL import Image

from jaxstyle.batch import folder
from jaxstyle.batch.folder import HEAD, sides_of


@pytest.fixture
def put(monkeypatch):
    """Return a function that writes a picture to a URL; its ``whole`` lists files fetched whole."""
    files, place = fsspec.filesystem("memory"), secrets.token_hex(4)
    get_file = type(files).get_file

    def noticed(self, path, *others, **options):
        put.whole.append(path.rpartition("/")[2])
        return get_file(self, path, *others, **options)

    def put(name, sides=(600, 800), **options):
        noise = np.random.default_rng(0).integers(0, 256, (*sides, 3), np.uint8)
        data = io.BytesIO()
        kind = "JPEG" if name.endswith(".jpg") else "PNG"
        Image.fromarray(noise).save(data, kind, **options)
        assert len(data.getvalue()) > HEAD
        files.pipe_file(f"/{place}/{name}", data.getvalue())
        return f"memory://{place}/{name}"

    put.whole = []
    monkeypatch.setattr(type(files), "get_file", noticed)
    return put


def turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def test_of_a_jpeg_at_a_url_only_the_head_is_fetched(put):
    paths = [put("b.jpg", quality=95), put("a.jpg", quality=95, exif=turned())]
    sides, reasons = sides_of([*paths, paths[0]])
    assert list(sides.items()) == [(paths[0], (600, 800)), (paths[1], (800, 600))]
    assert not reasons
    assert put.whole == []


def test_pictures_whose_head_is_not_enough_are_fetched_whole(put):
    png = put("a.png", exif=turned())
    long = put("long.jpg", quality=95, icc_profile=bytes(HEAD))
    sides, _ = sides_of([png, long])
    assert sides == {png: (800, 600), long: (600, 800)}
    assert sorted(put.whole) == ["a.png", "long.jpg"]


def test_every_unreadable_picture_has_its_reason(put, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    bad, nowhere, good = str(tmp_path / "bad.png"), "memory://none/a.jpg", put("c.jpg", quality=95)
    sides, reasons = sides_of([bad, nowhere, good])
    assert list(sides) == [good]
    assert "not a readable" in reasons[bad]
    assert "there is no such file" in reasons[nowhere]


def test_reading_sides_can_be_interrupted(monkeypatch):
    ended, begun = threading.Event(), []

    def slow(path, free):
        begun.append(path)
        ended.wait(60)
        return 1, 1

    def check():
        raise KeyboardInterrupt

    monkeypatch.setattr(folder, "_sides", slow)
    try:
        with pytest.raises(KeyboardInterrupt):
            sides_of([f"{n}.png" for n in range(99)], check=check)
        assert not ended.is_set()
    finally:
        ended.set()
    assert 1 < len(begun) <= folder.READERS
