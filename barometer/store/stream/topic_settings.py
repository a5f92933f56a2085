"""What the leader last found of the topics' settings in Kafka, for those who do not ask Kafka themselves: the alarms,
the dashboard, and ``barometer status`` where no broker answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, select

from barometer.store.bulk import replace_rows
from barometer.store.engine import Store
from barometer.store.tables import Meta

_KEY = "topic_settings"


def keep_topic_settings(store: Store, found: Mapping[str, Any]) -> None:
    """Keep a report of :func:`ingest.topic.preconditions.report`, with the time."""
    with store.write() as c:
        kept = json.dumps({"at": store.now_ms(c), **found}, ensure_ascii=False)
        replace_rows(c, store, Meta, [(_KEY, kept)])


def topic_settings(c: Connection) -> dict[str, Any] | None:
    """at (epoch ms), findings (each with topic, name, found, needed, why, remedy, level, text), unchecked (texts).
    None: nobody has looked yet."""
    found = c.execute(select(Meta.value).where(Meta.key == _KEY)).scalar()
    return None if found is None else dict(json.loads(found))
