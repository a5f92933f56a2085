"""The base of all channels over HTTP: one POST, and which of its failures are permanent.

A failure is *permanent* where the same message would be refused again: a bad token, a message that the service cannot
read, a redirect. It may *pass* where the service or the way to it is in trouble, or asks to be spared. A service that
answers in words of its own is read by its channel (:meth:`HttpSender.taken`); the rest is the same for all.
"""

from __future__ import annotations

import logging
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

import httpx
import orjson

from barometer import outbound
from barometer.settings import Settings
from barometer.unreached import unreached
from monitor.notify.channels.base import HttpSettings, SendError, Sent
from monitor.notify.channels.limits import LIMITER, Limit
from monitor.notify.formats import cut, one_line
from monitor.notify.message import Message

# It logs every URL that is called, and the URLs of services hold tokens.
logging.getLogger("httpx").setLevel(logging.WARNING)
logging.getLogger("httpcore").setLevel(logging.WARNING)

RETRIED = {408, 425, 429}
MAX_RETRY_AFTER = 3600.0
MAX_ANSWER = 64 * 1024
"""Bytes of an answer that are read."""


@dataclass(frozen=True, slots=True)
class Request:
    """One POST. ``secrets`` are blotted out of whatever is said about it, as are the parts of the URL; ``robot`` is
    what the service counts messages by, its URL if empty."""

    url: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    robot: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, and for what."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    request: Request

    def json(self) -> Mapping[str, Any]:
        """The body as a JSON object.

        Raises:
            SendError: it is none: something between us and the service answered, so it may pass.
        """
        try:
            found = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            found = None
        if not isinstance(found, dict):
            raise SendError(f"HTTP {self.status}, but not the service's answer: {self.said() or 'nothing'}")
        return found

    def said(self, text: str | None = None) -> str:
        """The body, or a text of it, on one short line without secrets."""
        text = self.body.decode("utf-8", "replace") if text is None else text
        return cut(redact(one_line(text), self.request.url, self.request.secrets), 200)


S = TypeVar("S", bound=HttpSettings)


class HttpSender(ABC, Generic[S]):
    """The sender of a channel over HTTP. A subclass builds the POST, and reads the answer where a 2xx alone does not
    say yes."""

    limits: tuple[Limit, ...] = ()

    def __init__(self, config: S, _settings: Settings | None = None) -> None:
        self.config = config

    @abstractmethod
    def request(self, message: Message) -> Request:
        """What is sent.

        Raises:
            SettingsError: a secret is not there.
        """

    @abstractmethod
    def preview(self, message: Message) -> str:
        """What would be sent, for people: without secrets and without looking them up."""

    def taken(self, answer: Answer) -> Sent:
        """Read a 2xx.

        Raises:
            SendError: it says no all the same.
        """
        return Sent(f"HTTP {answer.status}")

    def asked_to_wait(self, answer: Answer) -> float | None:
        """Seconds that a refusal asks for."""
        return retry_after(answer.headers.get("Retry-After"))

    def send(self, message: Message) -> Sent:
        request = self.request(message)
        LIMITER.wait(f"{type(self).__name__} {request.robot or request.url}", self.limits)
        answer = post(request, self.config.timeout_seconds)
        status = answer.status
        if 200 <= status < 300:
            return self.taken(answer)
        if 300 <= status < 400:
            raise SendError(f"HTTP {status}: it redirects; put the final URL into the file", permanent=True)
        said = answer.said()
        text = f"HTTP {status}" + (f": {said}" if said else "")
        if status in RETRIED or status >= 500:
            raise SendError(text, retry_after=self.asked_to_wait(answer))
        raise SendError(text, permanent=True)


def json_body(value: Any) -> bytes:
    return orjson.dumps(value)


