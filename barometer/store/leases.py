"""Leases: at most one holder of a name at a time, by the database's clock, with a term that grows at every change
of hands. Every transaction of a holder checks its term (:func:`check`), so that a holder that was frozen beyond its
lease writes nothing when it wakes (a fencing token: Kleppmann, Designing Data-Intensive Applications, ch. 8)."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from barometer.errors import StaleWrite
from barometer.store.engine import Store
from barometer.store.tables import Lease as _Lease

LEADER = "leader"


def progress_lease(topic: str) -> str:
    """The name of the lease to write progress records into a topic."""
    return f"progress:{topic}"


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease that is held: its name, who holds it, and the term to check."""

    name: str
    holder: str
    term: int
    expires_at: int


def acquire(store: Store, name: str, holder: str, seconds: float) -> Lease | None:
    """Take or renew a lease; None if somebody else holds it.

    A renewal keeps the term; a take-over (free, expired, or another holder's) adds one.
    """
    with store.write() as c:
        row = c.execute(select(_Lease).where(_Lease.name == name).with_for_update()).one_or_none()
        now = store.now_ms(c)  # only now: a holder's long transaction may have kept us waiting for the row
        expires = now + int(seconds * 1000)
        if row is None:
            # Two first takers race: the loser's insert fails on the primary key and is tried again by its caller.
            c.execute(insert(_Lease).values(name=name, holder=holder, term=1, expires_at=expires))
            return Lease(name, holder, 1, expires)
        live = row.expires_at > now
        if live and row.holder != holder:
            return None
        term = row.term if live else row.term + 1
        c.execute(update(_Lease).where(_Lease.name == name).values(holder=holder, term=term, expires_at=expires))
        return Lease(name, holder, term, expires)


def release(store: Store, lease: Lease) -> None:
    """Give a lease back early; nothing happens if it is no longer ours."""
    with store.write() as c:
        c.execute(
            update(_Lease)
            .where(_Lease.name == lease.name, _Lease.term == lease.term, _Lease.holder == lease.holder)
            .values(expires_at=store.now_ms(c))
        )


def check(store: Store, connection: Connection, lease: Lease) -> None:
    """Inside a transaction: make sure that the lease is still ours, and keep it ours until the commit.

    Raises:
        StaleWrite: the lease ran out or changed hands.
    """
    row = connection.execute(
        select(_Lease.term, _Lease.holder, _Lease.expires_at).where(_Lease.name == lease.name).with_for_update()
    ).one_or_none()
    if (
        row is None
        or row.term != lease.term
        or row.holder != lease.holder
        or row.expires_at <= store.now_ms(connection)
    ):
        raise StaleWrite(f"lease {lease.name!r} of term {lease.term} is no longer held by {lease.holder}")


def holder_of(store: Store, name: str) -> Lease | None:
    """Who holds a lease now, or None."""
    with store.read() as c:
        lease = last_lease(c, name)
        return None if lease is None or lease.expires_at <= store.now_ms(c) else lease


def last_lease(c: Connection, name: str) -> Lease | None:
    """A lease as it was last taken, whether it still holds or has run out; None: it never was."""
    row = c.execute(select(_Lease).where(_Lease.name == name)).one_or_none()
    return None if row is None else Lease(row.name, row.holder, row.term, row.expires_at)
