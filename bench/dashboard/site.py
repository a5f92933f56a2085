"""The server as ``barometer dashboard`` starts it, people who are logged in to it, and what it consists of."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dash
from flask import Flask

from barometer.settings import load_settings
from barometer.store.migrate import open_store
from bench.dashboard.filling import PASSWORD


@dataclass(frozen=True)
class Site:
    """A running dashboard."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def memory(self) -> dict[int, float]:
        """Memory that only it holds (private), in MB, of the server's processes that answer requests."""
        return {pid: _private(pid) for pid in _children(self.process.pid)}


class Clock:
    """Computing time of the server's processes and of the database's, in seconds: unlike the time that an answer takes,
    it says little of what else the machine has to do."""

    def __init__(self, site: Site, postmaster: int | None) -> None:
        self._site, self._postmaster = site, postmaster

    def read(self) -> tuple[float, float]:
        """(server, database) so far; 0 for a database without a server of its own."""
        web = sum(_computed(pid) for pid in _children(self._site.process.pid))
        if self._postmaster is None:
            return web, 0.0
        with contextlib.suppress(OSError):
            ended = Path(f"/proc/{self._postmaster}/stat").read_text().rsplit(")", 1)[1].split()
            ticks = (int(ended[13]) + int(ended[14])) / os.sysconf("SC_CLK_TCK")
            return web, ticks + sum(_computed(pid) for pid in _children(self._postmaster))
        return web, 0.0


def _children(pid: int) -> list[int]:
    return [int(x) for x in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _computed(pid: int) -> float:
    total = 0
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError, ValueError):
                total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def _private(pid: int) -> float:
    with contextlib.suppress(OSError):
        found = re.findall(r"^Private_\w+:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)
        return sum(map(int, found)) / 1024
    return 0.0


@contextlib.contextmanager
def served(database_url: str) -> Iterator[Site]:
    """Serve a store for as long as the block runs, with the settings' defaults."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "app", "dashboard"],
            env={
                **os.environ,
                "BAROMETER_DATABASE_URL": database_url,
                "BAROMETER_DASHBOARD_PORT": str(port),
                "BAROMETER_LOGIN_LIMIT": "10000 per minute",
                "BAROMETER_LOGIN_LIMIT_ADDRESS": "10000 per minute",
                "BAROMETER_API_LIMIT": "100000 per minute",
                "BAROMETER_LOG_LEVEL": "WARNING",
            },
            stdout=out,
            stderr=out,
        )
        try:
            _wait(port, process, out)
            yield Site(port, process)
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
            out.seek(0)
            said = out.read().decode("utf-8", "replace").strip()
            if said:
                print(f"the server said:\n{said[-3_000:]}", flush=True)


def _wait(port: int, process: subprocess.Popen[bytes], out: Any) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            c = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            c.request("GET", "/health")
            if c.getresponse().status == 200:
                return
        time.sleep(0.3)
    out.seek(0)
    raise SystemExit(f"the dashboard did not start:\n{out.read().decode('utf-8', 'replace')}")


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: how long it took from the request's first byte to the answer's last, in seconds."""

    status: int
    seconds: float
    body: bytes
    """As it came over the wire: compressed where the headers say so."""
    headers: Mapping[str, str]

    def json(self) -> Any:
        packed = self.headers.get("Content-Encoding") == "gzip"
        return json.loads(gzip.decompress(self.body) if packed else self.body)


class Person:
    """Somebody who is logged in, with a connection that is kept open, as a browser does."""

    def __init__(self, site: Site, name: str) -> None:
        self.name = name
        self._connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=120)
        self._cookies: dict[str, str] = {}
        form = self.get("/login")
        token = re.search(rb'name="csrf_token"[^>]*value="([^"]+)"', form.body)
        if token is None:
            raise SystemExit("the log-in page has no token")
        fields = {"name": name, "password": PASSWORD, "csrf_token": token.group(1).decode()}
        answer = self._ask(
            "POST",
            "/login",
            urllib.parse.urlencode(fields).encode(),
            {"Content-Type": "application/x-www-form-urlencoded"},
        )
        if answer.status != 302:
            raise SystemExit(f"{name} could not log in: {answer.status}")

    @property
    def cookies(self) -> dict[str, str]:
        return dict(self._cookies)

    def get(self, path: str) -> Answer:
        return self._ask("GET", path, None, {})

    def post(self, path: str, body: bytes) -> Answer:
        """JSON, as scripts of the page send it."""
        return self._ask("POST", path, body, {"Content-Type": "application/json", "Sec-Fetch-Site": "same-origin"})

    def _ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        headers = {
            **headers,
            "Accept-Encoding": "gzip",
            "Cookie": "; ".join(f"{k}={v}" for k, v in self._cookies.items()),
        }
        started = time.perf_counter()
        try:
            self._connection.request(method, path, body, headers)
            response = self._connection.getresponse()
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):  # idle for too long
            self._connection.close()
            self._connection.request(method, path, body, headers)
            response = self._connection.getresponse()
        data = response.read()
        took = time.perf_counter() - started
        for line in response.headers.get_all("Set-Cookie") or []:
            name, _, value = line.split(";", 1)[0].partition("=")
            self._cookies[name] = value
        return Answer(response.status, took, data, dict(response.headers.items()))


@dataclass(frozen=True)
class Parts:
    """What the dashboard consists of."""

    callbacks: tuple[str, ...]
    """Outputs of the callbacks that the server answers."""
    pages: tuple[str, ...]
    """Paths, or patterns of paths."""
    calls: tuple[tuple[str, str], ...]
    """(method, pattern) of the JSON API and the exports."""


def parts(database_url: str) -> Parts:
    """Taken from the application itself, so that nothing that is added later is left out unseen."""
    from dashboard.app import create_app

    settings = load_settings(database_url=database_url)
    store = open_store(settings)
    made: list[dash.Dash] = []
    register = dash.Dash.init_app

    def noted(self: dash.Dash, *args: Any, **kwargs: Any) -> Any:
        made.append(self)
        return register(self, *args, **kwargs)

    dash.Dash.init_app = noted  # type: ignore[method-assign]
    try:
        server: Flask = create_app(settings, store)
        server.test_client().get("/login")  # the callback of the pages themselves is made at the first request
        app = made[0]
    finally:
        dash.Dash.init_app = register  # type: ignore[method-assign]
        store.close()
    callbacks = [c["output"] for c in app._callback_list if not c.get("clientside_function")]
    pages = [p["path_template"] or p["path"] for p in dash.page_registry.values() if "404" not in p["module"]]
    calls = [
        (method, rule.rule)
        for rule in server.url_map.iter_rules()
        if rule.rule.startswith(("/api/", "/export/"))
        for method in sorted((rule.methods or set()) & {"GET", "POST", "PUT", "DELETE", "PATCH"})
    ]
    callbacks += [key for key, made_of in app.callback_map.items() if "callback" in made_of]
    return Parts(tuple(dict.fromkeys(callbacks)), tuple(pages), tuple(sorted(calls)))