def pretty(value: Any) -> str:
    """A body as ``preview`` shows it."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


def post(request: Request, timeout: float) -> Answer:
    """POST once, following nothing.

    Raises:
        SendError: no answer came. It may pass, unless the URL or a header cannot be sent at all.
    """
    headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "barometer", **request.headers}
    deadline = time.monotonic() + 2 * timeout
    try:
        with (
            outbound.client(request.url, timeout) as client,
            client.stream("POST", request.url, content=request.body, headers=headers) as response,
        ):
            body = b""
            for chunk in response.iter_bytes(4096):
                body += chunk
                # The timeout is for each read: a server that drips would hold us for ever.
                if len(body) >= MAX_ANSWER or time.monotonic() > deadline:
                    break
            return Answer(response.status_code, response.headers, body[:MAX_ANSWER], request)
    except outbound.OutboundError as e:
        # Put right in the environment; what waits is sent then.
        raise SendError(redact(str(e), request.url, request.secrets)) from None
    except (httpx.InvalidURL, httpx.UnsupportedProtocol):
        raise SendError("the URL is not one that can be called: use http:// or https://", permanent=True) from None
    except (httpx.LocalProtocolError, UnicodeError):
        # The error quotes the header, which may be a secret.
        raise SendError("a header has characters that HTTP does not allow", permanent=True) from None
    except httpx.DecodingError:
        raise SendError("the answer is not what its Content-Encoding says") from None
    except httpx.TransportError as e:
        why = unreached(e, outbound.called(request.url), timeout)
        raise SendError(redact(one_line(why), request.url, request.secrets)) from None


# --- what a refusal in the service's own words means -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Codes:
    """A service that answers HTTP 200 with a number of its own: 0 is yes.

    Args:
        field, text: where the number and its words stand.
        permanent: number to what has to be put right.
        busy: number to the seconds after which to try again, where the service asks to be spared.
    """

    field: str
    text: str
    permanent: Mapping[int, str]
    busy: Mapping[int, float]

    def judge(self, answer: Answer) -> Sent:
        """Raises:
        SendError: the number is not 0. One that we do not know may pass.
        """
        found = answer.json()
        code = found.get(self.field)
        if code == 0:
            return Sent(f"{self.field} 0")
        if not isinstance(code, int):
            raise SendError(f"HTTP {answer.status} without {self.field}: {answer.said() or 'nothing'}")
        text = f"{self.field} {code}: {answer.said(str(found.get(self.text) or ''))}"
        if code in self.permanent:
            raise SendError(f"{text} ({self.permanent[code]})", permanent=True)
        raise SendError(text, retry_after=self.busy.get(code))


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds of a Retry-After header (RFC 9110, 10.2.3: seconds or a date), at most an hour; None if unreadable.

    >>> retry_after("7"), retry_after("soon"), retry_after("99999")
    (7.0, None, 3600.0)
    """
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(float(value), MAX_RETRY_AFTER)
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    wait = (at.replace(tzinfo=at.tzinfo or UTC) - (now or datetime.now(UTC))).total_seconds()
    return min(max(wait, 0.0), MAX_RETRY_AFTER)


# --- secrets ---------------------------------------------------------------------------------------------------------


def redact(text: str, url: str, secrets: Iterable[str] = ()) -> str:
    """A text about a request without its URL, the parts of the URL that may be tokens, and its secrets.

    >>> redact("no robot a1b2c3d4e5 at https://x.test/hook/a1b2c3d4e5", "https://x.test/hook/a1b2c3d4e5")
    'no robot *** at ***'
    """
    for secret in sorted({url, *_tokens(url), *secrets}, key=len, reverse=True):
        if secret:
            text = re.sub(re.escape(secret), "***", text, flags=re.IGNORECASE)
    return text


def _tokens(url: str) -> Iterable[str]:
    """Parts of a URL that may be secret: long pieces of the path, values of the query, a user and password."""
    try:
        parts = urlsplit(url)
        pieces = [*parts.path.split("/"), *(v for _, v in parse_qsl(parts.query)), parts.username, parts.password]
    except ValueError:
        return
    for piece in pieces:
        if piece and len(piece) >= 8:
            yield piece
            yield unquote(piece)
