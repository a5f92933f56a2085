"""The message contract: what a record of the documents topic turns out to be. ``docs/message.md`` is its other half.

:class:`Decoder` never raises, whatever the bytes: what cannot be used becomes a dead letter that says why, and what can
be mended is mended and flagged. The same record gives the same entry, but for one thing: a record time too far ahead of
the clock is refused when it is first read.

PostgreSQL stores neither NUL nor lone surrogates, so nothing that leaves here holds one.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, NoReturn, TypeGuard

import orjson
import structlog

from barometer.counts import read_count
from barometer.records import (
    BROKEN_BATCH_HEADER,
    MAX_LETTER_BYTES,
    MAX_SYMBOLS,
    MAX_TEXT,
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

log = structlog.get_logger(__name__)

Header = tuple[str, bytes]

MAX_VALUE_BYTES = 32 << 20
"""A longer value is not looked into."""
MAX_EXTRA_BYTES = 1 << 20
"""Unknown fields together, as JSON."""
MAX_DEPTH = 64
"""Levels of nesting; the store's JSON has limits of its own (orjson writes 254)."""
MAX_LENGTHS = {"id": 500, "source": 200, "title": 1_000, "url": 8_000}
"""Characters; what is longer is cut and flagged. Identities are hashed from the whole."""
MAX_SYMBOL = 64
MAX_COUNTS = 32
MAX_COUNT = (1 << 63) - 1
AHEAD_MS = 3_600_000
PROGRESS_LEAD_MS = AHEAD_MS + 86_400_000
"""Progress may lead its own record's time by the lateness, which is a day at most, and by as far as records may be
ahead."""

_KINDS = {"news": Kind.NEWS, "comment": Kind.COMMENT}
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_LANG = re.compile(r"[A-Za-z]{2,8}(?:[-_][A-Za-z0-9]{1,8}){0,4}")
_COUNT_NAME = re.compile(r"\w{1,64}")
_DAY_AND_TIME = re.compile(r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}[Tt ]")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_BOM = b"\xef\xbb\xbf"


