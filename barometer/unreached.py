"""Why a service was not reached, and what to do: of what Python, httpx and smtplib raise, in both languages.

What is kept of a failure is the English sentence; who reads it in Chinese gets it by :func:`retold`.
"""

from __future__ import annotations

import errno
import re
import smtplib
import socket
import ssl
from collections.abc import Iterator, Mapping
from typing import Literal

import httpx

CAUSES: Mapping[str, Mapping[Literal["en", "zh"], str]] = {
    "refused": {
        "en": "{at} refuses the connection: see that the service runs there, and that host and port are right",
        "zh": "{at} 拒绝连接：看那边的服务是否在运行，主机和端口是否正确",
    },
    "name": {
        "en": "{at}: there is no such host: see that its name is right, and that DNS works on this machine",
        "zh": "{at}：没有这个主机：核对主机名，看本机的 DNS 是否正常",
    },
    "no_way": {
        "en": "there is no way to {at} ({why}): see network, firewall and proxy",
        "zh": "网络到不了 {at}（{why}）：检查网络、防火墙和代理",
    },
    "timeout": {
        "en": "{at}: no answer within {why} s: see that the service is up, and that no firewall or proxy swallows it",
        "zh": "{at}：{why} 秒内没有应答：看服务是否正常，是否被防火墙或代理拦下",
    },
    "closed": {
        "en": "{at} broke the connection off: it may be overloaded, or expect TLS where we speak none; see its log",
        "zh": "{at} 中断了连接：可能过载，或要求 TLS 而这边没有用；看它的日志",
    },
    "certificate": {
        "en": "{at}: its certificate is not trusted ({why}): SSL_CERT_FILE names a file of authorities",
        "zh": "{at}：证书不受信任（{why}）：用 SSL_CERT_FILE 指定签发机构的证书文件",
    },
    "no_tls": {
        "en": "{at} does not speak TLS ({why}): see that port and scheme (http or https) are right",
        "zh": "{at} 不说 TLS（{why}）：核对端口，以及是 http 还是 https",
    },
    "proxy": {
        "en": "{at} does not let us through ({why}): see its rules, and user and password in its address",
        "zh": "{at} 不放行（{why}）：看代理的规则，以及地址里的用户名和密码",
    },
    "smtp_tls": {
        "en": "{at} speaks TLS from the first byte, as on port 465: set smtp_security to tls "
        "(BAROMETER_SMTP_SECURITY=tls)",
        "zh": "{at} 从第一个字节就用 TLS（如 465 端口）：把 smtp_security 设为 tls（BAROMETER_SMTP_SECURITY=tls）",
    },
    "smtp_no_tls": {
        "en": "{at} does not speak TLS from the first byte ({why}): set smtp_security to starttls or none",
        "zh": "{at} 不是从第一个字节就用 TLS（{why}）：把 smtp_security 设为 starttls 或 none",
    },
    "smtp_lacks": {
        "en": "{at} lacks what the settings want of it ({why}): see smtp_security and smtp_user",
        "zh": "{at} 不支持设置所要求的（{why}）：核对 smtp_security 和 smtp_user",
    },
}
_NO_WAY = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.EACCES, errno.EPERM}
_CLOSED = {errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED}


def unreached(error: BaseException, at: str, seconds: float) -> str:
    """Why a request or a connection failed, and what to do, in English.

    >>> unreached(ConnectionRefusedError(111, "Connection refused"), "mail.example:25", 30)
    'mail.example:25 refuses the connection: see that the service runs there, and that host and port are right'

    Args:
        at: host and port that were called.
        seconds: how long was waited.
    """
    cause, why = _cause(error)
    if cause is None:
        return f"{at}: {type(error).__name__}: {error}"
    return said(cause, at, f"{seconds:g}" if cause == "timeout" else why)


def said(cause: str, at: str, why: str = "") -> str:
    """A cause as it is kept."""
    return CAUSES[cause]["en"].format(at=at, why=why)


def retold(text: str, lang: str) -> str:
    """A text that is kept, for who reads Chinese; what is no cause of ours stays as it is.

    >>> retold(said("timeout", "hook.example:443", "10"), "zh")
    'hook.example:443：10 秒内没有应答：看服务是否正常，是否被防火墙或代理拦下'
    """
    if lang == "zh":
        for pattern, words in _PATTERNS:
            if m := pattern.fullmatch(text):
                return words.format(**{"at": "", "why": "", **m.groupdict()})
    return text


def _pattern(sentence: str) -> re.Pattern[str]:
    found = re.escape(sentence)
    return re.compile(re.sub(r"\\\{(at|why)\\\}", r"(?P<\1>.+?)", found), re.DOTALL)


_PATTERNS = [(_pattern(words["en"]), words["zh"]) for words in CAUSES.values()]


def _cause(error: BaseException) -> tuple[str | None, str]:
    """(the cause, what the library says of it): of the error itself, or of the first that led to it."""
    if isinstance(error, httpx.ProxyError):
        return "proxy", str(error)
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return "smtp_lacks", str(error).rstrip(".")
    for e in _chain(error):
        if isinstance(e, ssl.SSLCertVerificationError):
            return "certificate", e.verify_message
        if isinstance(e, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return "closed", ""
        if isinstance(e, ssl.SSLError):
            return "no_tls", str(getattr(e, "reason", None) or e).lower().replace("_", " ")
        if isinstance(e, socket.gaierror):
            return "name", ""
        if isinstance(e, TimeoutError | httpx.TimeoutException):
            return "timeout", ""
        if isinstance(e, OSError) and e.errno in _NO_WAY:
            return "no_way", e.strerror or ""
        if isinstance(e, ConnectionRefusedError):
            return "refused", ""
        if isinstance(e, OSError) and e.errno in _CLOSED:
            return "closed", ""
    if isinstance(error, httpx.RemoteProtocolError | httpx.ReadError | smtplib.SMTPServerDisconnected):
        return "closed", ""
    return None, ""


def _chain(error: BaseException) -> Iterator[BaseException]:
    at: BaseException | None = error
    while at is not None:
        yield at
        at = at.__cause__ or at.__context__
