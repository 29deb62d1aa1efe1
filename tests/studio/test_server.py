"""Who may ask the server for what."""

import base64
import socket

import pytest
from starlette.testclient import TestClient

from jaxstyle.errors import UsageError
from jaxstyle.studio.history import History
from jaxstyle.studio.line import Line
from jaxstyle.studio.page import Page
from jaxstyle.studio.server import ALONE, SHARED, address, app_of, bound
from jaxstyle.studio.work import Studio
from tests.studio.conftest import making_a_page
from tests.studio.test_history import painting


@pytest.fixture
def history(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "studio" / "uploads"))
    return History(tmp_path / "studio")


@pytest.fixture
def client(history):
    """A function that returns a client of a server, with or without a password."""

    def make(password="", limits=ALONE, host="127.0.0.1"):
        with making_a_page():
            page = Page(Studio(history), Line(), limits.pixels)
            app = app_of(page, password, limits)
        return TestClient(app, base_url=f"http://{host}")

    return make


def basic(password):
    return {"Authorization": "Basic " + base64.b64encode(f"me:{password}".encode()).decode()}


def test_files_of_the_history_are_served_by_name(client, history, recipe):
    entry = history.add(painting(), recipe)
    own = client()
    for kind in ("picture", "thumbnail", "tiff", "photo", "recipe"):
        assert own.get(f"/history/{kind}/{entry.name}").status_code == 200, kind
    assert own.get(f"/history/picture/{entry.name}").content == entry.path.read_bytes()
    assert own.get(f"/history/recipe/{entry.name}").json()["jaxstyle"]["content"]
    assert own.get("/examples/photos/chelsea").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/history/picture/..%2Fsecret",
        "/history/picture/%2Fetc%2Fpasswd",
        "/history/..%2F/photo-style",
        "/history/nothing/photo-style",
        "/examples/photos/..%2F..%2Fpyproject",
        "/examples/..%2Fphotos/chelsea",
        "/gradio_api/file={parent}/secret.png",
        "/gradio_api/file={folder}/inputs/../../secret.png",
        "/gradio_api/file=/etc/passwd",
    ],
)
def test_nothing_else_is_served(client, history, recipe, path):
    history.add(painting(), recipe)
    (history.folder.parent / "secret.png").write_text("secret")
    answer = client().get(path.format(folder=history.folder, parent=history.folder.parent))
    assert answer.status_code in (403, 404)
    assert b"secret" not in answer.content.replace(b"secret.png", b"")


def test_pages_of_other_sites_can_ask_for_nothing(client):
    own, upload = client(), {"files": ("a.png", b"x")}
    for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert own.post("/gradio_api/upload", files=upload, headers=headers).status_code == 403
    assert own.get("/config", headers={"Origin": "http://evil.example"}).status_code == 403
    same = {"Origin": "http://127.0.0.1", "Sec-Fetch-Site": "same-origin"}
    assert own.post("/gradio_api/upload", files=upload, headers=same).status_code == 200
    assert own.get("/", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200  # a link


def test_there_are_ports_up_to_65535():
    for port in (-1, 70000):
        with pytest.raises(UsageError, match=f"there is no port {port}"):
            bound("127.0.0.1", port)


def test_only_those_who_know_the_password_come_in(client):
    shared = client("correct horse", SHARED, host="studio.example")
    for headers in ({}, basic("wrong horse"), basic(""), {"Authorization": "Basic %%%"}):
        for path in ("/", "/config", "/theme.css", "/history/picture/x", "/examples/photos/coffee"):
            answer = shared.get(path, headers=headers)
            assert answer.status_code == 401, path
            assert answer.headers["www-authenticate"].startswith("Basic")
        assert shared.post("/gradio_api/queue/join", headers=headers).status_code == 401
        assert shared.post("/gradio_api/upload", headers=headers).status_code == 401
    assert shared.get("/", headers=basic("correct horse")).status_code == 200


def test_a_server_of_this_machine_answers_to_no_other_name(client):
    assert client().get("/").status_code == 200
    assert client(host="evil.example").get("/").status_code == 400


def test_uploads_have_a_limit(client, tmp_path):
    from dataclasses import replace

    small = client("", replace(SHARED, upload=1000))
    for size, status in ((500, 200), (5000, 413)):
        answer = small.post("/gradio_api/upload", files={"files": ("a.png", b"x" * size)})
        assert answer.status_code == status


def test_the_page_asks_nothing_of_other_hosts(client):
    text = client().get("/").text
    assert "fonts.googleapis.com" not in text and "cdn" not in text


def test_a_port_in_use_is_told(tmp_path):
    with bound("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        assert address(first) == f"http://127.0.0.1:{port}"
        with pytest.raises(UsageError, match=f"cannot serve at 127.0.0.1:{port}.*another --port"):
            bound("127.0.0.1", port)


def test_without_a_port_the_next_free_one_is_taken():
    with bound("127.0.0.1", None) as first, bound("127.0.0.1", None) as second:
        assert first.getsockname()[1] != second.getsockname()[1]


def test_a_server_of_all_addresses_is_called_by_the_name_of_the_machine():
    with bound("0.0.0.0", 0) as server:
        assert address(server).startswith(f"http://{socket.gethostname()}:")
