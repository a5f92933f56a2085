"""The audit log: acts of people that are not about one alert, and who came in."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, insert

from barometer.store.tables import AuditEntry


def note(c: Connection, at: int, actor: str, action: str, what: str, data: dict[str, Any]) -> None:
    """Write one entry, in the transaction of what it tells of.

    Args:
        at: epoch ms.
        action: ``user.add``, ``login``, ``token.revoke`` and the like.
        what: name of the user, number of the silence: what was acted on.
    """
    c.execute(insert(AuditEntry).values(at=at, actor=actor, action=action, object=what, data=data))
