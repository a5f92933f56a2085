"""Secrets that nobody set: made at first use, kept in the store, the same for all processes and after a restart."""

from __future__ import annotations

import secrets

from sqlalchemy import select

from barometer.settings import Settings
from barometer.store.bulk import insert_if_absent
from barometer.store.engine import Store
from barometer.store.tables import Meta


def made_secret(store: Store, name: str) -> str:
    """The secret of a name; several processes may be the first at once, and all get the same."""
    with store.read() as c:
        found = c.execute(select(Meta.value).where(Meta.key == name)).scalar()
    if found is None:
        with store.write() as c:
            insert_if_absent(c, store, Meta, {"key": name, "value": secrets.token_urlsafe(48)})
            found = c.execute(select(Meta.value).where(Meta.key == name)).scalar_one()
    return str(found)


def author_salt(store: Store, settings: Settings) -> bytes:
    """What authors' names are hashed with. Never nothing: whoever has the store could try all names otherwise."""
    given = settings.author_salt.get_secret_value()
    return (given or made_secret(store, "author_salt")).encode()