class _Rejected(Exception):
    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason, self.detail = reason, detail


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
                    raise _Rejected(Reason.BATCH, f"the batch could not be unpacked: {why}")
                if PROGRESS_HEADER in named:
                    return self._progress(row_id, timestamp, value)
                if REPLAY_HEADER in named:
                    replay_of = _replay_of(named[REPLAY_HEADER])
            if value is None:
                return Tombstone(row_id)
            return self._document(row_id, timestamp, value, replay_of) or Tombstone(row_id)
        except _Rejected as verdict:
            reason, detail = verdict.reason, verdict.detail
        except Exception as e:  # the last net: whatever it is, the worker goes on and the record is kept
            log.exception("decoder failed", row=row_id)
            reason, detail = Reason.JSON, f"decoder failed: {type(e).__name__}: {e}"
        raw = b"" if value is None else value
        return DeadLetter(
            row_id=row_id,
            record_timestamp=timestamp,
            reason=reason,
            detail=_UNSTORABLE.sub("\ufffd", detail)[:300],
            headers=[(_UNSTORABLE.sub("\ufffd", name), content or b"") for name, content in headers],
            key=key,
            value=raw[:MAX_LETTER_BYTES],
            value_length=len(raw),
            value_sha256=sha256(raw).digest(),
            replay_of=replay_of,
        )

    def _progress(self, row_id: int, timestamp: int, value: bytes | None) -> Progress:
        try:
            message, _ = _parse(value or b"")
        except _Rejected as e:
            raise _Rejected(Reason.PROGRESS, e.detail) from None
        t, writer, term = message.get("t"), message.get("writer"), message.get("term")
        if timestamp > self._now_ms() + AHEAD_MS:
            raise _Rejected(Reason.PROGRESS, f"record time {timestamp}: more than an hour ahead")
        if not (_is_int(t) and self._min_time_ms <= t <= timestamp + PROGRESS_LEAD_MS):
            limit = f"t must be a time in epoch ms, at most 25 h after the record's own ({timestamp})"
            raise _Rejected(Reason.PROGRESS, f"{limit}: {t!r:.40}")
        if not isinstance(writer, str) or len(writer) > 200:
            raise _Rejected(Reason.PROGRESS, "writer must be a string of at most 200 characters")
        if not (_is_int(term) and 0 <= term <= MAX_COUNT):
            raise _Rejected(Reason.PROGRESS, f"term must be a count: {term!r:.40}")
        return Progress(row_id, t, writer, term)

    def _document(self, row_id: int, timestamp: int, value: bytes, replay_of: int | None) -> Document | None:
        if timestamp == -1:
            raise _Rejected(Reason.NO_TIME, "the record has no timestamp")
        if not self._min_time_ms <= timestamp <= self._now_ms() + AHEAD_MS:
            raise _Rejected(Reason.TIME, f"record time {timestamp}: before min_time, or more than an hour ahead")
        message, flags = self._message(value)
        if message is None:
            return None

        if "text" not in message:
            raise _Rejected(Reason.TEXT_MISSING, f"text is missing; {envelopes.hint(b'', message)}")
        text, cut = stored_text(_text(message))
        kind = _kind(message)
        mend = _Mender(flags)
        if cut:
            mend.flags |= Flag.TEXT_CUT
        external_id, source = mend.string(message, "id"), mend.string(message, "source")
        title, url = mend.string(message, "title"), mend.string(message, "url")
        author = mend.string(message, "author")

        shared = True
        if external_id is not None:
            doc_key = hash64("id", external_id)
        elif kind is Kind.NEWS and source is not None and url is not None:
            doc_key = hash64("url", source, url)
        else:
            shared = replay_of is not None
            doc_key = hash64("row", (row_id if replay_of is None else replay_of).to_bytes(8, "little"))
        if replay_of is not None:
            mend.flags |= Flag.REPLAYED

        title = mend.cut("title", title)
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
            url=mend.cut("url", url),
            source=mend.cut("source", source),
            lang=mend.lang(message),
            external_id=mend.cut("id", external_id),
            author_hash=None if author is None else hash64("author", self._salt, author),
            published_at=mend.published_at(message, self._min_time_ms, timestamp + AHEAD_MS),
            symbols=mend.symbols(message),
            engagement=mend.engagement(message),
            extra=_extra(message, len(value)),  # what the fields above have left
        )
        document.flags = int(mend.flags)
        return document

    def _message(self, value: bytes) -> tuple[dict[str, Any] | None, Flag]:
        """Out of its wrapping, if it has one; None if what it wraps is null: a deletion."""
        inside = envelopes.without_frame(value) if self._framed else value
        if not self._path:
            return _parse(inside)
        message, flags = _parsed(inside)
        try:
            message = envelopes.unwrapped(message, self._path)
        except envelopes.NotThere as e:
            raise _Rejected(Reason.TYPE, str(e)) from None
        return None if message is None else _an_object(message, inside), flags


class _Mender:
    """Takes the optional fields out of a message; notes in ``flags`` what it had to mend.

    A field of the wrong JSON type rejects the message; a part of a field that cannot be used is dropped. null and an
    empty string are the same as a field that is not there.
    """

    __slots__ = ("flags",)

    def __init__(self, flags: Flag) -> None:
        self.flags = flags

    def string(self, message: dict[str, Any], name: str) -> str | None:
        value = message.pop(name, None)
        if value is None:
            return None
        if type(value) is not str:
            _wrong_type(name, "a string", value)
        return value.strip() or None

    def cut(self, name: str, value: str | None) -> str | None:
        if value is None or len(value) <= MAX_LENGTHS[name]:
            return value
        self.flags |= Flag.FIELD_DROPPED
        return value[: MAX_LENGTHS[name]]

    def lang(self, message: dict[str, Any]) -> str | None:
        value = self.string(message, "lang")
        if value is None or _LANG.fullmatch(value):
            return value
        self.flags |= Flag.FIELD_DROPPED
        return None

    def published_at(self, message: dict[str, Any], earliest: int, latest: int) -> int | None:
        value = self.string(message, "published_at")
        if value is None:
            return None
        time_ms = parse_rfc3339(value)
        if time_ms is not None and earliest <= time_ms <= latest:
            return time_ms
        self.flags |= Flag.PUBLISHED_AT_DROPPED
        return None

    def symbols(self, message: dict[str, Any]) -> list[str]:
        value = message.pop("symbols", None)
        if value is None:
            return []
        if type(value) is not list:
            _wrong_type("symbols", "a list of strings", value)
        seen: dict[str, None] = {}
        for each in value:
            symbol = each.strip() if type(each) is str else ""
            if not symbol or len(symbol) > MAX_SYMBOL:
                self.flags |= Flag.FIELD_DROPPED
            else:
                seen[symbol] = None
        if len(seen) > MAX_SYMBOLS:
            self.flags |= Flag.SYMBOLS_CUT
        return list(seen)[:MAX_SYMBOLS]

    def engagement(self, message: dict[str, Any]) -> dict[str, int] | None:
        value = message.pop("engagement", None)
        if value is None:
            return None
        if type(value) is not dict:
            _wrong_type("engagement", "an object of counts", value)
        counts: dict[str, int] = {}
        for name, count in value.items():
            if count is None:
                continue
            if type(count) is not int:
                count = read_count(count)  # noqa: PLW2901
            usable = _is_int(count) and 0 <= count <= MAX_COUNT and _COUNT_NAME.fullmatch(name)
            if usable and len(counts) < MAX_COUNTS:
                counts[name] = count
            else:
                self.flags |= Flag.FIELD_DROPPED
        return counts or None


