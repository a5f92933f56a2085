"""Does it help the detector to know a country's holidays, its working weekends, or the days of its exchange?

    python bench/calendars.py --shared ../shared           # no model is needed; 3 min

For each stream and calendar: how well the next bucket's number of texts is expected (mean negative log-likelihood of a
negative binomial with dispersion 0.25, less is better) over all days, and over the days on which the calendar and plain
weekends differ and the working days after them; the number of those buckets. A series is the whole stream, or one of
its 20 most frequent symbols. Buckets with less than one text expected by any calendar are left out, since nothing can
be learnt from them, and so are the first two weeks.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from barometer.buckets import Buckets
from barometer.times import parse_time
from barometer.workdays import Sessions, Workdays
from monitor.detection.detector import Detector
from monitor.detection.judge import stopped_after_ms

DISPERSION = 0.25
SYMBOLS = 20
LEARN_MS = 14 * 86_400_000
DayOff = Callable[[date], bool]
Cut = dict[int, Counter[int]]
"""Texts by start of the bucket and number of the series; 0 is the whole stream."""
Place = tuple[int, int]
"""Series and start of the bucket."""


class Stream(NamedTuple):
    """A shared stream; its market is the one that its texts are about."""

    files: str
    zone: str
    country: str
    exchange: str
    bucket_seconds: int


CHINA, AMERICA, BRITAIN = (
    ("Asia/Shanghai", "CN", "XSHG"),
    ("America/New_York", "US", "XNYS"),
    ("Europe/London", "GB", "XLON"),
)
STREAMS = (
    Stream("guba_sina_2019/all.csv.gz", *CHINA, 86_400),
    Stream("wind_stock_news/train.csv.gz", *CHINA, 86_400),
    Stream("weibo_hot_search/*.csv.gz", *CHINA, 86_400),
    Stream("finance_rss_zh_en/all.csv.gz", *CHINA, 3_600),
    Stream("stocknet_tweets/all.csv.gz", *AMERICA, 3_600),
    Stream("stocknet_tweets/all.csv.gz", *AMERICA, 86_400),
    Stream("guardian_cnbc_2017_2020/all.csv.gz", *BRITAIN, 86_400),
    Stream("gold_headlines/all.csv.gz", *AMERICA, 86_400),
)


def calendars(stream: Stream) -> dict[str, DayOff]:
    """Days off by name of the calendar; the first is what holds without one."""
    workdays = Workdays(stream.country)
    return {
        "weekends": lambda day: day.weekday() >= 5,
        "one profile": lambda _day: False,
        f"working days of {stream.country}": lambda day: not workdays.is_workday(day),
        f"sessions of {stream.exchange}": Sessions(stream.exchange).is_closed,
    }


def cut(stream: Stream, data: Path) -> tuple[Buckets, Cut]:
    """Counts of the stream's texts."""
    paths = sorted(data.glob(stream.files))
    if not paths:
        raise SystemExit(f"no {stream.files} in {data}: name the folder with --shared")
    zone = ZoneInfo(stream.zone)
    buckets = Buckets(stream.bucket_seconds, zone)
    rows = [(at, s) for path in paths for t, s in _rows(path) if (at := parse_time(t, zone)) is not None]
    known = [name for name, _ in Counter(name for _, names in rows for name in names).most_common(SYMBOLS)]
    number = {name: i for i, name in enumerate(known, 1)}
    out: Cut = defaultdict(Counter)
    for at, names in rows:
        out[buckets.start_of(at)].update([0, *(number[n] for n in names if n in number)])
    return buckets, out


def _rows(path: Path) -> Iterator[tuple[str, list[str]]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as f:
        for row in csv.DictReader(f):
            yield row["time"], [s for s in (row.get("symbol") or "").split("|") if s]


def expected(buckets: Buckets, counts: Cut, zone: ZoneInfo, off: DayOff) -> dict[Place, float]:
    """What was expected of each series and bucket, before it was seen; outages are left out."""
    width = buckets.width_ms // 1000
    detectors: dict[int, Detector] = {}
    met: dict[int, int] = {}
    out: dict[Place, float] = {}
    at = previous = min(counts)
    last = max(counts)
    while at <= last:
        here, end = counts.get(at), buckets.end_of(at)
        if here is not None or at < previous + stopped_after_ms(buckets.width_ms):
            found = here if here is not None else Counter[int]()
            for series in sorted(detectors.keys() | found.keys()):
                if series not in detectors:
                    detectors[series], met[series] = Detector(width, is_day_off=off), at
                detector = detectors[series]
                offset = datetime.fromtimestamp(end / 1000, zone).utcoffset()
                detector.utc_offset_seconds = int(offset.total_seconds()) if offset else 0
                said = detector.update(end / 1000, found[series], 0)
                if at >= met[series] + LEARN_MS and not said.outage:
                    out[series, at] = said.expected_total
        if here is not None:
            previous = end
        at = end
    return out


def loss(mean: float, seen: int) -> float:
    """Negative log-likelihood of a negative binomial."""
    k = 1 / DISPERSION
    return -(
        math.lgamma(seen + k)
        - math.lgamma(k)
        - math.lgamma(seen + 1)
        + k * math.log(k / (k + mean))
        + seen * math.log(mean / (k + mean))
    )


def report(stream: Stream, data: Path) -> None:
    zone = ZoneInfo(stream.zone)
    buckets, counts = cut(stream, data)
    known = calendars(stream)
    said = {name: expected(buckets, counts, zone, off) for name, off in known.items()}
    places = [p for p in set.intersection(*(set(e) for e in said.values())) if max(e[p] for e in said.values()) >= 1]
    days = {at: datetime.fromtimestamp(at / 1000, UTC).astimezone(zone).date() for _, at in places}
    losses = {n: {p: loss(e[p], counts.get(p[1], Counter())[p[0]]) for p in places} for n, e in said.items()}
    name = f"{stream.files.partition('/')[0]}, {timedelta(seconds=stream.bucket_seconds)}"
    for calendar, off in known.items():
        # The day after one that was taken for another kind shows what was learnt wrongly.
        differ = [
            p
            for p in places
            if any(off(d) != known["weekends"](d) for d in (days[p[1]], days[p[1]] - timedelta(days=1)))
        ]
        everywhere = mean([losses[calendar][p] for p in places])
        there, plain = (mean([losses[c][p] for p in differ]) for c in (calendar, "weekends"))
        cell = f"{there:.3f} (weekends: {plain:.3f}; {len(differ)})" if differ else ""
        print(f"| {name} | {calendar} | {everywhere:.4f} | {cell} |", flush=True)


def mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder that holds data/")
    parser.add_argument("--only", default="", help="streams whose files hold this")
    args = parser.parse_args()
    print("| stream | calendar | loss, all days | loss, days that differ (n) |\n|---|---|---|---|")
    for stream in STREAMS:
        if args.only in stream.files:
            report(stream, args.shared / "data")


if __name__ == "__main__":
    main()
