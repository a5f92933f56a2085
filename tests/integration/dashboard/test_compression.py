"""What goes over the wire: compressed where that is safe, kept by browsers where an address never changes."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from barometer.settings import Settings
from barometer.store.accounts.users import add_user
from barometer.store.migrate import open_store
from dashboard.app import create_app
from tests.integration.dashboard.test_auth import log_in
from tests.support.seed import PASSWORD

GZIP = {"Accept-Encoding": "gzip"}


@pytest.fixture
def client(settings_for: Callable[..., Settings], tmp_path: Path) -> Iterator[FlaskClient]:
    settings = settings_for(database_url=f"sqlite:///{tmp_path / 'wire.db'}")
    store = open_store(settings, migrate=True)
    add_user(store, "viewer", PASSWORD, "viewer", actor="tests")
    made = create_app(settings, store).test_client()
    log_in(made, "viewer")
    yield made
    store.close()


def addresses(client: FlaskClient) -> list[str]:
    page = client.get("/").get_data(as_text=True)
    return re.findall(r'(?:src|href)="(/[^"]+)"', page)


def test_files_are_compressed_and_what_is_compressed_is_the_file(client: FlaskClient) -> None:
    found = [a for a in addresses(client) if a.split("?")[0].endswith((".js", ".css"))]
    assert len(found) > 10
    for address in found:
        plain = client.get(address)
        for _ in range(2):  # the second time from what was kept
            small = client.get(address, headers=GZIP)
            assert small.status_code == 200
            if len(plain.data) > 1_000:
                assert small.headers["Content-Encoding"] == "gzip", address
                assert len(small.data) < len(plain.data)
                assert gzip.decompress(small.data) == plain.data
                assert "Accept-Encoding" in small.headers["Vary"]


def test_addresses_with_a_version_are_kept_for_good_and_others_are_asked_about(client: FlaskClient) -> None:
    versioned = [a for a in addresses(client) if "?m=" in a or re.search(r"\.v\d", a)]
    assert len(versioned) > 10
    for address in versioned:
        assert "immutable" in client.get(address).headers["Cache-Control"], address
    bare = client.get("/assets/barometer.js", headers=GZIP)
    assert bare.headers["Cache-Control"] == "no-cache"
    again = client.get("/assets/barometer.js", headers={**GZIP, "If-None-Match": bare.headers["ETag"]})
    assert again.status_code == 304
    # A new version has a new address: the answer of the old one is not given for it.
    assert "immutable" not in client.get("/_dash-component-suites/dash/dcc/async-graph.js").headers.get(
        "Cache-Control", ""
    )


def test_a_part_of_a_file_or_its_head_is_not_taken_for_the_file(client: FlaskClient) -> None:
    address = next(a for a in addresses(client) if "barometer.js" in a)
    client.head(address, headers=GZIP)
    client.get(address, headers={**GZIP, "Range": "bytes=0-9"})
    whole = client.get(address, headers=GZIP)
    assert gzip.decompress(whole.data) == client.get(address).data


def test_answers_are_compressed_pages_with_a_secret_are_not(client: FlaskClient) -> None:
    answer = client.get("/_dash-dependencies", headers=GZIP)
    assert answer.headers["Content-Encoding"] == "gzip"
    assert b"truth-next" in gzip.decompress(answer.data)
    assert answer.headers["Cache-Control"] == "no-store"
    other = client.application.test_client().get("/login", headers=GZIP)
    assert "Content-Encoding" not in other.headers
    assert "Content-Encoding" not in client.get("/", headers=GZIP).headers


def test_files_stay_behind_the_log_in_also_when_they_were_kept(client: FlaskClient) -> None:
    address = next(a for a in addresses(client) if "barometer.js" in a)
    assert client.get(address, headers=GZIP).status_code == 200
    stranger = client.application.test_client().get(address, headers=GZIP)
    assert stranger.status_code == 401
    assert "immutable" not in stranger.headers.get("Cache-Control", "")


def test_a_page_with_a_chart_asks_for_its_library_at_once(client: FlaskClient) -> None:
    for path, early in (("/series/all", True), ("/alerts/1", True), ("/", False)):
        page = client.get(path).get_data(as_text=True)
        assert ("<script async" in page) is early
        assert "plotly.min.js" in page
    pages = client.get("/series/all").get_data(as_text=True) + client.get("/overview").get_data(as_text=True)
    early_files = re.findall(r'(?:src|href)="([^"]*(?:plotly\.min|async-\w+)\.js)"', pages)
    assert len(early_files) >= 3
    for address in early_files:
        assert client.get(address).status_code == 200, address
