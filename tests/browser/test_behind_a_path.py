"""Behind a path of a host (``public_url: https://host/news``) and nginx: pages, scripts, the API, log-in and out."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, expect

from dashboard.web.prefix import Beneath
from tests.browser.test_dashboard import Site, browser, start_site, stop_site
from tests.support.seed import PASSWORD

__all__ = ["browser"]
pytestmark = pytest.mark.browser

NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
PATH = "/barometer/news"
CONFIG = """
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
{user}
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  proxy_set_header Host $http_host;
  proxy_set_header X-Forwarded-For $remote_addr;
  proxy_set_header X-Forwarded-Proto $scheme;
  server {{
    listen 127.0.0.1:{whole};
    location {path}/ {{ proxy_pass http://127.0.0.1:{behind}; }}
    location / {{ return 404 "not ours"; }}
  }}
  server {{
    listen 127.0.0.1:{cut};
    location {path}/ {{ proxy_pass http://127.0.0.1:{behind}/; }}
    location / {{ return 404 "not ours"; }}
  }}
}}
"""


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@pytest.fixture(scope="module")
def proxied(
    browser: Browser,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Site, dict[str, str]]]:
    """The dashboard, and its addresses at a proxy that passes the path on (``whole``) and at one that takes it off."""
    if NGINX is None:
        pytest.skip("no nginx here (apt install nginx, or make system)")
    folder, ports = tmp_path_factory.mktemp("nginx"), {"whole": free_port(), "cut": free_port()}
    urls = {how: f"http://127.0.0.1:{port}{PATH}" for how, port in ports.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BAROMETER_PUBLIC_URL", urls["whole"])
        patch.setenv("BAROMETER_TRUSTED_PROXIES", "1")
        site = start_site(tmp_path_factory.mktemp("site"), full=True)
    config = folder / "nginx.conf"
    user = "user root;" if os.getuid() == 0 else ""
    behind = site.url.rpartition(":")[2]
    config.write_text(CONFIG.format(folder=folder, user=user, path=PATH, behind=behind, **ports))
    nginx = subprocess.Popen([NGINX, "-c", str(config), "-p", str(folder), "-g", "daemon off;"])
    said: list[Any] = []
    try:
        until = time.monotonic() + 20
        while True:
            try:
                said = [httpx.get(f"{url}/health", timeout=5).status_code for url in urls.values()]
            except httpx.HTTPError as e:
                said = [repr(e)]
            if said == [200, 200]:
                break
            assert nginx.poll() is None and time.monotonic() < until, said
            time.sleep(0.2)
        yield site, urls
    finally:
        nginx.terminate()
        nginx.wait(10)
        stop_site(site)


@pytest.mark.parametrize("how", ["whole", "cut"])
def test_a_program_finds_everything_beneath_the_path(proxied: tuple[Site, dict[str, str]], how: str) -> None:
    url = proxied[1][how]
    host = url.removesuffix(PATH)
    with httpx.Client(timeout=30) as client:
        first = client.get(f"{url}/alerts?state=all")
        assert first.status_code == 302
        assert first.headers["Location"] == f"{PATH}/login?next=/alerts%3Fstate%3Dall"
        form = client.get(host + first.headers["Location"]).text
        links = re.findall(r'(?:href|src|action)="([^"]+)"', form)
        assert links and all(x.startswith(PATH + "/") for x in links), links
        assert client.get(f"{url}/assets/login.css").status_code == 200
        fields = dict(re.findall(r'name="(csrf_token|next)" value="([^"]*)"', form))
        fields["next"] = fields["next"].replace("&amp;", "&")
        entered = client.post(f"{url}/login", data={"name": "analyst", "password": PASSWORD, **fields})
        assert entered.status_code == 302 and entered.headers["Location"] == f"{PATH}/alerts?state=all"
        cookies = entered.headers.get_list("Set-Cookie")
        assert cookies and all(re.search(rf"Path={PATH}(;|$)", c) for c in cookies), cookies
        page = client.get(host + entered.headers["Location"]).text
        links = re.findall(r'(?:href|src)="(/[^"]+)"', page)
        assert len(links) > 10 and all(x.startswith(PATH + "/") for x in links), links
        assert {client.get(host + x.replace("&amp;", "&")).status_code for x in links} == {200}
        assert client.get(f"{url}/api/v1/status").json()["log"]
        served = client.get(f"{url}/api/v1/openapi.json").json()["servers"]
        assert served == [{"url": PATH}]
        assert client.get(f"{url}/api/v1/docs").text.count(f'href="{PATH}/') >= 4
        known = client.get(f"{url}/export/annotations.csv")
        assert known.status_code == 200
        out = client.post(f"{url}/logout")
        assert out.headers["Location"] == f"{PATH}/login"
        assert client.get(f"{url}/api/v1/status").status_code == 401


def test_a_person_goes_about_beneath_the_path(
    proxied: tuple[Site, dict[str, str]],
    browser: Browser,
) -> None:
    url = proxied[1]["whole"]
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page, troubles = context.new_page(), list[str]()
    page.on("console", lambda m: troubles.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda e: troubles.append(str(e)))
    page.on("request", lambda r: None if r.url.startswith((url, "data:", "blob:")) else troubles.append(r.url))
    page.goto(f"{url}/series/topic:real_estate")
    page.get_by_label("用户名").fill("analyst")
    page.get_by_label("密码").fill(PASSWORD)
    page.locator("button[type=submit]").click()
    page.wait_for_selector("#series-chart .main-svg")
    assert page.url == f"{url}/series/topic:real_estate"
    page.locator("#nav-alerts").click()
    page.wait_for_selector("tr[data-alert]")
    assert page.url == f"{url}/alerts"
    expect(page.locator("#nav-alerts")).to_have_class("nav-link on")
    expect(page.locator("#nav-home")).to_have_class("nav-link")
    page.locator("tr[data-alert] .row-link").first.click()
    page.wait_for_url(f"{url}/alerts/*")
    page.wait_for_selector("#alert-head")
    page.keyboard.press("g")
    page.keyboard.press("o")
    page.wait_for_url(f"{url}/overview")
    page.locator(".board .series-name").first.click()
    page.wait_for_url(f"{url}/series/**")
    page.locator(".brand").click()
    page.wait_for_url(f"{url}/")
    assert troubles == []
    context.clear_cookies()  # the session is over: the next refresh leads to the log-in, and back from there
    page.wait_for_url(f"{url}/login?expired=1&next=%2F", timeout=30_000)
    context.close()
    assert [x for x in troubles if x.startswith("http")] == []  # what its page says of answers 401 is not ours


@pytest.mark.parametrize(
    ("asked", "served"),
    [("/a/b", "/"), ("/a/b/", "/"), ("/a/b/alerts", "/alerts"), ("/alerts", "/alerts"), ("/a/bc", "/a/bc")],
)
def test_the_path_is_taken_off_once(asked: str, served: str) -> None:
    seen: dict[str, Any] = {}

    def app(environ: dict[str, Any], _start: Any) -> list[bytes]:
        seen.update(environ)
        return []

    Beneath(app, "/a/b")({"PATH_INFO": asked}, None)
    assert (seen["PATH_INFO"], seen["SCRIPT_NAME"]) == (served, "/a/b")
