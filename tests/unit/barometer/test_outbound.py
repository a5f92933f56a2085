from __future__ import annotations

import pytest

from barometer import outbound

NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR")


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    outbound._tls.cache_clear()


@pytest.mark.parametrize(
    ("url", "excepted", "direct"),
    [
        ("http://127.0.0.1:8080/x", "localhost,127.0.0.1,::1,fd00::/8", True),
        ("http://[::1]:8080/x", "localhost,127.0.0.1,::1,fd00::/8", True),
        ("http://[fd00::7]/x", "fd00::/8", True),
        ("http://10.1.2.3/x", "10.0.0.0/8", True),
        ("http://11.1.2.3/x", "10.0.0.0/8", False),
        ("https://hook.bank.example/x", "bank.example", True),
        ("https://hook.bank.example/x", ".bank.example", True),
        ("https://hook.bank.example/x", "*.bank.example", True),
        ("https://otherbank.example/x", "bank.example", False),
        ("https://hook.bank.example:8443/x", "hook.bank.example:8443", True),
        ("https://hook.bank.example:443/x", "hook.bank.example:8443", False),
        ("https://anywhere.example/x", "*", True),
        ("https://anywhere.example/x", "", False),
    ],
)
def test_no_proxy_names_hosts_addresses_and_networks(
    monkeypatch: pytest.MonkeyPatch, url: str, excepted: str, direct: bool
) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", excepted)
    assert outbound.proxy_for(url)[0] == (None if direct else "http://proxy.example:3128")
    outbound.client(url, 1.0).close()  # and httpx takes it


def test_the_proxy_is_that_of_the_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "proxy.example:3128")
    assert outbound.proxy_for("https://x.example/") == ("http://proxy.example:3128", "HTTPS_PROXY")
    assert outbound.proxy_for("http://x.example/") == (None, "")
    assert outbound.proxy_for("http://[broken/") == (None, "")


def test_what_the_environment_has_wrong_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "gopher://proxy.example")
    with pytest.raises(outbound.OutboundError, match="ALL_PROXY"):
        outbound.client("http://x.example/", 1.0)
    monkeypatch.delenv("ALL_PROXY")
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    outbound._tls.cache_clear()  # a process reads them once
    with pytest.raises(outbound.OutboundError, match="SSL_CERT_FILE"):
        outbound.client("https://x.example/", 1.0)
    monkeypatch.delenv("SSL_CERT_FILE")
    outbound.client("https://x.example/", 1.0).close()
    with pytest.raises(outbound.OutboundError, match=r"/nowhere/ca\.pem"):
        outbound.client("https://x.example/", 1.0, cafile="/nowhere/ca.pem")
