"""The shared streams with what the model says of them, scored once: what backtests on real news start from.

    python bench/scored_streams.py --shared ../shared          # 10 min with a small model, hours with a large one

Scores are kept in a SQLite file for each version of the model; what is there is never scored again, so that this may
be broken off and gone on with, and so that changes of the detector are measured in minutes.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import orjson

from barometer.files.mapping import Columns
from models.scoring.scorer import Scorer, load_scorer
from monitor.backtest import ScoredText, read_texts

SHANGHAI = "Asia/Shanghai"


class Matter(NamedTuple):
    """A day on which many texts were about one matter."""

    day: date
    words: tuple[str, ...]
    bad: bool
    """False: a matter of which no negative surge may be told."""


@dataclass(frozen=True, slots=True)
class Stream:
    """One shared stream.

    ``spans``: the days that are replayed, each span by a detector that begins anew; none: all days, in one.
    """

    name: str
    files: str
    kind: str
    zone: str
    exchange: str
    bucket_seconds: int
    matters: tuple[Matter, ...] = ()
    spans: tuple[tuple[date, date], ...] = ()


SHARES = ("A股", "股市", "大盘", "股民", "证券", "券商")
WEIBO = (
    Matter(date(2020, 12, 4), ("蛋壳",), True),
    Matter(date(2022, 7, 11), ("村镇银行",), True),
    Matter(date(2023, 8, 11), ("碧桂园",), True),
    Matter(date(2023, 9, 29), ("恒大", "许家印"), True),
    Matter(date(2024, 9, 30), SHARES, False),
    Matter(date(2024, 10, 8), SHARES, False),
    Matter(date(2025, 4, 3), ("关税",), True),
    Matter(date(2025, 4, 7), SHARES, True),
    Matter(date(2025, 4, 8), ("关税",), True),
)
BEFORE, AFTER = timedelta(days=45), timedelta(days=14)


def around(matters: Sequence[Matter]) -> tuple[tuple[date, date], ...]:
    """The days around the matters, joined where they touch."""
    out: list[tuple[date, date]] = []
    for day in sorted(m.day for m in matters):
        begin, end = day - BEFORE, day + AFTER
        if out and begin <= out[-1][1]:
            out[-1] = (out[-1][0], end)
        else:
            out.append((begin, end))
    return tuple(out)


def streams(every_day: bool) -> tuple[Stream, ...]:
    """The shared streams; of Weibo's 700,000 titles those around the named days, unless ``every_day``."""
    return (
        Stream(
            "weibo_hot_search",
            "weibo_hot_search/*.csv.gz",
            "news",
            SHANGHAI,
            "XSHG",
            86_400,
            WEIBO,
            () if every_day else around(WEIBO),
        ),
        Stream("guba_sina_2019", "guba_sina_2019/all.csv.gz", "comment", SHANGHAI, "XSHG", 86_400),
        Stream(
            "guardian_cnbc_2017_2020",
            "guardian_cnbc_2017_2020/all.csv.gz",
            "news",
            "Europe/London",
            "XLON",
            86_400,
        ),
        Stream("wind_stock_news", "wind_stock_news/train.csv.gz", "news", SHANGHAI, "XSHG", 86_400),
        Stream("stocknet_tweets", "stocknet_tweets/all.csv.gz", "comment", "America/New_York", "XNYS", 3_600),
    )


class Kept(NamedTuple):
    """Of what a scorer says, what a backtest reads."""

    scored: bool
    topics: tuple[str, ...]
    sentiment: int
    sentiment_probabilities: tuple[float, ...]


