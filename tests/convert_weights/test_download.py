"""Tests of downloads: complete or refused, and passwords are sent only to their server."""

import pytest

from convert_weights.download import download, is_url, open_url, without_password
from convert_weights.errors import WeightsError


def test_content_and_name(server, tmp_path, capsys):
    server.pages["/a/vgg%2019.mat"] = ("application/octet-stream", b"x" * 1_000_000)
    path = download(f"{server.url}/a/vgg%2019.mat", tmp_path, limit=1_000_000)
    assert path == tmp_path / "vgg 19.mat"
    assert path.read_bytes() == b"x" * 1_000_000
    assert capsys.readouterr().err == "downloading vgg 19.mat (1.0 MB)\n"


@pytest.mark.parametrize("path", ["/", "/..", "/%2e%2e", "/a/.."])
def test_name_stays_in_the_directory(server, tmp_path, path):
    server.pages[path] = ("text/plain", b"x")
    assert download(server.url + path, tmp_path) == tmp_path / "download"


def test_too_large_is_refused(server, tmp_path):
    server.pages["/x"] = ("text/plain", b"x" * 2000)
    with pytest.raises(WeightsError, match="/x: 2000 bytes, too large"):
        download(f"{server.url}/x", tmp_path, limit=1999)
    server.promised["/x"] = -1  # not told beforehand
    with pytest.raises(WeightsError, match="/x: more than 1999 bytes, too large"):
        download(f"{server.url}/x", tmp_path, limit=1999)
    assert len(download(f"{server.url}/x", tmp_path, limit=2000).read_bytes()) == 2000


def test_cut_short_is_refused(server, tmp_path):
    server.pages["/x"] = ("text/plain", b"x" * 2000)
    server.promised["/x"] = 3000
    with pytest.raises(WeightsError, match="cut short at 2000 of 3000 bytes"):
        download(f"{server.url}/x", tmp_path)


def test_failures_are_one_line(server, tmp_path):
    with pytest.raises(WeightsError, match=r"/none: the server returned 404 Not Found"):
        download(f"{server.url}/none", tmp_path)
    with pytest.raises(WeightsError, match=r"http://127\.0\.0\.1:9/x: Connection refused"):
        download("http://127.0.0.1:9/x", tmp_path)
    with pytest.raises(WeightsError, match="not a valid URL"):
        download("http://[::bad/x", tmp_path)


def test_redirect_to_a_local_file_is_not_followed(server, tmp_path):
    (tmp_path / "secret").write_text("secret")
    server.redirects["/x"] = (tmp_path / "secret").as_uri()
    with pytest.raises(WeightsError, match="the server returned 302"):
        download(f"{server.url}/x", tmp_path)


def test_password_is_sent_once_and_never_told(server, tmp_path):
    server.redirects["/start"] = "/end"
    server.pages["/end"] = ("text/plain", b"x")
    login = server.url.replace("http://", "http://me:s%40cret@")
    with open_url(f"{login}/start", {}) as response:
        assert response.read() == b"x"
    (_, first), (_, second) = server.requests
    assert first["Authorization"] == "Basic bWU6c0BjcmV0"
    assert "Authorization" not in second
    with pytest.raises(WeightsError) as caught:
        download(f"{login}/none", tmp_path)
    assert "cret" not in str(caught.value)


def test_urls():
    assert is_url("https://host/x.mat")
    assert is_url("HTTP://host/x.mat")
    assert not is_url("x.mat")
    assert not is_url("file:///x.mat")
    assert without_password("https://me:pw@host:8/x?token=1#y") == "https://host:8/x"
