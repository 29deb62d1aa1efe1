"""The contact sheet: valid HTML for any file names, without remote content."""

import io
import os
import random
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
from PIL import Image

from jaxstyle.batch.sheet import THUMBNAIL, Shown, sheet, thumbnail, thumbnail_of_jpeg
from jaxstyle.settings import resolve

VOID = {"meta", "img"}


class Page(HTMLParser):
    """A parsed page: open elements, attributes, and texts by element."""

    def __init__(self, page):
        super().__init__()
        self.open, self.attributes, self.texts, self.tags = [], [], {}, []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs)
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        self.open += [] if tag in VOID else [tag]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.texts.setdefault(self.open[-1], []).append(data.strip())

    def all(self, name):
        return [value for _, key, value in self.attributes if key == name]


def done(content="photos/cat.jpg", styles=("paintings/a.png",), output="cat__a.png", **more):
    return Shown(content, styles, output, "done", "", **more)


def test_a_row_has_content_styles_and_result_with_links_to_each():
    row = done(styles=("paintings/a.png", "https://example.org/b%20c.jpg?x=1&y=2"))
    small = {"photos/cat.jpg": "thumbs/1.jpg", row.styles[1]: "thumbs/2.jpg"}
    page = Page(sheet([row], small, "A & B", root="out"))
    assert page.all("href") == [
        "../photos/cat.jpg",
        "../paintings/a.png",
        "https://example.org/b%20c.jpg?x=1&y=2",
        "cat__a.png",
    ]
    assert page.all("src") == ["thumbs/1.jpg", "../paintings/a.png", "thumbs/2.jpg", "cat__a.png"]
    assert page.all("loading") == ["lazy"] * 4
    assert page.texts["title"] == page.texts["h1"] == ["A & B"]
    assert page.texts["p"] == ["1 done"]
    assert page.texts["span"][-4:] == ["cat.jpg", "a.png", "b c.jpg", "cat__a.png"]


def test_the_summary_counts_and_leads_to_the_first_that_failed():
    failed = Shown("x.jpg", ("a.png",), "x__a.png", "failed", "x.jpg: the file is <empty>")
    waiting = Shown("y.jpg", ("a.png",), "y__a.png", "waiting", "")
    text = sheet([done(), failed, done(), failed, waiting], {}, "t")
    page = Page(text)
    assert page.texts["p"][0] == "2 done,"
    assert page.texts["a"] == ["2 failed"]
    assert page.all("href")[0] == "#failed"
    assert page.all("id") == ["failed"]
    assert page.texts["strong"] == ["failed", "failed", "waiting"]
    assert "x.jpg: the file is <empty>" in page.texts["p"]
    assert page.all("href").count("x__a.png") == 0


def test_settings_that_differ_are_shown():
    common = {"size": 64, "fine_style": "Fine.png"}
    rows = [
        done(settings=resolve(style_weight=1e4, clamp=False, steps=(3, 2), **common)),
        done(settings=resolve(style_weight=0.1, style_layers={"relu1_1": 2}, **common)),
    ]
    told = Page(sheet(rows, {}, "t")).texts["small"]
    assert told[0].startswith("steps 3 2, style weight 10000, style layers relu1_1=20 relu2_1=5 ")
    assert told[0].endswith(", clamp no")
    assert "style weight 0.1, style layers relu1_1=2, clamp yes" in told[1]
    assert not any("size" in text or "fine" in text for text in told)
    assert "small" not in Page(sheet(rows[:1] * 3, {}, "t")).texts


def test_remote_sources_are_shown_by_thumbnails_only():
    row = done("gs://bucket/cat.jpg", ("https://example.org/a.png", "b.tif"))
    page = Page(sheet([row], {"gs://bucket/cat.jpg": "thumbs/1.jpg"}, "t"))
    assert page.all("src") == ["thumbs/1.jpg", "cat__a.png"]
    assert page.all("href") == ["https://example.org/a.png", "b.tif", "cat__a.png"]
    assert page.texts["span"].count("no preview") == 2
    away = Page(sheet([done()], {"photos/cat.jpg": "thumbs/1.jpg"}, "t", root="gs://bucket/out"))
    assert away.all("src") == ["thumbs/1.jpg", "cat__a.png"]
    assert away.all("href") == ["cat__a.png"]


def test_no_scripts_and_no_network():
    page = Page(sheet([done("http://example.org/a.png")], {}, "t"))
    policy = next(text for text in page.all("content") if "default-src" in text)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "'self' file:"
    assert "script-src" not in rules and "http" not in policy
    assert "script" not in page.tags and "link" not in page.tags
    assert not any("//" in source for source in page.all("src"))
    assert "url(" not in page.texts["style"][0] and "@import" not in page.texts["style"][0]


ODD = ["a", "#", "%", "%41", "?", "&", "&amp;", '"', "'", "<script>alert(1)</script>", "-->", " "]
ODD += ["</style>", "</title>", "\u00e9", "\u4e2d", ":", "javascript:", "\\", ";", "\udc80", "\x01"]
ODD += ["\n", "\u202e", "{", "}", "{x}", "$", "//", "+", "\t", "\ud800", "\x7f", "\ufffe"]


def odd_word(chance):
    return "x" + "".join(chance.choices(ODD, k=4))


