"""The backtest: files in, alerts out, nothing seen that had not happened yet."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from barometer.errors import BarometerError
from barometer.files.mapping import Columns
from barometer.vocabulary import Kind, Sentiment
from monitor.backtest import ScoredText, backtest, read_texts
from monitor.cli import _width
from testing.keyword_scorer import KeywordScorer

SHANGHAI = ZoneInfo("Asia/Shanghai")
DAY = 86_400_000
T0 = 1_704_038_400_000  # 2024-01-01 in Shanghai


def made(days: int = 60, bad: range = range(50, 53), seed: int = 3) -> list[ScoredText]:
    rng, out = random.Random(seed), []
    for d in range(days):
        for i in range(rng.randint(15, 30) + (40 if d in bad else 0)):
            negative = rng.random() < (0.85 if d in bad else 0.2)
            sentiment = Sentiment.NEGATIVE if negative else Sentiment.NEUTRAL
            p = 0.9 if negative else 0.1
            out.append(
                ScoredText(T0 + d * DAY + i * 1000, Kind.NEWS, ("real_estate",), sentiment, p, f"第{d}天 第{i}条")
            )
    return sorted(out)


def run(texts: list[ScoredText]) -> list[dict]:
    return [a.as_dict() for a in backtest(texts, bucket_seconds=86_400, zone=SHANGHAI, open_at=3.6)]


def test_a_surge_is_found_on_its_day() -> None:
    alerts = run(made())
    assert [a["series"] for a in alerts] == ["topic:real_estate"]
    a = alerts[0]
    assert a["started_at"] == "2024-02-19T16:00:00Z"
    assert a["peak_at"] >= a["started_at"]
    assert a["ended_at"] is not None
    assert a["kinds"] == ["news"]
    assert a["seen_negative"] > 3 * a["expected_negative"]
    assert a["seen_total"] >= a["seen_negative"]
    assert len(a["top_texts"]) == 5
    assert all("第5" in text for text in a["top_texts"])


def test_a_calm_file_has_no_alert() -> None:
    assert run(made(bad=range(0))) == []


def test_nothing_is_seen_before_it_has_happened() -> None:
    """What is found up to a day is the same whether or not the file goes on after it."""
    texts = made(bad=range(30, 32)) + [t._replace(time_ms=t.time_ms + 200 * DAY) for t in made(20, range(5, 8), 4)]
    whole = run(texts)
    for cut in (20, 31, 33, 45):
        limit = T0 + cut * DAY
        part = run([t for t in texts if t.time_ms < limit])
        ended = [a for a in whole if a["ended_at"] is not None and a["ended_at"] <= stamp(limit)]
        assert part[: len(ended)] == ended


def stamp(ms: int) -> str:
    from monitor.backtest import _rfc3339

    return str(_rfc3339(ms))


def test_only_the_series_that_is_asked_for() -> None:
    found = backtest(made(), bucket_seconds=86_400, zone=SHANGHAI, open_at=3.6, series="topic:market")
    assert list(found) == []


def test_rows_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    file = tmp_path / "t.csv.gz"
    with gzip.open(file, "wt", encoding="utf-8") as f:
        f.write("time,text,kind\n2024-01-02,楼市平稳,news\nyesterday,楼市,news\n2024-01-01,,news\n")
        f.write("2024-01-01T23:30:00Z,股价下跌,comment\n2024-01-03,楼市平稳,rumour\n2024-01-04,x\n")
    read = read_texts(str(file), KeywordScorer(), Columns(time_column="time", zone=SHANGHAI), kind=None)
    assert [t.kind for t in read.texts] == [Kind.NEWS, Kind.COMMENT]
    assert read.texts[0].time_ms == T0 + DAY
    assert len(read.bad) == 4
    assert all(f"{file}:" in line for line in read.bad)


def test_without_a_kind_it_is_unknown_and_by_option_it_is_that(tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    rows = [{"time": "2024-01-01", "text": f"楼市下跌 {i}"} for i in range(3)]
    file.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), "utf-8")
    for kind, wanted in ((None, Kind.UNKNOWN), ("comment", Kind.COMMENT)):
        read = read_texts(str(file), KeywordScorer(), Columns(time_column="time", zone=SHANGHAI), kind=kind)
        assert {t.kind for t in read.texts} == {wanted}


def test_identical_texts_are_scored_once(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("time,text\n" + "2024-01-01,楼市平稳\n" * 50, "utf-8")

    class Counting(KeywordScorer):
        seen = 0

        def score(self, texts, *args, **kw):  # type: ignore[no-untyped-def]
            Counting.seen += len(texts)
            return super().score(texts, *args, **kw)

    read = read_texts(str(file), Counting(), Columns(time_column="time", zone=SHANGHAI), kind="news")
    assert (len(read.texts), Counting.seen) == (50, 1)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("when,text\n2024-01-01,a\n", "utf-8")
    with pytest.raises(BarometerError, match="no column 'time'"):
        read_texts(str(file), KeywordScorer(), Columns(time_column="time", zone=SHANGHAI), kind="news")


@pytest.mark.parametrize(("text", "seconds"), [("10s", 10), ("10min", 600), ("10m", 600), ("1h", 3600), ("1d", 86_400)])
def test_widths(text: str, seconds: int) -> None:
    assert _width(text) == seconds


@pytest.mark.parametrize("text", ["", "5s", "7min", "2d", "1w", "ten"])
def test_wrong_widths(text: str) -> None:
    with pytest.raises(BarometerError, match="--bucket"):
        _width(text)