# --- the fields that must be there -----------------------------------------------------------------------------------


def _text(message: dict[str, Any]) -> str:
    text = message.pop("text", None)
    if text is None:
        raise _Rejected(Reason.TEXT_MISSING, "text is missing")
    if type(text) is not str:
        _wrong_type("text", "a string", text)
    if not text or text.isspace():
        raise _Rejected(Reason.TEXT_EMPTY, "text is empty")
    return text


def stored_text(text: str) -> tuple[str, bool]:
    """The text as it is stored (trimmed, at most MAX_TEXT characters), and whether it had to be cut."""
    trimmed = text.strip()
    return (trimmed, False) if len(trimmed) <= MAX_TEXT else (trimmed[:MAX_TEXT].rstrip(), True)


def _kind(message: dict[str, Any]) -> Kind:
    value = message.pop("kind", None)
    if value is not None and type(value) is not str:
        _wrong_type("kind", "a string", value)
    kind = _KINDS.get(value or "")
    if kind is None:
        raise _Rejected(
            Reason.KIND, "kind is missing" if value is None else f"kind must be news or comment: {value!r:.60}"
        )
    return kind


# --- JSON ------------------------------------------------------------------------------------------------------------


def _parse(value: bytes) -> tuple[dict[str, Any], Flag]:
    """The message as an object that can be stored, and whether characters had to be replaced."""
    message, flags = _parsed(value)
    return _an_object(message, value), flags


def _parsed(value: bytes) -> tuple[Any, Flag]:
    if len(value) > MAX_VALUE_BYTES:
        raise _Rejected(Reason.TOO_LARGE, f"{len(value):,} bytes; at most {MAX_VALUE_BYTES:,} are read")
    flags = Flag(0)
    try:
        message = orjson.loads(value)
        suspicious = b"\\u0000" in value
    except orjson.JSONDecodeError:
        message = _parse_slowly(value)
        suspicious = True
    if suspicious:
        message, flags = _cleaned(message)
    return message, flags


def _an_object(message: Any, value: bytes) -> dict[str, Any]:
    if type(message) is not dict:
        said = "; ".join(filter(None, [f"not {_json_type(message)}", envelopes.hint(value, message)]))
        raise _Rejected(Reason.TYPE, f"the message must be an object, {said}")
    return message


def _parse_slowly(value: bytes) -> Any:
    """For what orjson refuses: a byte order mark and lone surrogates can be mended; the rest is broken."""
    try:
        text = value.removeprefix(_BOM).decode("utf-8")
    except UnicodeDecodeError as e:
        raise _Rejected(Reason.ENCODING, _with_hint(f"not UTF-8 at byte {e.start}", value)) from None
    try:
        return json.loads(text, parse_int=_number, parse_constant=_constant)
    except RecursionError:
        raise _Rejected(Reason.JSON, "nested too deeply") from None
    except ValueError as e:
        raise _Rejected(Reason.JSON, _with_hint(str(e), value)) from None


