"""The demo's receivers: the file that an installation would have, with addresses on loopback."""

from __future__ import annotations

import os
from pathlib import Path

import yaml

ESCALATE_MINUTES = 2.0


def write_people(file: Path, inbox_url: str) -> None:
    """Write the file for a run. Its addresses hold the run's token: for this user only."""
    said = {
        "receivers": [
            {
                "name": "风控组",
                "lang": "zh",
                "channels": [
                    {"type": "mail", "to": ["risk-desk@demo.example"]},
                    {"type": "feishu", "url": f"{inbox_url}/card/risk-desk"},
                ],
            },
            *(
                {"name": name, "lang": "both", "channels": [{"type": "feishu", "url": f"{inbox_url}/card/{name}"}]}
                for name in ("lijing", "wanglei")
            ),
            {"name": "运维", "lang": "en", "channels": [{"type": "webhook", "url": f"{inbox_url}/webhook/operators"}]},
        ],
        "rosters": [{"name": "oncall", "people": ["lijing", "wanglei"], "start": "2026-01-05 09:00", "turn": "week"}],
        "routes": [
            {"name": "system", "type": "system", "receivers": "运维"},
            {
                "name": "news",
                "receivers": "风控组",
                "escalate": {"after_minutes": ESCALATE_MINUTES, "receivers": "duty:oncall"},
            },
        ],
    }
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as f:
        yaml.safe_dump(said, f, allow_unicode=True, sort_keys=False)
