"""Tests of downloads: complete or refused, and passwords are sent only to their server."""

from convert_weights.download import download, is_url, open_url, without_password
from tests.cases import for_each
from tests.convert_weights.conftest import complaint


def test_a_file_is_downloaded_under_its_own_name(server, tmp_path, capsys):
    server.pages["/a/vgg%2019.mat"] = ("application/octet-stream", b"x" * 1_000_000)
    path = download(f"{server.url}/a/vgg%2019.mat", tmp_path, limit=1_000_000)
    assert path == tmp_path / "vgg 19.mat"
    assert path.read_bytes() == b"x" * 1_000_000
    assert capsys.readouterr().err == "downloading vgg 19.mat (1.0 MB)\n"


@for_each("path", ["/", "/..", "/%2e%2e", "/a/.."])
def test_the_name_stays_in_the_directory(server, tmp_path, path):
    server.pages[path] = ("text/plain", b"x")
    assert download(server.url + path, tmp_path) == tmp_path / "download"


@for_each(
    ("promised", "limit", "message"),
    [
        (2000, 1999, "/x: 2000 bytes, too large"),
        (-1, 1999, "/x: more than 1999 bytes, too large"),  # not told beforehand
        (3000, 3000, "cut short at 2000 of 3000 bytes"),
        (-1, 2000, None),
    ],
)
def test_a_file_that_is_too_large_or_cut_short_is_refused(
    server, tmp_path, promised, limit, message
):
    server.pages["/x"] = ("text/plain", b"x" * 2000)
    server.promised["/x"] = promised
    if message is None:
        assert len(download(f"{server.url}/x", tmp_path, limit).read_bytes()) == 2000
    else:
        assert message in complaint(download, f"{server.url}/x", tmp_path, limit)


@for_each(
    ("url", "message"),
    [
        ("SERVER/none", "/none: the server returned 404 Not Found"),
        ("SERVER/file", "the server returned 302"),  # a redirect to a local file
        ("http://127.0.0.1:9/x", "http://127.0.0.1:9/x: Connection refused"),
        ("http://[::bad/x", "not a valid URL"),
    ],
)
def test_failures_are_told_in_one_line(server, tmp_path, url, message):
    (tmp_path / "secret").write_text("secret")
    server.redirects["/file"] = (tmp_path / "secret").as_uri()
    assert message in complaint(download, url.replace("SERVER", server.url), tmp_path)


def test_a_password_is_sent_once_and_never_told(server, tmp_path):
    server.redirects["/start"] = "/end"
    server.pages["/end"] = ("text/plain", b"x")
    login = server.url.replace("http://", "http://me:s%40cret@")
    with open_url(f"{login}/start", {}) as response:
        assert response.read() == b"x"
    (_, first), (_, second) = server.requests
    assert first["Authorization"] == "Basic bWU6c0BjcmV0"
    assert "Authorization" not in second
    assert "cret" not in complaint(download, f"{login}/none", tmp_path)
    assert without_password("https://me:pw@host:8/x?token=1#y") == "https://host:8/x"


def test_a_url_is_told_from_a_path():
    assert is_url("https://host/x.mat") and is_url("HTTP://host/x.mat")
    assert not is_url("x.mat") and not is_url("file:///x.mat")