def _with_hint(what: str, value: bytes) -> str:
    return "; ".join(filter(None, [what, envelopes.hint(value)]))


def _number(digits: str) -> int | float:
    # As orjson does: beyond 64 bits a number is a double.
    if len(digits) < 21:
        number = int(digits)
        if -(1 << 63) <= number < 1 << 64:
            return number
    return float(digits)


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _cleaned(message: Any) -> tuple[Any, Flag]:
    flags = Flag(0)

    def string(s: str) -> str:
        nonlocal flags
        clean, replaced = _UNSTORABLE.subn("\ufffd", s)
        if replaced:
            flags |= Flag.CHARACTERS_REPLACED
        return clean

    def walk(value: Any, depth: int) -> Any:
        nonlocal flags
        if depth > MAX_DEPTH:
            raise _Rejected(Reason.JSON, f"nested deeper than {MAX_DEPTH} levels")
        if type(value) is str:
            return string(value)
        if type(value) is dict:
            return {string(k): walk(v, depth + 1) for k, v in value.items()}
        if type(value) is list:
            return [walk(v, depth + 1) for v in value]
        if type(value) is float and not math.isfinite(value):
            flags |= Flag.FIELD_DROPPED  # a number too large for a double
            return None
        return value

    return walk(message, 0), flags


def _extra(rest: dict[str, Any], value_length: int) -> dict[str, Any] | None:
    """The unknown fields, if the store can hold them."""
    if not rest:
        return None
    if any(type(v) is dict or type(v) is list for v in rest.values()):
        _check_depth(rest)
    if value_length > MAX_EXTRA_BYTES and (size := len(orjson.dumps(rest))) > MAX_EXTRA_BYTES:
        raise _Rejected(Reason.TOO_LARGE, f"unknown fields of {size:,} bytes; at most {MAX_EXTRA_BYTES:,} are kept")
    return rest


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [
            child
            for parent in level
            for child in (parent.values() if type(parent) is dict else parent)
            if type(child) is dict or type(child) is list
        ]
        if not level:
            return
    raise _Rejected(Reason.JSON, f"nested deeper than {MAX_DEPTH} levels")


def _is_int(value: Any) -> TypeGuard[int]:
    return type(value) is int  # a bool is not a count


def _json_type(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _wrong_type(name: str, wanted: str, value: Any) -> NoReturn:
    raise _Rejected(Reason.TYPE, f"{name} must be {wanted}, not {_json_type(value)}")


# --- times and headers -----------------------------------------------------------------------------------------------


def parse_rfc3339(value: str) -> int | None:
    """UTC epoch ms of a time with an offset (``Z`` or ``+08:00``); None if it is none, or has no offset.

    >>> parse_rfc3339("2024-05-06T09:30:00+08:00"), parse_rfc3339("2024-05-06T09:30:00")
    (1714959000000, None)
    """
    if not _DAY_AND_TIME.match(value):  # Python takes any character between the two, a digit too
        return None
    try:
        moment = datetime.fromisoformat(value.upper())
        return None if moment.tzinfo is None else (moment - _EPOCH) // _MS
    except (ValueError, OverflowError):
        return None


def _replay_of(content: bytes | None) -> int:
    digits = (content or b"").strip()
    if not (digits.isdigit() and len(digits) <= 19 and int(digits) <= MAX_COUNT):
        raise _Rejected(Reason.REPLAY, f"{REPLAY_HEADER} must be a row id in decimal: {digits[:40]!r}")
    return int(digits)


# --- for producers ---------------------------------------------------------------------------------------------------


def encode(message: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """Key and value of a message: the fingerprint of its text in hex, and JSON.

    Nothing is checked: what a collector got is sent as it is, and the worker says what is wrong with it.

    Raises:
        TypeError: a value has no form in JSON.
    """
    text = message.get("text")
    key = fingerprint(stored_text(text)[0] if isinstance(text, str) else "")
    try:
        value = orjson.dumps(message)
    except TypeError:  # lone surrogates, integers beyond 64 bits
        value = json.dumps(dict(message)).encode()
    return b"%016x" % (key & (1 << 64) - 1), value
