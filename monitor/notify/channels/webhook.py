"""A POST in the shape of Alertmanager's version 4 webhook payload, so that what takes Alertmanager's takes ours.

https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import orjson

from barometer.records import Kind, hash64
from monitor.notify.channels import SendError, Sent
from monitor.notify.config import WebhookChannel, reveal
from monitor.notify.formats import one_line, rfc3339
from monitor.notify.message import Message

RETRIED = {408, 425, 429}
NAMES = {"surge": "SentimentSurge", "rule": "RedLine", "system": "BarometerSystem"}
MAX_RETRY_AFTER = 3600.0


class Webhook:
    """Sends to one URL. With a ``secret`` the body is signed: ``Barometer-Signature: t=SECONDS,v1=HEX`` with the
    HMAC-SHA256 of ``SECONDS.BODY``."""

    def __init__(self, config: WebhookChannel) -> None:
        self._config = config

    def send(self, message: Message) -> Sent:
        body = orjson.dumps(payload(message))
        headers = {"Content-Type": "application/json", "Idempotency-Key": message.id, "User-Agent": "barometer"}
        headers |= {name: reveal(value) for name, value in self._config.headers.items()}
        if self._config.secret is not None:
            headers["Barometer-Signature"] = sign(reveal(self._config.secret), body, int(time.time()))
        url, timeout = reveal(self._config.url), self._config.timeout_seconds
        try:
            with (
                httpx.Client(timeout=timeout) as client,
                client.stream("POST", url, content=body, headers=headers) as response,
            ):
                return _judge(response)
        except httpx.TimeoutException as e:
            raise SendError(f"no answer within {timeout:g} s ({type(e).__name__})") from None
        except (httpx.InvalidURL, httpx.UnsupportedProtocol):
            raise SendError("the URL is not one that can be called: use http:// or https://", permanent=True) from None
        except (httpx.LocalProtocolError, UnicodeError):
            # The error quotes the header, which may be a secret.
            raise SendError("a header has characters that HTTP does not allow", permanent=True) from None
        except httpx.TransportError as e:
            raise SendError(f"{type(e).__name__}: {e}".replace(url, "URL")) from None


def _judge(response: httpx.Response) -> Sent:
    status = response.status_code
    if 200 <= status < 300:
        return Sent(f"HTTP {status}")
    said = ""
    for chunk in response.iter_bytes(512):
        said = one_line(chunk[:200].decode("utf-8", "replace"))
        break
    text = f"HTTP {status}" + (f": {said}" if said else "")
    if 300 <= status < 400:
        raise SendError(f"HTTP {status}: it redirects; put the final URL into the file", permanent=True)
    if status in RETRIED or status >= 500:
        raise SendError(text, retry_after=retry_after(response.headers.get("Retry-After")))
    raise SendError(text, permanent=True)


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


def sign(secret: str, body: bytes, at: int) -> str:
    """The value of ``Barometer-Signature``."""
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def payload(message: Message) -> dict[str, Any]:
    """Alertmanager's version 4 payload with one alert."""
    f = message.facts
    status = "resolved" if message.resolved else "firing"
    labels = _labels(f)
    annotations = {
        "summary": message.title,
        "description": message.text,
        "reason": f["reason"],
        "alert_id": str(f["alert_id"]),
        "seen_negative": str(f["seen_negative"]),
        "seen_total": str(f["seen_total"]),
        "expected_negative": f"{f['expected_negative']:.1f}",
        "window_seconds": str(f["window_seconds"]),
        "score": f"{f['score']:.2f}",
    }
    group = {"alertname": labels["alertname"], "series": labels["series"]}
    ended = (f["ended_at"] or f["resolved_at"]) if message.resolved else None
    alert = {
        "status": status,
        "labels": labels,
        "annotations": annotations,
        "startsAt": rfc3339(f["started_at"]),
        "endsAt": rfc3339(ended),
        "generatorURL": f["link"],
        "fingerprint": f"{hash64(f['fingerprint']) & (1 << 64) - 1:016x}",
    }
    return {
        "version": "4",
        "groupKey": "{}:{" + ", ".join(f"{k}={orjson.dumps(v).decode()}" for k, v in group.items()) + "}",
        "truncatedAlerts": 0,
        "status": status,
        "receiver": f["receiver"],
        "groupLabels": group,
        "commonLabels": labels,
        "commonAnnotations": annotations,
        "externalURL": f["external_url"],
        "alerts": [alert],
    }


def _labels(f: Mapping[str, Any]) -> dict[str, str]:
    labels = {
        "alertname": NAMES[f["type"]],
        "series": f["fingerprint"],
        "severity": f["severity"],
        "type": f["type"],
    }
    if f["kinds"]:
        labels["kind"] = ",".join(Kind(k).name.lower() for k in f["kinds"])
    if f["level"]:
        labels["level"] = f["level"]
    return labels
