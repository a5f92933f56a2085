"""The copy of dead letters for other systems: the topic ``settings.topic_dlq`` gets each at least once. The store is
where they are kept."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import MappingProxyType

from barometer.errors import BarometerError
from barometer.settings import Settings
from barometer.store.engine import Store
from barometer.store.stream.dead_letters import StoredLetter, mark_relayed, unrelayed_letters
from ingest.dead_letters.replay import name_of
from ingest.producing.sender import Header, Refused, Sender, TooLarge

CHUNK = 200
"""Letters copied between two flushes."""
MOST_REFUSED = 100
"""With so many the topic is wrong, rather than the letters; then no more are tried."""
REFUSED_SECONDS = 3_600.0
"""After so long a letter that the topic refused is tried again: somebody may have changed the topic."""


class Relay:
    """Copies dead letters to ``settings.topic_dlq``; :meth:`run` is a job of the leader. Connects when there is
    something to copy. A letter that the topic refuses holds up no other; it is tried again an hour later."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings, self._store = settings, store
        self._sender: Sender | None = None
        self._refused: dict[int, tuple[float, str]] = {}
        """Row to (when, by time.monotonic(); why)."""

    def run(self, limit: int = 1_000) -> int:
        """Copy up to ``limit`` letters that were not copied yet; returns how many.

        Raises:
            BarometerError: no broker, or it did not take them; they are tried again by the next run. Or the topic
                refuses some: those are named, the others are copied.
        """
        now = time.monotonic()
        self._refused = {row: x for row, x in self._refused.items() if now - x[0] < REFUSED_SECONDS}
        done = 0
        if unrelayed_letters(self._store, 1, self._refused):
            if self._sender is None:
                self._sender = Sender(self._settings, self._settings.topic_dlq, self._note)
            try:
                done = relay_dead_letters(self._store, self._sender, limit, self._refused)
            except BarometerError:
                self.close()  # a producer that has lost a record keeps saying so; the next run takes a new one
                raise
        if self._refused:
            row, (_, why) = next(iter(self._refused.items()))
            raise BarometerError(
                f"topic {self._settings.topic_dlq} refuses {len(self._refused):,} dead letters, which are in the store "
                f"alone (`barometer dlq show`); the first is row {row}: {why}"
            )
        return done

    def _note(self, error: Refused) -> None:
        self._refused[int(error.where.removeprefix("row "))] = (time.monotonic(), error.why)

    def close(self) -> None:
        if self._sender is not None:
            self._sender.close()
            self._sender = None


def relay_dead_letters(
    store: Store, sender: Sender, limit: int, refused: Mapping[int, object] = MappingProxyType({})
) -> int:
    """Copy letters that have no ``relayed_at``, oldest rows first; marks them once the broker has them.

    A copy has the original key and headers, the value (cut at 64 KB), the time at which it became a dead letter, and
    the headers ``barometer-reason``, ``-detail``, ``-row``, ``-timestamp``, ``-value-length``, ``-value-sha256``.

    Args:
        refused: rows that are left out; read again after each chunk, so that the sender may add to them.

    Raises:
        DeliveryError: the broker did not take them; those of the chunks before are marked.
    """
    done = 0
    while done < limit and len(refused) < MOST_REFUSED:
        letters = unrelayed_letters(store, min(CHUNK, limit - done), refused)
        if not letters:
            break
        for letter in letters:
            about = _about(letter)
            where = name_of(letter)
            try:
                sender.send(letter.stored_at, letter.key, letter.value, letter.headers + about, where=where)
            except TooLarge:  # its key or headers are huge: the store has them
                sender.send(letter.stored_at, None, letter.value, [*about, ("barometer-shortened", b"1")], where=where)
        sender.flush()
        copied = [x.row_id for x in letters if x.row_id not in refused]
        mark_relayed(store, copied)
        done += len(copied)
    return done


def _about(letter: StoredLetter) -> list[Header]:
    return [
        ("barometer-reason", letter.reason.encode()),
        ("barometer-detail", letter.detail.encode()),
        ("barometer-row", str(letter.row_id).encode()),
        ("barometer-timestamp", str(letter.record_timestamp).encode()),
        ("barometer-value-length", str(letter.value_length).encode()),
        ("barometer-value-sha256", letter.value_sha256.hex().encode()),
    ]
