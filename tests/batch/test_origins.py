"""How pictures were made, and from which files."""

import json
import os

from jaxstyle.batch.origins import Stamp, changed, description_of, difference, stamps


def described(**settings):
    """Return what a picture of a batch says."""
    sources = {"content": "../photos/p.png", "styles": ["../styles/s.png"], "bits": 8}
    return json.dumps({"jaxstyle": {**sources, "settings": settings}})


def test_settings_that_differ_are_told_shortly():
    before = described(style_weight=5.0, size=64, tile=None, layers={}, steps=[3, 2])
    now = described(style_weight=50.0, size=64, tile="auto", layers={}, steps=[3, 2])
    told = "with style_weight 5, not 50, and tile none, not auto"
    assert difference(before, now) == told
    many = described(**{f"s{n}": n for n in range(9)})
    other = described(**{f"s{n}": n + 1 for n in range(9)})
    assert difference(many, other).endswith("s2 2, not 3, and 6 other settings")
    long = difference(described(init="a" * 300), described(init="b" * 300))
    assert len(long) < 200 and "aaa..." in long


def test_sources_that_differ_are_told():
    before = described(size=64)
    now = before.replace("photos/p.png", "others/p.png")
    assert difference(before, now) == "with content ../photos/p.png, not ../others/p.png"
    of_urls = json.dumps({"settings": {"size": 32}}), json.dumps({"settings": {"size": 64}})
    assert difference(*of_urls) == "with size 32, not 64"


def test_what_says_nothing_is_told_to_do_so(tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    for name in ("text.png", "nowhere.png", "."):
        assert description_of(str(tmp_path / name)) == ""
    for before in ("", "{", "[]", "7", '{"settings": 7}', '{"jaxstyle": []}', "[" * 99_999):
        assert difference(before, described(size=64)) == "in a way that it does not say"


def test_files_are_compared_by_content_where_their_time_has_changed(tmp_path, monkeypatch):
    names = [str(tmp_path / name) for name in "ab"]
    for name in names:
        with open(name, "w") as file:
            file.write("one")
        os.utime(name, ns=(5, 5))
    before = stamps(names)
    assert changed(names, before) == ""
    os.utime(names[1], ns=(6, 6))
    assert changed(names, before) == ""
    with open(names[1], "w") as file:
        file.write("two")
    assert changed(names, before) == names[1]
    assert changed(names, []) == ""  # a log of an earlier version
    os.unlink(names[1])
    assert changed(names, before) == ""


def test_what_is_no_file_here_has_no_stamp(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    paths = ["memory://a/b.png", str(tmp_path / "nowhere"), str(tmp_path), str(tmp_path / "pipe")]
    assert stamps(paths) == [Stamp()] * 4
    assert changed(paths, [Stamp(3, 4, "5")] * 4) == ""
