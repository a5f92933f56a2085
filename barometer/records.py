"""What flows between the parts: documents, dead letters, progress; identities, fingerprints and row ids.

A row is one record of the log: (log, partition, offset), packed into one signed 64-bit integer, so that it can be a
short key everywhere. Times are UTC epoch milliseconds.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from enum import IntFlag, StrEnum
from hashlib import blake2b
from typing import Any, NamedTuple

from barometer.vocabulary import Kind, Sentiment

PROGRESS_HEADER = "barometer-progress"
REPLAY_HEADER = "barometer-replay-of"
BROKEN_BATCH_HEADER = "barometer-broken-batch"
"""Set by the reader, not by a writer: the record's batch could not be unpacked."""

MAX_TEXT = 20_000
MAX_SYMBOLS = 64
MAX_LETTER_BYTES = 65_536
"""A dead letter keeps this much of the record's value; longer values keep length and hash as well."""


class Flag(IntFlag):
    """What had to be mended in a message before it was stored."""

    TEXT_CUT = 1
    SYMBOLS_CUT = 2
    PUBLISHED_AT_DROPPED = 4
    CHARACTERS_REPLACED = 8
    FIELD_DROPPED = 16
    """An optional field (engagement, symbols, lang ...) had a part that could not be used."""
    REPLAYED = 32


class Reason(StrEnum):
    """Why a record became a dead letter."""

    JSON = "broken_json"
    ENCODING = "invalid_utf8"
    TYPE = "wrong_type"
    TEXT_MISSING = "text_missing"
    TEXT_EMPTY = "text_empty"
    KIND = "unknown_kind"
    TIME = "time_out_of_range"
    NO_TIME = "no_timestamp"
    TOO_LARGE = "too_large"
    PROGRESS = "broken_progress"
    REPLAY = "broken_replay_header"
    BATCH = "broken_batch"


# --- row ids ---------------------------------------------------------------------------------------------------------

_OFFSET_BITS, _PARTITION_BITS, _LOG_BITS = 40, 12, 11
MAX_OFFSET = (1 << _OFFSET_BITS) - 1


class Row(NamedTuple):
    """One record's place."""

    log_id: int
    partition: int
    offset: int


def pack_row(log_id: int, partition: int, offset: int) -> int:
    """One integer for (log, partition, offset); order within a log is (partition, offset).

    Raises:
        ValueError: a part is out of range (log < 2048, partition < 4096, offset < 2^40).
    """
    if not (0 <= log_id < 1 << _LOG_BITS and 0 <= partition < 1 << _PARTITION_BITS and 0 <= offset <= MAX_OFFSET):
        raise ValueError(f"row out of range: log {log_id}, partition {partition}, offset {offset}")
    return (log_id << (_PARTITION_BITS + _OFFSET_BITS)) | (partition << _OFFSET_BITS) | offset


def unpack_row(row_id: int) -> Row:
    """The inverse of :func:`pack_row`."""
    return Row(
        row_id >> (_PARTITION_BITS + _OFFSET_BITS),
        (row_id >> _OFFSET_BITS) & ((1 << _PARTITION_BITS) - 1),
        row_id & MAX_OFFSET,
    )


def partition_of(row_id: int) -> int:
    """The partition of a row (:func:`pack_row`)."""
    return (row_id >> _OFFSET_BITS) & ((1 << _PARTITION_BITS) - 1)


# --- hashes ----------------------------------------------------------------------------------------------------------

_URL = re.compile(r"(?:https?://|www\.)[^\s\u3000-\u9fff\uff00-\uffef]+", re.I)
# Punctuation and white space, but not symbols: an emoji is part of what somebody said.
_NOISE = re.compile(r"[\s!-/:-@\[-`{-~\u00a0-\u00bf\u2000-\u206f\u3000-\u303f\ufe30-\ufe4f\ufe0f]+")


def hash64(*parts: str | bytes) -> int:
    """A signed 64-bit BLAKE2b hash of the parts, each ended so that ('ab','c') and ('a','bc') differ."""
    h = blake2b(digest_size=8)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        h.update(len(data).to_bytes(8, "little"))
        h.update(data)
    return int.from_bytes(h.digest(), "little", signed=True)


def normalise(text: str) -> str:
    """The text as copies share it: NFKC, lower case, without URLs, punctuation and white space.

    A text that has nothing else is returned stripped, so that "!!!" and "???" stay apart.
    """
    folded = unicodedata.normalize("NFKC", text).lower()
    return _NOISE.sub("", _URL.sub("", folded)) or text.strip()


def fingerprint(text: str) -> int:
    """Signed 64-bit hash of the normalised text: equal for exact copies. Also the message key."""
    return hash64(normalise(text))


# --- what a record turns out to be -----------------------------------------------------------------------------------


@dataclass(slots=True)
class Document:
    """A valid message at its place in the log."""

    row_id: int
    observed_at: int
    kind: Kind
    text: str
    doc_key: int
    """Hash of the document's identity; revisions share it."""
    text_hash: int
    fingerprint: int
    shared_identity: bool
    """True where another row may have the same identity (a given id, source + url, a replay): checked in the store."""
    title: str | None = None
    url: str | None = None
    source: str | None = None
    lang: str | None = None
    external_id: str | None = None
    author_hash: int | None = None
    published_at: int | None = None
    symbols: list[str] = field(default_factory=list)
    engagement: dict[str, int] | None = None
    extra: dict[str, Any] | None = None
    flags: int = 0
    late: bool = False


@dataclass(slots=True)
class DeadLetter:
    """A record that cannot be used, and why."""

    row_id: int
    record_timestamp: int
    reason: Reason
    detail: str
    headers: list[tuple[str, bytes]]
    key: bytes | None
    value: bytes
    """At most :data:`MAX_LETTER_BYTES`."""
    value_length: int
    value_sha256: bytes
    replay_of: int | None = None


@dataclass(slots=True)
class Progress:
    """``nothing older than t - lateness follows in this partition``."""

    row_id: int
    t: int
    writer: str
    term: int


@dataclass(slots=True)
class Tombstone:
    """A record without a value; skipped and counted."""

    row_id: int


Entry = Document | DeadLetter | Progress | Tombstone


@dataclass(slots=True)
class Prediction:
    """What the model said of one document."""

    sentiment: Sentiment
    p_negative: float
    p_neutral: float
    p_positive: float
    topics: dict[str, float]
    """Topics above their thresholds, with their probabilities."""
