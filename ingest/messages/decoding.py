"""The message contract: what a record of the documents topic turns out to be. ``docs/message.md`` is its other half.

:class:`Decoder` never raises, whatever the bytes: what cannot be used becomes a dead letter that says why, and what can
be mended is mended and flagged. The same record gives the same entry, but for one thing: a record time too far ahead of
the clock is refused when it is first read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any, TypeGuard

import structlog

from barometer.records import (
    BROKEN_BATCH_HEADER,
    MAX_LETTER_BYTES,
    PROGRESS_HEADER,
    REPLAY_HEADER,
    DeadLetter,
    Document,
    Entry,
    Flag,
    Progress,
    Reason,
    Tombstone,
    fingerprint,
    hash64,
    pack_row,
)
from barometer.vocabulary import Kind
from ingest.messages import envelopes
from ingest.messages.encoding import stored_text
from ingest.messages.json_objects import UNSTORABLE, as_object, parse_json, parse_object, storable_extra
from ingest.messages.limits import AHEAD_MS, MAX_COUNT, PROGRESS_LEAD_MS
from ingest.messages.optional_fields import OptionalFields
from ingest.messages.rejections import RejectedRecord, reject_type

log = structlog.get_logger(__name__)

_KINDS = {"news": Kind.NEWS, "comment": Kind.COMMENT}


class Decoder:
    """Turns records of one log into entries.

    >>> decoder = Decoder(1, min_time_ms=0, author_salt=b"salt", now_ms=lambda: 1_700_000_000_000)
    >>> entry = decoder.decode(0, 7, 1_700_000_000_000, None, b'{"text": " \\u6da8\\u4e86 ", "kind": "comment"}', [])
    >>> entry.text, entry.kind.name, entry.flags
    ('涨了', 'COMMENT', 0)

    Args:
        log_id: the log's id in the store.
        min_time_ms: records older than this are dead letters.
        author_salt: authors are stored as a hash of it and their name.
        now_ms: the clock, in UTC epoch ms.
        framed, path: how messages are wrapped (:mod:`ingest.messages.envelopes`).
    """

    def __init__(
        self,
        log_id: int,
        *,
        min_time_ms: int,
        author_salt: str | bytes,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        framed: bool = False,
        path: str = "",
    ) -> None:
        self._log_id, self._min_time_ms, self._salt, self._now_ms = log_id, min_time_ms, author_salt, now_ms
        self._framed, self._path = framed, path

    def decode(
        self,
        partition: int,
        offset: int,
        timestamp: int | None,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes | None]],
    ) -> Entry:
        """What the record is. Never raises for what a record holds.

        Args:
            timestamp: UTC epoch ms; -1 or None: it has none.
            value: None is a tombstone.

        Raises:
            ValueError: partition or offset are beyond what a row id can hold.
        """
        row_id = pack_row(self._log_id, partition, offset)
        timestamp = -1 if timestamp is None else timestamp
        replay_of: int | None = None
        try:
            if headers:
                named = dict(reversed(headers))  # of two with one name the first counts
                if BROKEN_BATCH_HEADER in named:
                    why = (named[BROKEN_BATCH_HEADER] or b"").decode("utf-8", "replace")
                    raise RejectedRecord(Reason.BATCH, f"the batch could not be unpacked: {why}")
                if PROGRESS_HEADER in named:
                    return self._progress(row_id, timestamp, value)
                if REPLAY_HEADER in named:
                    replay_of = _replay_of(named[REPLAY_HEADER])
            if value is None:
                return Tombstone(row_id)
            return self._document(row_id, timestamp, value, replay_of) or Tombstone(row_id)
        except RejectedRecord as verdict:
            reason, detail = verdict.reason, verdict.detail
        except Exception as e:  # the last net: whatever it is, the worker goes on and the record is kept
            log.exception("decoder failed", row=row_id)
            reason, detail = Reason.JSON, f"decoder failed: {type(e).__name__}: {e}"
        raw = b"" if value is None else value
        return DeadLetter(
            row_id=row_id,
            record_timestamp=timestamp,
            reason=reason,
            detail=UNSTORABLE.sub("\ufffd", detail)[:300],
            headers=[(UNSTORABLE.sub("\ufffd", name), content or b"") for name, content in headers],
            key=key,
            value=raw[:MAX_LETTER_BYTES],
            value_length=len(raw),
            value_sha256=sha256(raw).digest(),
            replay_of=replay_of,
        )

    def _progress(self, row_id: int, timestamp: int, value: bytes | None) -> Progress:
        try:
            message, _ = parse_object(value or b"")
        except RejectedRecord as e:
            raise RejectedRecord(Reason.PROGRESS, e.detail) from None
        t, writer, term = message.get("t"), message.get("writer"), message.get("term")
        if timestamp > self._now_ms() + AHEAD_MS:
            raise RejectedRecord(Reason.PROGRESS, f"record time {timestamp}: more than an hour ahead")
        if not (_is_int(t) and self._min_time_ms <= t <= timestamp + PROGRESS_LEAD_MS):
            limit = f"t must be a time in epoch ms, at most 25 h after the record's own ({timestamp})"
            raise RejectedRecord(Reason.PROGRESS, f"{limit}: {t!r:.40}")
        if not isinstance(writer, str) or len(writer) > 200:
            raise RejectedRecord(Reason.PROGRESS, "writer must be a string of at most 200 characters")
        if not (_is_int(term) and 0 <= term <= MAX_COUNT):
            raise RejectedRecord(Reason.PROGRESS, f"term must be a count: {term!r:.40}")
        return Progress(row_id, t, writer, term)

    def _document(self, row_id: int, timestamp: int, value: bytes, replay_of: int | None) -> Document | None:
        if timestamp == -1:
            raise RejectedRecord(Reason.NO_TIME, "the record has no timestamp")
        if not self._min_time_ms <= timestamp <= self._now_ms() + AHEAD_MS:
            raise RejectedRecord(Reason.TIME, f"record time {timestamp}: before min_time, or more than an hour ahead")
        message, flags = self._message(value)
        if message is None:
            return None

        if "text" not in message:
            raise RejectedRecord(Reason.TEXT_MISSING, f"text is missing; {envelopes.hint(b'', message)}")
        text, cut = stored_text(_text(message))
        kind = _kind(message)
        optional = OptionalFields(flags)
        if cut:
            optional.flags |= Flag.TEXT_CUT
        external_id, source = optional.string(message, "id"), optional.string(message, "source")
        title, url = optional.string(message, "title"), optional.string(message, "url")
        author = optional.string(message, "author")

        shared = True
        if external_id is not None:
            doc_key = hash64("id", external_id)
        elif kind is Kind.NEWS and source is not None and url is not None:
            doc_key = hash64("url", source, url)
        else:
            shared = replay_of is not None
            doc_key = hash64("row", (row_id if replay_of is None else replay_of).to_bytes(8, "little"))
        if replay_of is not None:
            optional.flags |= Flag.REPLAYED

        title = optional.cut("title", title)
        document = Document(
            row_id=row_id,
            observed_at=timestamp,
            kind=kind,
            text=text,
            doc_key=doc_key,
            text_hash=hash64(kind.name, title or "", text),
            fingerprint=fingerprint(text),
            shared_identity=shared,
            title=title,
            url=optional.cut("url", url),
            source=optional.cut("source", source),
            lang=optional.lang(message),
            external_id=optional.cut("id", external_id),
            author_hash=None if author is None else hash64("author", self._salt, author),
            published_at=optional.published_at(message, self._min_time_ms, timestamp + AHEAD_MS),
            symbols=optional.symbols(message),
            engagement=optional.engagement(message),
            extra=storable_extra(message, len(value)),  # what the fields above have left
        )
        document.flags = int(optional.flags)
        return document

    def _message(self, value: bytes) -> tuple[dict[str, Any] | None, Flag]:
        """Out of its wrapping, if it has one; None if what it wraps is null: a deletion."""
        inside = envelopes.without_frame(value) if self._framed else value
        if not self._path:
            return parse_object(inside)
        message, flags = parse_json(inside)
        try:
            message = envelopes.unwrapped(message, self._path)
        except envelopes.NotThere as e:
            raise RejectedRecord(Reason.TYPE, str(e)) from None
        return None if message is None else as_object(message, inside), flags


def _text(message: dict[str, Any]) -> str:
    text = message.pop("text", None)
    if text is None:
        raise RejectedRecord(Reason.TEXT_MISSING, "text is missing")
    if type(text) is not str:
        reject_type("text", "a string", text)
    if not text or text.isspace():
        raise RejectedRecord(Reason.TEXT_EMPTY, "text is empty")
    return text


def _kind(message: dict[str, Any]) -> Kind:
    value = message.pop("kind", None)
    if value is not None and type(value) is not str:
        reject_type("kind", "a string", value)
    kind = _KINDS.get(value or "")
    if kind is None:
        raise RejectedRecord(
            Reason.KIND, "kind is missing" if value is None else f"kind must be news or comment: {value!r:.60}"
        )
    return kind


def _replay_of(content: bytes | None) -> int:
    digits = (content or b"").strip()
    if not (digits.isdigit() and len(digits) <= 19 and int(digits) <= MAX_COUNT):
        raise RejectedRecord(Reason.REPLAY, f"{REPLAY_HEADER} must be a row id in decimal: {digits[:40]!r}")
    return int(digits)


def _is_int(value: Any) -> TypeGuard[int]:
    return type(value) is int  # a bool is not a count
