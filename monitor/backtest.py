"""Backtest: the alerts that a dated file of texts would have raised, offline and without look-ahead.

Each bucket is judged by what came before it, as sealing does it, with the same code (:mod:`monitor.detection.judge`).
Identical texts are scored once.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from barometer.buckets import Buckets
from barometer.errors import BarometerError
from barometer.files import BadRow, FileRow, Form, Source
from barometer.files.mapping import Columns, Mapper
from barometer.files.preview import previewed_rows
from barometer.records import fingerprint
from barometer.store.series.sealing import Counts, Key, KindCounts, kinds_added_up
from barometer.vocabulary import SEVERITIES, Kind, Sentiment
from models.scoring.interface import TextScorer
from monitor.detection.judge import Judge, Judged, SurgeUpdate, stopped_after_ms
from monitor.detection.windows import longest_ms

BATCH = 2_048
TOP_TEXTS = 5
MAX_SHOWN = 300


class _Input(NamedTuple):
    """All that a text's labels depend on."""

    text: str
    kind: str
    lang: str | None
    title: str | None


class ScoredText(NamedTuple):
    """One scored text of the file, as compactly as a file of a million needs."""

    time_ms: int
    kind: int
    series: tuple[str, ...]
    sentiment: int
    p_negative: float
    text: str


@dataclass(slots=True)
class ReadTexts:
    """The rows of a file, scored; those that could not be used are counted."""

    texts: list[ScoredText] = field(default_factory=list)
    unscored: int = 0
    bad: list[str] = field(default_factory=list)


@dataclass(slots=True)
class BacktestAlert:
    """One alert, from its first bucket to its end; None where the file ends before it does."""

    series: str
    kinds: list[str]
    started_at: int
    detected_at: int
    peak_at: int
    ended_at: int | None
    severity: str
    score: float
    expected_negative: float
    seen_negative: int
    seen_total: int
    by_kind: list[KindCounts]
    top_texts: list[str]

    def as_dict(self) -> dict[str, Any]:
        """JSON values; times are RFC 3339 in UTC."""
        times = {k: _rfc3339(getattr(self, k)) for k in ("started_at", "detected_at", "peak_at", "ended_at")}
        return {
            "series": self.series,
            "kinds": self.kinds,
            **times,
            "severity": self.severity,
            "score": round(self.score, 3),
            "expected_negative": round(self.expected_negative, 2),
            "seen_negative": self.seen_negative,
            "seen_total": self.seen_total,
            "by_kind": [
                {
                    "kind": Kind(k.kind).name.lower(),
                    "total": k.total,
                    "negative": k.negative,
                    "expected": round(k.expected_negative, 2),
                }
                for k in self.by_kind
            ],
            "top_texts": self.top_texts,
        }


