"""A POST in the shape of Alertmanager's version 4 webhook payload, so that what takes Alertmanager's takes ours.

https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping
from typing import Any

import orjson

from barometer.records import hash64
from barometer.vocabulary import Kind
from monitor.notify.channels.http import HttpSender, Request, json_body, pretty
from monitor.notify.channels.webhook.settings import WebhookSettings
from monitor.notify.formats import rfc3339
from monitor.notify.message import Message
from monitor.notify.secrets import reveal

NAMES = {"surge": "SentimentSurge", "rule": "RedLine", "system": "BarometerSystem"}


class Webhook(HttpSender[WebhookSettings]):
    """Sends to one URL. With a ``secret`` the body is signed: ``Barometer-Signature: t=SECONDS,v1=HEX`` with the
    HMAC-SHA256 of ``SECONDS.BODY``."""

    def request(self, message: Message) -> Request:
        body = json_body(payload(message))
        own = {name: reveal(value) for name, value in self.config.headers.items()}
        headers = {"Idempotency-Key": message.id, **own}
        secrets = tuple(own.values())
        if self.config.secret is not None:
            secret = reveal(self.config.secret)
            headers["Barometer-Signature"] = sign(secret, body, int(time.time()))
            secrets += (secret,)
        return Request(reveal(self.config.url), body, headers, secrets)

    def preview(self, message: Message) -> str:
        return pretty(payload(message))


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
        labels["kind"] = ",".join(Kind(k).label for k in f["kinds"])
    if f["level"]:
        labels["level"] = f["level"]
    return labels
