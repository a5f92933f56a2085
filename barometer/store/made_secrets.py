"""Generated secrets: made at first use where no setting gives one, and kept in the store for all processes."""

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
    """The salt of author hashes. Never empty: with the store alone all names could be tried otherwise."""
    given = settings.author_salt.get_secret_value()
    return (given or made_secret(store, "author_salt")).encode()
