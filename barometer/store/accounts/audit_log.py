"""The audit log: log-ins, and acts of people that are not about one alert."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, insert

from barometer.store.tables import AuditEntry


def note(c: Connection, at: int, actor: str, action: str, what: str, data: dict[str, Any]) -> None:
    """Write one entry, in the transaction of the act that it records.

    Args:
        at: epoch ms.
        action: ``user.add``, ``login``, ``token.revoke`` and the like.
        what: the object of the act: name of a user, id of a silence.
    """
    c.execute(insert(AuditEntry).values(at=at, actor=actor, action=action, object=what, data=data))
