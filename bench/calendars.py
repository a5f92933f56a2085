"""Does it help the detector to know a country's holidays, its working weekends, or the days of its exchange?

    python bench/calendars.py --shared ../shared           # scores what is not scored yet, see scored_streams.py

For each stream and calendar: how well the next bucket's number of texts is expected (mean negative log-likelihood of a
negative binomial with dispersion 0.25, less is better) over all days, and over the days on which the calendar and plain
weekends differ; alerts a series-month; the number of those days. Buckets with less than one text expected by any
calendar are left out, since nothing can be learnt from them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import holidays
from scored_streams import CachedScorer, Stream, arguments, chosen, texts_of

from barometer.buckets import Buckets
from barometer.settings import load_settings
from barometer.store.sealing import Key
from barometer.workdays import Workdays
from models.scorer import load_scorer
from monitor.backtest import Text, _cut
from monitor.judge import Judge, stopped_after_ms

DISPERSION = 0.25
DayOff = Callable[[date], bool]
COUNTRY = {"Asia/Shanghai": ("CN", "XSHG"), "Europe/London": ("GB", "XLON"), "America/New_York": ("US", "XNYS")}


def calendars(zone: str) -> dict[str, DayOff]:
    """Days off by name of the calendar; the first is what holds without one."""
    country, exchange = COUNTRY[zone]
    workdays, sessions = Workdays(country), holidays.financial_holidays(exchange)
    return {
        "weekends": lambda day: day.weekday() >= 5,
        "one profile": lambda _day: False,
        f"working days of {country}": lambda day: not workdays.is_workday(day),
        f"sessions of {exchange}": lambda day: day.weekday() >= 5 or day in sessions,
    }


@dataclass(slots=True)
class Seen:
    """Expected and seen texts by series, kind and bucket, and alerts opened."""

    expected: dict[tuple[Key, int], tuple[float, int]] = field(default_factory=dict)
    opened: int = 0


def replay(stream: Stream, texts: list[Text], off: DayOff, open_at: float, seen: Seen) -> None:
    zone = ZoneInfo(stream.zone)
    buckets = Buckets(stream.bucket_seconds, zone)
    judge = Judge(stream.bucket_seconds, zone, open_at, lambda _id: True, lambda *_: 9, is_day_off=off)
    on: set[Key] = set()
    for first, last, counts in _cut(texts, buckets, {}, None):
        at, end = first, last if counts is not None else min(last, first + stopped_after_ms(buckets.width_ms))
        while at < end:
            following = buckets.end_of(at)
            sealed = judge.bucket(at, following, counts or {})
            for row in sealed.rows:
                if row["expected_total"] is not None:
                    seen.expected[(row["series_id"], row["kind"]), at] = row["expected_total"], row["total"]
            now = {f.key for f in sealed.found if f.firing and f.judgement.score >= open_at}
            seen.opened += len(now - on)
            on = (on | now) - {f.key for f in sealed.found if not f.firing}
            at = following


def loss(expected: float, seen: int) -> float:
    """Negative log-likelihood of a negative binomial."""
    k = 1 / DISPERSION
    return -(
        math.lgamma(seen + k) - math.lgamma(k) - math.lgamma(seen + 1)
        + k * math.log(k / (k + expected)) + seen * math.log(expected / (k + expected))
    )  # fmt: skip


def main() -> None:
    args = arguments(__doc__).parse_args()
    open_at = load_settings().detector_open
    print("| stream | calendar | loss, all days | loss, days that differ (n) | alerts opened |\n|---|---|---|---|---|")
    with closing(CachedScorer(load_scorer(args.model), args.cache)) as scorer:
        for stream in chosen(args):
            spans = list(texts_of(stream, args.shared / "data", scorer, args.limit))
            zone = ZoneInfo(stream.zone)
            known = calendars(stream.zone)
            seen = {name: Seen() for name in known}
            for name, off in known.items():
                for texts in filter(None, spans):
                    replay(stream, texts, off, open_at, seen[name])
            shared = [
                k for k in set.intersection(*(set(s.expected) for s in seen.values()))
                if max(s.expected[k][0] for s in seen.values()) >= 1
            ]  # fmt: skip
            days = {k: datetime.fromtimestamp(k[1] / 1000, UTC).astimezone(zone).date() for k in shared}
            plain = known["weekends"]
            for name, off in known.items():
                # The day after one that was taken for another kind shows what was learnt wrongly.
                differ = [
                    k for k in shared
                    if any(off(d) != plain(d) for d in (days[k], days[k] - timedelta(days=1)))
                ]  # fmt: skip
                everywhere, there, without = (
                    mean([loss(*seen[n].expected[k]) for k in keys])
                    for n, keys in ((name, shared), (name, differ), ("weekends", differ))
                )
                cell = f"{there:.3f} (weekends: {without:.3f}; {len(differ)})" if differ else "-"
                print(f"| {stream.name} | {name} | {everywhere:.4f} | {cell} | {seen[name].opened} |", flush=True)


def mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else math.nan


if __name__ == "__main__":
    main()
