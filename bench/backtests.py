"""The detector on real streams: does it fire on days of which it is known what was bad, and how often elsewhere?

    python bench/backtests.py --shared ../shared            # scores what is not scored yet, see scored_streams.py
    python bench/backtests.py --quick                       # the first 5,000 texts of each stream or span
    python bench/backtests.py --read 10                     # ... and the ten strongest other alerts of each, to read

A named day counts as found where an alert was on between the day and two days later in a series whose negatives hold
the matter's words: at least 3 texts and a quarter of its negatives of that day. The delay is counted in buckets: 0 is
when the bucket of the day itself closes, less is earlier. Beside the topics' series, a series of all texts with the
matter's words is judged, which does not depend on how topics are told. Alerts of no named matter are counted over the
months that the series were watched, from their second week on; nobody has labelled these streams: part of them are
matters as real as the named ones.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from scored_streams import CachedScorer, Matter, Stream, arguments, chosen, texts_of

from barometer.settings import load_settings
from barometer.vocabulary import Sentiment
from barometer.workdays import Sessions
from models.scoring.scorer import load_scorer
from monitor.backtest import BacktestAlert, ScoredText, backtest

DAY_MS = 86_400_000
MONTH_MS = 30 * DAY_MS
FEW_TEXTS, PART = 3, 0.25
LOOK_AFTER = 2
"""So many days after the named one an alert is still on time."""


@dataclass(slots=True)
class Outcome:
    """What came of one stream."""

    texts: int = 0
    negative: int = 0
    months: float = 0.0
    others: list[BacktestAlert] = field(default_factory=list)
    told: Counter[str] = field(default_factory=Counter)
    matters: dict[Matter, tuple[list[str], list[str]]] = field(default_factory=dict)
    """Found by topics' series, and by the series of the words: (series, delay)."""


def millis(stream: Stream, day: datetime) -> int:
    return int(day.replace(tzinfo=ZoneInfo(stream.zone)).timestamp() * 1000)


def holds(text: ScoredText, matter: Matter) -> bool:
    return any(w in text.text for w in matter.words)


def belongs(alert: BacktestAlert, matter: Matter, texts: Sequence[ScoredText], stream: Stream) -> int | None:
    """The delay in buckets if the alert is of this matter, else None."""
    begin = millis(stream, datetime.combine(matter.day, datetime.min.time()))
    if (alert.ended_at or alert.detected_at + DAY_MS) <= begin or alert.detected_at > begin + (LOOK_AFTER + 1) * DAY_MS:
        return None
    topic = alert.series.removeprefix("topic:")
    first, last = (bisect_left(texts, t, key=lambda x: x.time_ms) for t in (begin, begin + DAY_MS))
    negative = [t for t in texts[first:last] if t.sentiment == Sentiment.NEGATIVE and topic in t.series]
    of_it = sum(holds(t, matter) for t in negative)
    if of_it < FEW_TEXTS or of_it < PART * len(negative):
        return None
    width = stream.bucket_seconds * 1000
    return (alert.detected_at - begin - max(width, DAY_MS)) // width


def series_months(texts: Sequence[ScoredText]) -> float:
    """Months that series and kinds were watched, from the second week after each one's first text."""
    first: dict[tuple[str, int], int] = {}
    for t in texts:
        for name in t.series:
            first.setdefault((name, t.kind), t.time_ms)
    return sum(max(0, texts[-1].time_ms - at - 7 * DAY_MS) for at in first.values()) / MONTH_MS


def judge_span(stream: Stream, texts: list[ScoredText], out: Outcome, open_at: float) -> None:
    zone = ZoneInfo(stream.zone)
    off = Sessions(stream.exchange).is_closed
    how: dict[str, Any] = {
        "bucket_seconds": stream.bucket_seconds,
        "zone": zone,
        "open_at": open_at,
        "is_day_off": off,
    }
    alerts = [a for a in backtest(texts, **how) if a.score >= open_at]
    out.texts += len(texts)
    out.negative += sum(t.sentiment == Sentiment.NEGATIVE for t in texts)
    out.months += series_months(texts)
    taken: set[int] = set()
    for matter in stream.matters:
        at = millis(stream, datetime.combine(matter.day, datetime.min.time()))
        if not texts[0].time_ms <= at <= texts[-1].time_ms:
            continue
        by_topic = out.matters.setdefault(matter, ([], []))[0]
        for i, a in enumerate(alerts):
            delay = belongs(a, matter, texts, stream)
            if delay is not None:
                taken.add(i)
                by_topic.append(f"{a.series.removeprefix('topic:')} {delay:+d} ({a.severity} {a.score:.1f})")
        own = [t._replace(series=("the word",)) for t in texts if holds(t, matter)]
        for a in backtest(own, **how):
            delay = belongs(a, matter, own, stream)
            if delay is not None and a.score >= open_at:
                out.matters[matter][1].append(f"{delay:+d} ({a.severity} {a.score:.1f})")
    out.others += [a for i, a in enumerate(alerts) if i not in taken]
    out.told.update(a.severity for i, a in enumerate(alerts) if i not in taken)


def report(stream: Stream, out: Outcome, read: int) -> None:
    n = len(out.others)
    print(
        f"\n## {stream.name}\n\n{out.texts:,} texts, {out.negative / max(1, out.texts):.0%} negative, buckets of "
        f"{timedelta(seconds=stream.bucket_seconds)} in {stream.zone}; {out.months:.0f} series-months; "
        f"other alerts: {n} = {n / max(out.months, 1e-9):.2f} a series-month "
        f"({', '.join(f'{v} {k}' for k, v in sorted(out.told.items())) or 'none'})"
    )
    if out.matters:
        print("\n| day | matter | wanted | series and delay | series of the words |\n|---|---|---|---|---|")
    for m, (topics, word) in out.matters.items():
        wanted = "fires" if m.bad else "calm"
        as_wanted = "**yes**" if bool(topics or word) == m.bad else "**NO**"
        cells = (m.day, " ".join(m.words), f"{wanted}: {as_wanted}", ", ".join(topics) or "-", ", ".join(word) or "-")
        print(f"| {' | '.join(map(str, cells))} |")
    for a in sorted(out.others, key=lambda a: -a.score)[:read]:
        at = datetime.fromtimestamp(a.peak_at / 1000 - 1, UTC).astimezone(ZoneInfo(stream.zone))
        counts = f"{a.seen_negative} of {a.seen_total}, {a.expected_negative:.1f} expected"
        print(f"\n{at:%Y-%m-%d} {a.series} {a.score:.1f}: {counts}")
        for text in a.top_texts:
            print(f"    {text[:100]}")


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--read", type=int, default=0, help="print so many of the strongest other alerts")
    parser.add_argument("--quick", action="store_true", help="the first 5,000 texts of each stream or span")
    args = parser.parse_args()
    open_at = load_settings().detector_open
    with closing(CachedScorer(load_scorer(args.model), args.cache)) as scorer:
        print(f"model {scorer.version}")
        for stream in chosen(args):
            out = Outcome()
            for texts in texts_of(stream, args.shared / "data", scorer, 5_000 if args.quick else args.limit):
                if texts:
                    judge_span(stream, texts, out, open_at)
            report(stream, out, args.read)


if __name__ == "__main__":
    main()