def read_texts(
    path: str,
    scorer: TextScorer,
    columns: Columns,
    *,
    kind: str | None,
    form: Form | None = None,
    on_bytes: Callable[[int], None] | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> ReadTexts:
    """ReadTexts and score a file. Rows without text or time are counted, with file and line, and left out.

    Args:
        columns: with a ``time_column``.
        kind: of every row; None: the file's own column ``kind``, else unknown.
        say: told what the file is and which columns are taken for what, before it is read.

    Raises:
        BarometerError: the file cannot be read, or lacks the columns; no row can be used.
    """
    out = ReadTexts()
    mapper = Mapper(columns)
    known: dict[_Input, tuple[tuple[str, ...], int, float] | None] = {}
    waiting: list[tuple[int, _Input]] = []

    def flush() -> None:
        new = list(dict.fromkeys(x for _, x in waiting if x not in known))
        if new:
            results = scorer.score(
                [x.text for x in new], [x.kind for x in new], [x.lang for x in new], [x.title for x in new]
            )
            for key, r in zip(new, results, strict=True):
                if r.sentiment is None or r.sentiment_probabilities is None:
                    known[key] = None
                else:
                    known[key] = (tuple(r.topics), int(r.sentiment), float(r.sentiment_probabilities[0]))
        for time_ms, x in waiting:
            said = known[x]
            if said is None:
                out.unscored += 1
            else:
                out.texts.append(ScoredText(time_ms, Kind[x.kind.upper()], *said, x.text))
        waiting.clear()

    for row in previewed_rows(Source(path, form, on_bytes), mapper, say, kind=False):
        try:
            if isinstance(row, BadRow):
                raise row
            waiting.append(_usable(row, mapper, kind))
        except BadRow as e:
            out.bad.append(str(e))
            continue
        if len(waiting) >= BATCH:
            flush()
    flush()
    if not out.texts and not out.unscored:
        first = f", the first: {out.bad[0]}" if out.bad else ""
        raise BarometerError(f"{path}: no row can be used ({len(out.bad):,} left out{first})")
    out.texts.sort(key=lambda x: x.time_ms)
    return out


def _usable(row: FileRow, mapper: Mapper, kind: str | None) -> tuple[int, _Input]:
    """Raises:
    BadRow: no text, no time, or a kind that is none.
    """
    fields = mapper.fields(row)
    text = fields.get("text")
    if not isinstance(text, str) or not text.strip():
        raise BadRow(f"{row.where}: no text in {mapper.columns.rename.get('text', 'text')}")
    row_kind = kind or fields.get("kind") or "unknown"
    if not isinstance(row_kind, str) or row_kind.upper() not in Kind.__members__:
        raise BadRow(f"{row.where}: kind is {row_kind!r:.40}; use news or comment")
    title, lang = (v if isinstance(v := fields.get(name), str) else None for name in ("title", "lang"))
    return mapper.time(row), _Input(text.strip(), row_kind, lang, title)


def backtest(
    texts: list[ScoredText],
    *,
    bucket_seconds: int,
    zone: ZoneInfo,
    open_at: float,
    series: str | None = None,
    is_day_off: Callable[[date], bool] | None = None,
) -> Iterator[BacktestAlert]:
    """Alerts on texts in time order, each when it has ended (or the texts have).

    Args:
        series: only this one (``topic:market``); None: all that the texts are about.
        is_day_off: see :class:`monitor.detection.judge.Judge`.
    """
    buckets = Buckets(bucket_seconds, zone)
    ids: dict[str, int] = {}
    running = _Running(texts, ids, longest_ms(bucket_seconds))
    judge = Judge(bucket_seconds, zone, open_at, lambda _id: True, running.different, is_day_off=is_day_off)
    for start, end, counts in _cut(texts, buckets, ids, series):
        if counts is not None:
            yield from running.take(judge.bucket(start, end, counts), end)
            continue
        # As sealing does it: silence is judged until the feed is known to have stopped.
        at, stopped = start, start + stopped_after_ms(buckets.width_ms)
        while at < end and at < stopped:
            following = buckets.end_of(at)
            yield from running.take(judge.bucket(at, following, {}), following)
            at = following
    yield from running.finish()


def _cut(
    texts: list[ScoredText], buckets: Buckets, ids: dict[str, int], only: str | None
) -> Iterator[tuple[int, int, dict[Key, Counts] | None]]:
    """(start, end, counts) of each bucket with texts; counts are None for a stretch without."""
    i, previous_end = 0, None
    while i < len(texts):
        start = buckets.start_of(texts[i].time_ms)
        end = buckets.end_of(start)
        if previous_end is not None and previous_end < start:
            yield previous_end, start, None
        counts: dict[Key, Counts] = {}
        while i < len(texts) and texts[i].time_ms < end:
            t = texts[i]
            i += 1
            for topic in t.series:
                name = f"topic:{topic}"
                if only is not None and name != only:
                    continue
                n = counts.setdefault((ids.setdefault(name, len(ids) + 1), t.kind), Counts())
                n.total += 1
                n.negative += t.sentiment == Sentiment.NEGATIVE
        yield start, end, counts
        previous_end = end


class _Running:
    """Alerts that go on: news and comments of a series are one, as in the product."""

    def __init__(self, texts: list[ScoredText], ids: dict[str, int], longest_ms: int) -> None:
        self._texts, self._ids, self._longest_ms = texts, ids, longest_ms
        self._alerts: dict[str, BacktestAlert] = {}
        self._kinds: dict[str, set[int]] = defaultdict(set)
        self._best: dict[tuple[str, int], float] = {}
        """The highest score of each kind in an alert that is on."""
        self._rows: deque[dict[str, Any]] = deque()
        """Sealed buckets that a window of an alert, or of one that opens now, may reach back to."""

    def different(self, key: Key, start: int, end: int) -> int:
        """What the judge asks: how many different negative texts there are."""
        return len(self._negatives(self._name(key[0]), key[1], start, end))

    def take(self, sealed: Judged, end: int) -> Iterator[BacktestAlert]:
        reached = min((a.detected_at for a in self._alerts.values()), default=end) - self._longest_ms
        while self._rows and self._rows[0]["start"] < reached:
            self._rows.popleft()
        self._rows += sealed.rows
        for f in sealed.found:
            name, kind = self._name(f.key[0]), f.key[1]
            if not f.firing:
                self._kinds[name].discard(kind)
                if not self._kinds[name] and name in self._alerts:
                    alert = self._alerts.pop(name)
                    self._best = {key: score for key, score in self._best.items() if key[0] != name}
                    alert.ended_at = end
                    yield alert
                continue
            self._kinds[name].add(kind)
            self._update(name, kind, f, end)

    def _name(self, series_id: int) -> str:
        return list(self._ids)[series_id - 1]  # made in this order

    def _update(self, name: str, kind: int, f: SurgeUpdate, end: int) -> None:
        j = f.judgement
        label = Kind(kind).label
        alert = self._alerts.get(name)
        if alert is None:
            alert = self._alerts[name] = BacktestAlert(
                name, [label], f.started_at, end, end, None, f.severity, 0.0, 0.0, 0, 0, [], []
            )
        if label not in alert.kinds:
            alert.kinds = sorted([*alert.kinds, label])
        alert.started_at = min(alert.started_at, f.started_at)
        alert.severity = max(alert.severity, f.severity, key=SEVERITIES.index)
        if j.score > alert.score:
            alert.score, alert.peak_at = j.score, end
            alert.top_texts = self._telling(name, kind, f.started_at, end)
        if f.whole is not None and j.score > self._best.get((name, kind), 0.0):
            # As an alert's headline: of the event, at the peak of any of its kinds.
            self._best[name, kind] = j.score
            alert.by_kind = kinds_added_up(self._rows, f.key[0], *f.whole)
            alert.expected_negative = sum(k.expected_negative for k in alert.by_kind)
            alert.seen_negative = sum(k.negative for k in alert.by_kind)
            alert.seen_total = sum(k.total for k in alert.by_kind)

    def _telling(self, name: str, kind: int, start: int, end: int) -> list[str]:
        """The most negative texts of the window, copies once."""
        best = self._negatives(name, kind, start, end).values()
        return [text[:MAX_SHOWN] for _, text in sorted(best, key=lambda x: (-x[0], x[1]))[:TOP_TEXTS]]

    def _negatives(self, name: str, kind: int, start: int, end: int) -> dict[int, tuple[float, str]]:
        """Different negative texts of [start, end) by fingerprint, with their probability."""
        topic = name.removeprefix("topic:")
        out: dict[int, tuple[float, str]] = {}
        for i in range(bisect_left(self._texts, start, key=lambda t: t.time_ms), len(self._texts)):
            t = self._texts[i]
            if t.time_ms >= end:
                break
            if t.kind == kind and t.sentiment == Sentiment.NEGATIVE and topic in t.series:
                out.setdefault(fingerprint(t.text), (t.p_negative, t.text))
        return out

    def finish(self) -> Iterator[BacktestAlert]:
        yield from self._alerts.values()


def _rfc3339(time_ms: int | None) -> str | None:
    if time_ms is None:
        return None
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat().replace("+00:00", "Z")
