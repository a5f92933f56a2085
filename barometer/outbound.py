"""Outbound HTTP: through the proxies and with the certificates that the environment names.

httpx reads the environment itself, and stumbles over some of it: a ``NO_PROXY`` with an IPv6 network makes every
client fail. So the proxy is found here, and whatever the environment makes fail is reported as that: once it is put
right there, the same request goes through.
"""

from __future__ import annotations

import ssl
from functools import cache
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit
from urllib.request import getproxies

import httpx

from barometer.errors import BarometerError


class OutboundError(BarometerError):
    """The environment keeps a request from being made: a proxy, its missing library, a file of certificates."""


def client(url: str, timeout: float | httpx.Timeout, *, cafile: str | None = None) -> httpx.Client:
    """A client for requests to one URL; it follows no redirects.

    Args:
        cafile: PEM file of the authorities to trust; None: those of ``SSL_CERT_FILE``, ``SSL_CERT_DIR`` or certifi.

    Raises:
        OutboundError: names the variable or the file, and what to do.
    """
    proxy, variable = proxy_for(url)
    verify = _tls() if cafile is None else _tls_of(cafile)
    try:
        return httpx.Client(timeout=timeout, follow_redirects=False, verify=verify, proxy=proxy, trust_env=False)
    except ImportError as e:
        raise OutboundError(f"the proxy of {variable} needs a package that is not installed: {e}") from e
    except (ValueError, TypeError, httpx.InvalidURL) as e:
        raise OutboundError(f"{variable} is no address of a proxy: use http://HOST:PORT or socks5://HOST:PORT") from e


def proxy_for(url: str) -> tuple[str | None, str]:
    """(the proxy for a URL, the variable that names it); None: it is asked directly.

    ``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``, in either case of letters. ``NO_PROXY`` holds host
    names (with all below them), addresses, networks (``10.0.0.0/8``, ``fd00::/8``) and ``*``, each also with a port.
    """
    proxies = getproxies()
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        return None, ""
    if not host or any(_names(entry.strip(), host, port) for entry in proxies.get("no", "").split(",")):
        return None, ""
    for scheme in (parts.scheme, "all"):
        if proxy := proxies.get(scheme):
            return proxy if "://" in proxy else f"http://{proxy}", f"{scheme.upper()}_PROXY"
    return None, ""


def called(url: str) -> str:
    """Host and port that a request for a URL goes to, as messages name them: the proxy's, where there is one.

    >>> called("https://u:p@hooks.example/T0/secret")
    'hooks.example:443'
    """
    proxy, variable = proxy_for(url)
    try:
        parts = urlsplit(proxy or url)
        host, port = parts.hostname or "?", parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return "?"
    at = (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
    return f"the proxy {at} ({variable})" if proxy else at


def _names(entry: str, host: str, port: int | None) -> bool:
    """Whether an entry of NO_PROXY names a host."""
    if entry == "*":
        return True
    try:
        return ip_address(host) in ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        pass  # a name on one side or both
    name, _, its_port = entry.rpartition(":") if entry.count(":") == 1 or "]:" in entry else (entry, "", "")
    if its_port and its_port != str(port):
        return False
    name = name.strip("[]").removeprefix("*").strip(".").lower()
    return bool(name) and (host.lower() == name or host.lower().endswith(f".{name}"))


@cache
def _tls() -> ssl.SSLContext:
    """Reading the certificates takes longer than most requests."""
    try:
        return httpx.create_ssl_context()
    except OSError as e:
        raise OutboundError(f"SSL_CERT_FILE or SSL_CERT_DIR cannot be used: {e}") from e


def _tls_of(cafile: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=cafile)
    except OSError as e:
        raise OutboundError(f"{cafile}: no certificates can be read from it: {e.strerror or e}") from e