def odd_name(chance):
    """Return an odd file name, without characters that are impossible in one."""
    return odd_word(chance).replace("/", "|").replace("\ud800", "") + ".png"


@pytest.mark.parametrize("seed", range(5))
def test_names_may_hold_anything(seed):
    chance = random.Random(seed)
    rows = [
        Shown(
            f"in/{odd_name(chance)}",
            (odd_name(chance), odd_word(chance)),
            odd_name(chance),
            chance.choice(["done", odd_word(chance)]),
            odd_word(chance),
        )
        for _ in range(20)
    ]
    small = {row.content: f"thumbs/{odd_name(chance)}" for row in rows[:10]}
    text = sheet(rows, small, odd_word(chance), root="in")
    assert text.encode().decode() == text
    page = Page(text)
    assert page.tags.count("li") == len(rows)
    assert set(page.tags) <= {
        *("html", "head", "meta", "title", "style", "body", "header", "h1", "p", "main"),
        *("div", "ol", "li", "a", "img", "span", "small", "strong"),
    }
    keys = {"lang", "charset", "http-equiv", "content", "name", "class", "href", "src", "alt"}
    assert {key for _, key, _ in page.attributes} == {*keys, "loading"}
    for url in (*page.all("href"), *page.all("src")):
        assert url.isascii() and url.isprintable() and not set(url) & set("\"'<> ")
        assert urlsplit(url)[:2] == urlsplit(url)[3:] == ("", "") and not url.startswith("/")
    found = [unquote(url, errors="surrogateescape") for url in page.all("href")]
    for row in rows:
        assert os.path.basename(row.content) in found
        assert (row.output in found) == (row.status == "done")
    shown = {unquote(url, errors="surrogateescape") for url in page.all("src")}
    assert set(small.values()) <= shown


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_a_row_takes_few_bytes(count):
    rows = [
        done(f"photos/holiday-{n % 70}/IMG_{n:05}.jpg", output=f"IMG_{n:05}__starry-night.png")
        for n in range(count)
    ]
    small = {row.content: f"thumbnails/{n:05}.jpg" for n, row in enumerate(rows)}
    text = sheet(rows, small, "t", root="out")
    assert len(text) < 600 * count + 5000
    assert Page(text).texts["p"] == [f"{count:,} done"]


def test_an_empty_sheet_is_a_page():
    assert Page(sheet([], {}, "t")).texts["p"] == ["0 done"]


@pytest.mark.parametrize(
    ("shape", "size"),
    [((100, 400, 3), (192, 48)), ((500, 250, 3), (96, 192)), ((20, 30, 3), (30, 20))],
)
def test_thumbnails_are_small_jpegs_of_the_same_shape(shape, size):
    image = np.broadcast_to(np.float32([0.2, 0.5, 0.9]), shape)
    data = thumbnail(image)
    with Image.open(io.BytesIO(data)) as small:
        assert small.format == "JPEG"
        assert small.size == size
        assert max(small.size) <= THUMBNAIL
        np.testing.assert_allclose(np.asarray(small) / 255, image[: size[1], : size[0]], atol=0.02)


def test_a_line_of_pixels_and_colors_beyond_white_have_a_thumbnail():
    with Image.open(io.BytesIO(thumbnail(np.full((1, 5000, 3), 1.5)))) as small:
        assert small.size == (192, 1)
        assert np.asarray(small).min() > 250


@pytest.mark.parametrize(("turn", "size"), [(1, (192, 128)), (6, (128, 192))])
def test_a_photo_has_a_thumbnail_in_its_own_colors_and_the_right_way_up(tmp_path, turn, size):
    exif = Image.Exif()
    exif[0x0112] = turn
    photo = Image.new("RGB", (1500, 1000), (200, 40, 90))
    photo.save(tmp_path / "photo.jpg", exif=exif, icc_profile=b"wide" * 40)
    with Image.open(io.BytesIO(thumbnail_of_jpeg(str(tmp_path / "photo.jpg")))) as small:
        assert (small.format, small.size) == ("JPEG", size)
        assert small.info["icc_profile"] == b"wide" * 40
        assert 1 not in small.getexif().values() and 6 not in small.getexif().values()
        np.testing.assert_allclose(np.asarray(small)[20, 20], (200, 40, 90), atol=4)


def test_other_files_have_no_thumbnail(tmp_path):
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    Image.new("CMYK", (9, 9)).save(tmp_path / "inks.jpg")
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8\xff")
    for name in ("a.png", "inks.jpg", "bad.jpg", "none.jpg"):
        assert thumbnail_of_jpeg(str(tmp_path / name)) is None


def test_a_sheet_opens_from_disk(tmp_path, monkeypatch):
    """Every link and image resolves to a file, relative to the sheet."""
    monkeypatch.chdir(tmp_path)
    for name in ("in #1/50%.png", "in #1/what?.png", "out/thumbs/'1'.jpg", "out/r&d.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    row = done("in #1/50%.png", (str(tmp_path / "in #1" / "what?.png"),), "r&d.png")
    page = Page(sheet([row], {"in #1/50%.png": "thumbs/'1'.jpg"}, "t", root="out"))
    urls = [*page.all("href"), *page.all("src")]
    assert len(urls) == 6
    for url in urls:
        assert (tmp_path / "out" / unquote(urlsplit(url).path)).is_file()
