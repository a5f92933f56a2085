"""Which records a topic takes: how old, how far ahead, how large."""

from __future__ import annotations

from dataclasses import dataclass

from barometer.settings import Settings
from ingest.topic.description import Topic
from ingest.topic.wording import span, utc


@dataclass(frozen=True, slots=True)
class Limits:
    """Which records a topic takes, by what it says of itself; None: any, or not told.

    >>> Limits(before_ms=60_000, after_ms=60_000).refuses(0, 10, now_ms=100_000)
    'time 1970-01-01 00:00:00 UTC is more than 100 s ago, and the topic takes 1 min (message.timestamp.before.max.ms)'
    >>> Limits(largest=1_000).refuses(None, 2_000, now_ms=0)
    '2,000 bytes as a record: the topic takes 1,000 (max.message.bytes)'
    """

    before_ms: int | None = None
    after_ms: int | None = None
    largest: int | None = None
    """Bytes of a batch of one record."""

    def refuses(self, time_ms: int | None, size: int, now_ms: int) -> str | None:
        """Why a record would be refused; None: it would not.

        Args:
            size: bytes of the record in a batch of its own.
        """
        if self.largest is not None and size > self.largest:
            return f"{size:,} bytes as a record: the topic takes {self.largest:,} (max.message.bytes)"
        if time_ms is None:
            return None
        if self.before_ms is not None and time_ms < now_ms - self.before_ms:
            return (
                f"time {utc(time_ms)} is more than {span(now_ms - time_ms)} ago, and the topic takes "
                f"{span(self.before_ms)} (message.timestamp.before.max.ms)"
            )
        if self.after_ms is not None and time_ms > now_ms + self.after_ms:
            return (
                f"time {utc(time_ms)} is {span(time_ms - now_ms)} ahead, and the topic takes {span(self.after_ms)} "
                "(message.timestamp.after.max.ms)"
            )
        return None


def limits(t: Topic, settings: Settings) -> Limits:
    """What a topic takes."""
    # What a compressed batch will measure is not known before.
    largest = None if settings.kafka_options.get("compression_type") else t.number("max.message.bytes")
    if t.stamps:
        return Limits(largest=largest)
    return Limits(t.number("message.timestamp.before.max.ms"), t.number("message.timestamp.after.max.ms"), largest)
