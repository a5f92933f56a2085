"""An alert as the store has it, for messages and channels."""

from __future__ import annotations

from typing import Any

from barometer.store.alerts.notifiable import NotifiableAlert

AT = 1_700_000_400_000
NASTY = '<script>alert("x")</script> & 挤兑\r\nBcc: all@example.com'


def alert(**more: Any) -> NotifiableAlert:
    values: dict[str, Any] = {
        "id": 7, "type": "surge", "fingerprint": "topic:real_estate", "kinds": [1, 2], "severity": "critical",
        "level": "major", "state": "firing", "started_at": AT, "detected_at": AT + 600_000, "peak_at": AT + 600_000,
        "ended_at": None, "acknowledged_by": None, "resolved_at": None, "resolved_by": None, "resolution": None,
        "score": 5.25, "expected_negative": 6.5, "seen_negative": 31, "seen_total": 88, "window_seconds": 1800,
        "arm": "volume", "explanation": {}, "evidence": [{"text": NASTY, "source": NASTY, "kind": 2, "copies": 3}],
    }  # fmt: skip
    return NotifiableAlert(**values | more)