class CachedScorer:
    """A scorer that remembers on disk what it has said."""

    def __init__(self, scorer: Scorer, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.version = scorer.version
        self.asked = self.new = 0
        self._scorer = scorer
        self._db = sqlite3.connect(folder / f"scores-{scorer.version}.db")
        self._db.execute("CREATE TABLE IF NOT EXISTS said (input TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID")
        self._begun = time.monotonic()

    def close(self) -> None:
        self._db.close()

    def score(
        self, texts: list[str], kinds: list[str], langs: list[str | None], titles: list[str | None]
    ) -> list[Kept]:
        inputs = [orjson.dumps(x).decode() for x in zip(texts, kinds, langs, titles, strict=True)]
        said = {i: row[0] for i in inputs if (row := self._find(i))}
        missing = [n for n, i in enumerate(inputs) if i not in said]
        if missing:
            results = self._scorer.score(*([column[n] for n in missing] for column in (texts, kinds, langs, titles)))
            for n, r in zip(missing, results, strict=True):
                said[inputs[n]] = orjson.dumps((r.scored, r.topics, r.sentiment or 0, r.sentiment_probabilities or ()))
            with self._db:
                self._db.executemany(
                    "INSERT OR IGNORE INTO said VALUES (?, ?)", [(inputs[n], said[inputs[n]]) for n in missing]
                )
        self.asked += len(inputs)
        self.new += len(missing)
        if missing:
            pace = self.new / (time.monotonic() - self._begun)
            print(f"\r{self.asked:,} texts, {self.new:,} newly scored, {pace:.0f}/s ", end="", file=sys.stderr)
        out = []
        for i in inputs:
            scored, topics, sentiment, probabilities = orjson.loads(said[i])
            out.append(Kept(scored, tuple(topics), sentiment, tuple(probabilities)))
        return out

    def _find(self, key: str) -> tuple[bytes] | None:
        return self._db.execute("SELECT value FROM said WHERE input = ?", (key,)).fetchone()


def texts_of(stream: Stream, data: Path, scorer: CachedScorer, limit: int = 0) -> Iterator[list[ScoredText]]:
    """The stream's texts in time order, scored; one list a span.

    Args:
        limit: only so many rows of a span, the first ones; 0: all.
    """
    for span in stream.spans or (None,):
        with tempfile.NamedTemporaryFile("w", suffix=".csv", encoding="utf-8", newline="") as f:
            out = csv.writer(f)
            out.writerow(("time", "text"))
            out.writerows(_rows(stream, data, span, limit))
            f.flush()
            zone = ZoneInfo(stream.zone)
            yield read_texts(f.name, scorer, Columns(time_column="time", zone=zone), kind=stream.kind).texts


def _rows(stream: Stream, data: Path, span: tuple[date, date] | None, limit: int) -> Iterable[tuple[str, str]]:
    paths = sorted(data.glob(stream.files))
    if not paths:
        raise SystemExit(f"no {stream.files} in {data}: name the folder with --shared")
    n = 0
    for path in paths:
        with gzip.open(path, "rt", encoding="utf-8", newline="") as f:
            for row in csv.DictReader(f):
                if row["time"] and (span is None or span[0].isoformat() <= row["time"][:10] <= span[1].isoformat()):
                    yield row["time"], row["text"]
                    n += 1
                    if n == limit:
                        return


def arguments(description: str | None) -> argparse.ArgumentParser:
    """What scoring and backtests are both told."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder that holds data/")
    parser.add_argument("--model", type=Path, help="model folder; default: the shipped one")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "bt_scores")
    parser.add_argument("--streams", default="", help="names, by commas; default: all")
    parser.add_argument("--every-day", action="store_true", help="all of Weibo, not only the days around named ones")
    parser.add_argument("--limit", type=int, default=0, help="rows of each span; 0: all")
    return parser


def chosen(args: argparse.Namespace) -> list[Stream]:
    known = {s.name: s for s in streams(args.every_day)}
    names = args.streams.split(",") if args.streams else list(known)
    for name in names:
        if name not in known:
            raise SystemExit(f"--streams: {name!r}; there are: {', '.join(known)}")
    return [known[n] for n in names]


def main() -> None:
    args = arguments(__doc__).parse_args()
    with closing(CachedScorer(load_scorer(args.model), args.cache)) as scorer:
        for stream in chosen(args):
            n = sum(len(texts) for texts in texts_of(stream, args.shared / "data", scorer, args.limit))
            print(f"\r{stream.name}: {n:,} texts scored by {scorer.version}          ")


if __name__ == "__main__":
    main()
