from __future__ import annotations

import json
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from barometer.errors import SettingsError
from barometer.metrics import serve


def get(port: int, path: str) -> str:
    with urlopen(f"http://127.0.0.1:{port}{path}") as answer:
        return str(answer.read().decode())


def test_metrics_and_health() -> None:
    server = serve("127.0.0.1", 0)
    assert "process_cpu_seconds_total" in get(server.port, "/metrics")
    assert json.loads(get(server.port, "/health")) == {"ok": True}
    with pytest.raises(HTTPError, match="404"):
        get(server.port, "/etc/passwd")
    server.shutdown()


def test_a_sick_process_says_so() -> None:
    server = serve("127.0.0.1", 0, lambda: (False, {"state": "stuck"}))
    with pytest.raises(HTTPError) as e:
        get(server.port, "/health")
    assert e.value.code == 503
    assert json.loads(e.value.read()) == {"ok": False, "state": "stuck"}
    server.shutdown()


def test_a_taken_port_is_named_or_stepped_aside_from() -> None:
    first = serve("127.0.0.1", 0)
    with pytest.raises(SettingsError, match=f"127.0.0.1:{first.port}"):
        serve("127.0.0.1", first.port)
    second = serve("127.0.0.1", first.port, fall_back=True)
    assert second.port != first.port
    assert json.loads(get(second.port, "/health")) == {"ok": True}
    first.shutdown()
    second.shutdown()
