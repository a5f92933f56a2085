"""What sealing makes of surges, models and logs that change, and outages; on both databases."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, func, insert, select, update

from barometer.records import Document, Prediction, Progress, fingerprint, hash64, pack_row
from barometer.rules import RuleSet
from barometer.settings import Settings
from barometer.store import tables as t
from barometer.store.alerts.life_cycle import MATTER, Finding, apply_finding, resolve
from barometer.store.engine import Store
from barometer.store.stream.batch import Batch, Move
from barometer.telling import telling
from barometer.vocabulary import Kind, Sentiment
from monitor.backtest import ScoredText, backtest
from monitor.explanation.explain import READ, matter_of, negatives
from monitor.sealing.seal import Sealer
from tests.integration.monitor.test_sealing import BUCKET, LATE, T0, Log, lead, sealed

MakeSettings = Callable[..., Settings]
BAD, CALM = Sentiment.NEGATIVE, Sentiment.NEUTRAL
DAYS = 9 * 144
"""Buckets of ten minutes after which a detector is no longer new."""


def feed(
    log: Log, buckets: dict[int, list[tuple[str, Sentiment]]], model_id: int = 1, symbols: list[str] | None = None,
    comments: bool = False,
) -> None:  # fmt: skip
    """Texts by bucket, all through partition 0; then both partitions' progress, past the last bucket.

    Args:
        comments: every second text is a comment, else all are news.
    """
    documents, predictions = [], []
    first = log.next[0]
    for b, texts in sorted(buckets.items()):
        for i, (text, sentiment) in enumerate(texts):
            row = pack_row(1, 0, first + len(documents))
            documents.append(
                Document(
                    row, T0 + b * BUCKET + i, Kind.COMMENT if comments and i % 2 else Kind.NEWS, text,
                    hash64("row", str(row)), hash64(text), fingerprint(text), False, source="晨报" if i % 3 else "晚报",
                    symbols=symbols or [],
                )
            )  # fmt: skip
            predictions.append(Prediction(sentiment, 0.5 + (i % 40) / 100, 0.1, 0.1, {"real_estate": 0.9}))
    passed = T0 + (max(buckets) + 1) * BUCKET + LATE
    end = first + len(documents) + 1
    move = Move(0, first or None, end, end - first, 0, 1, Progress(pack_row(1, 0, end - 1), passed, "w", 1))
    log.writer.commit(Batch(1, model_id, [move], documents, list(predictions), ["zh"] * len(documents),
                            [None] * len(documents), []))  # fmt: skip
    log.next[0] = end
    log.add(1, [], passed)


def calm(start: int, end: int, n: int = 6) -> dict[int, list[tuple[str, Sentiment]]]:
    """Every third text is negative."""
    return {b: [(f"楼市 {b} {i}", BAD if (b + i) % 3 == 0 else CALM) for i in range(n)] for b in range(start, end)}


def alerts(store: Store) -> list[Any]:
    with store.read() as c:
        return list(c.execute(select(t.Alert.__table__).order_by(t.Alert.id)))


@pytest.fixture
def warm(store: Store, settings_for: MakeSettings) -> tuple[Log, Settings]:
    """A log that has been calm for nine days, sealed."""
    settings = settings_for()
    log = Log(store, settings)
    feed(log, calm(0, DAYS))
    Sealer(store, settings).seal_ready(lead(store))
    assert alerts(store) == []
    return log, settings


def test_a_surge_of_different_texts_pages_and_is_explained(store: Store, warm: tuple[Log, Settings]) -> None:
    log, settings = warm
    feed(log, {DAYS + b: [(f"恒远停工 {b} {i}", BAD) for i in range(15)] + [("恒远停工！", BAD)] * 5 for b in range(3)})
    told: list[Any] = []
    Sealer(store, settings, lambda _c, change, _now: told.append(change.reason)).seal_ready(lead(store))
    (a,) = alerts(store)
    assert (a.fingerprint, a.state, a.severity, a.kinds) == ("topic:real_estate", "firing", "critical", [1])
    assert told[0] == "first"
    assert (a.parameters["open_at"], a.parameters["exchange"]) == (settings.detector_open, "XSHG")
    why = a.explanation
    storms = (a.peak_at - (T0 + DAYS * BUCKET)) // BUCKET
    assert why["window"][1] == a.peak_at
    assert why["independent_negative"] + why["copies"] == a.seen_negative
    assert why["copies"] == 5 * storms - 1
    assert [k["kind"] for k in why["by_kind"]] == [1]
    assert why["by_kind"][0]["negative"] == a.seen_negative
    assert {s["source"] for s in why["sources"]} == {"晨报", "晚报"}
    assert why["one_text"] == 5 * storms
    assert why["price_moves"] == 0
    assert why["terms"][0] == {"term": "恒远停工", "texts": 15 * storms + 1, "before": 0}
    assert len(a.evidence) == 10
    most_copied = next(e for e in a.evidence if e["text"] == "恒远停工！")
    assert most_copied["copies"] >= 5
    assert a.model_id == 1


def test_the_headline_counts_the_event_and_names_it(store: Store, settings_for: MakeSettings) -> None:
    """News and comments are judged apart, and the alert says what both hold, whichever peaked last."""
    settings = settings_for()
    log = Log(store, settings)
    feed(log, calm(0, DAYS, 12), comments=True)
    Sealer(store, settings).seal_ready(lead(store))
    storm = {
        DAYS + b: [(f"恒远地产第 {b} 批第 {i} 户业主维权", BAD if i % 8 else CALM) for i in range(40)] for b in range(3)
    }
    for b, texts in storm.items():  # bucket by bucket, by ever new leaders
        feed(log, {b: texts}, comments=True, symbols=["609866.SH"])
        Sealer(store, settings).seal_ready(lead(store))
    (a,) = alerts(store)
    kinds = {k["kind"]: k for k in a.explanation["by_kind"]}
    assert sorted(kinds) == a.kinds == [1, 2]
    assert a.seen_negative == sum(k["negative"] for k in kinds.values())
    assert a.seen_total == sum(k["total"] for k in kinds.values())
    assert a.expected_negative == pytest.approx(sum(k["expected"] for k in kinds.values()), abs=0.02)
    start, end = a.explanation["window"]
    assert a.window_seconds == (end - start) / 1000
    with store.read() as c:
        s, series = t.SealedBucket, t.Series
        rows = c.execute(
            select(func.sum(s.negative), func.sum(s.total), func.sum(s.expected_negative))
            .join(series, series.id == s.series_id)
            .where(series.name == a.fingerprint, s.start >= start, s.start < end)
        ).one()
    assert (a.seen_negative, a.seen_total) == (int(rows[0]), int(rows[1]))
    assert a.expected_negative == pytest.approx(rows[2])
    assert a.seen_negative >= 3 * 35
    (company,) = a.explanation["companies"]
    assert company["company"] == "609866.SH"
    assert company["name"] == "恒远地产"
    assert telling(a.explanation, a.seen_negative) == [company["name"]]


def test_copies_of_one_text_warn_but_page_nobody(store: Store, warm: tuple[Log, Settings]) -> None:
    log, settings = warm
    feed(log, {DAYS + b: [("恒远停工，工人讨薪", BAD)] * 40 for b in range(3)})
    Sealer(store, settings).seal_ready(lead(store))
    (a,) = alerts(store)
    assert a.score > settings.detector_open + 1.1
    assert a.severity == "warning"
    assert a.explanation["independent_negative"] < 10


def test_a_second_company_is_told_though_a_person_closed_the_first(store: Store, warm: tuple[Log, Settings]) -> None:
    log, settings = warm

    def storm(bucket: int, name: str, n: int) -> list[Any]:
        feed(log, {bucket: [(f"{name}停工，工人 {bucket} {i} 讨薪", BAD) for i in range(n)]})
        told: list[Any] = []
        Sealer(store, settings, lambda _c, change, _now: told.append(change.reason)).seal_ready(lead(store))
        return told

    assert "first" in storm(DAYS, "甲例地产", 30) + storm(DAYS + 1, "甲例地产", 30)
    (a,) = alerts(store)
    with store.write() as c:
        resolve(c, a.id, "li", "real", None, T0)
    assert "first" not in storm(DAYS + 2, "甲例地产", 25), "the same matter"
    assert "first" in storm(DAYS + 3, "乙例地产", 25)
    assert len(alerts(store)) == 2
    storm(DAYS + 4, "丙例地产", 25)
    assert len(alerts(store)) == 2
    with store.read() as c:
        said = c.execute(select(t.AlertEvent.data).where(t.AlertEvent.action == MATTER)).scalars().all()
    assert [d["matter"] for d in said] == [["丙例地产"]]


def test_whom_it_is_about_and_that_it_is_only_prices(store: Store, warm: tuple[Log, Settings], tmp_path: Path) -> None:
    log, settings = warm
    rules = tmp_path / "rules.yaml"
    rules.write_text("rules: []\ncompanies: [{name: 恒远地产, words: [恒远], symbols: ['600001']}]", "utf-8")
    feed(log, {DAYS: [(f"恒远跌停，地产股 {i} 点跳水", BAD) for i in range(30)]}, symbols=["600001", "000002"])
    Sealer(store, settings.model_copy(update={"rules_file": rules})).seal_ready(lead(store))
    (a,) = alerts(store)
    assert a.explanation["companies"] == [
        {"company": "000002.SZ", "negative": 30}, {"company": "恒远地产", "negative": 30},
    ]  # fmt: skip
    assert a.explanation["price_moves"] > 0.9


@pytest.mark.parametrize("measured", [True, False])
def test_a_change_of_model_is_no_news_where_it_was_measured(
    store: Store, settings_for: MakeSettings, measured: bool
) -> None:
    """The new model calls two of three texts negative where the old one called one: an odds ratio of 4."""
    settings = settings_for()
    log, change = Log(store, settings), 300
    feed(log, calm(0, change, 40))
    metrics = {"rebase": {"*": 4.0, "topic:market": 1.0}} if measured else {}
    with store.write() as c:
        for model_id, m in ((1, {}), (2, metrics)):
            c.execute(
                insert(t.ModelVersion).values(
                    id=model_id, name=f"m{model_id}", precision="int8", topics=[], state="seen", created_at=0, metrics=m
                )
            )
    harsher = {
        b: [(f"楼市 {b} {i}", CALM if (b + i) % 3 == 0 else BAD) for i in range(40)] for b in range(change, change + 72)
    }
    feed(log, harsher, model_id=2)
    Sealer(store, settings).seal_ready(lead(store))
    assert [a.fingerprint for a in alerts(store)] == ([] if measured else ["topic:real_estate"])
    feed(log, calm(change + 72, change + 80, 40), model_id=1)
    Sealer(store, settings).seal_ready(lead(store))
    with store.read() as c:
        state = c.execute(select(t.SeriesState.state).order_by(t.SeriesState.series_id.desc())).scalars().first()
    assert state["model_id"] == 1


def test_an_outage_is_kept_as_one(store: Store, warm: tuple[Log, Settings]) -> None:
    """Silence that was expected is a plain stretch; one that was not is marked, and is a row of its own."""
    log, settings = warm
    quiet = DAYS + 40
    feed(log, {quiet: [("楼市平稳", CALM)]})
    Sealer(store, settings).seal_ready(lead(store))
    rows = [r for r in sealed(store) if r[0] == "topic:real_estate" and r[2] >= T0 + DAYS * BUCKET]
    names = [k.name for k in t.SealedBucket.__table__.columns if k.name not in ("series_id", "term")]
    shown = [dict(zip(names, r[1:], strict=True)) for r in rows]
    assert [(r["total"], r["outage"]) for r in shown] == [(0, False), (0, True), (1, False)]
    assert shown[0]["end"] == shown[1]["start"]
    assert shown[1]["end"] == shown[2]["start"] == T0 + quiet * BUCKET


def test_nothing_older_is_lost_at_the_beginning(store: Store, settings_for: MakeSettings) -> None:
    """One partition is read far ahead: sealing waits until the other cannot bring anything older."""
    settings = settings_for()
    log, sealer = Log(store, settings), Sealer(store, settings)
    log.add(1, [], T0 + LATE)
    log.add(0, [(T0 + 5 * BUCKET, "后来的", CALM)], T0 + 9 * BUCKET + LATE)
    sealer.seal_ready(lead(store))
    log.add(1, [(T0 + 2 * BUCKET, "先前的", CALM)], T0 + 9 * BUCKET + LATE)
    sealer.seal_ready(lead(store))
    assert [r[2] for r in sealed(store) if r[0] == "all" and r[4]] == [T0 + 2 * BUCKET, T0 + 5 * BUCKET]


def test_a_new_log_seals_nothing_twice(store: Store, settings_for: MakeSettings) -> None:
    settings = settings_for()
    log = Log(store, settings)
    feed(log, calm(0, 20))
    Sealer(store, settings).seal_ready(lead(store))
    before = sealed(store)
    new = 2
    with store.write() as c:
        c.execute(update(t.Log).values(current=False))
        c.execute(
            insert(t.Log).values(
                id=new, cluster_id="other", topic=settings.topic_documents, partitions=2, current=True, created_at=1
            )
        )
    for p in range(2):
        # The new log begins with the same times again: stored, but those buckets are sealed.
        texts = [(T0 + 3 * BUCKET, "又来", BAD), (T0 + 25 * BUCKET, "新的", CALM)][p:]
        rows = [pack_row(new, p, i) for i in range(len(texts))]
        documents = [
            Document(row, at, Kind.NEWS, text, hash64(str(row)), hash64(text), fingerprint(text), False)
            for row, (at, text, _) in zip(rows, texts, strict=True)
        ]
        said: list[Prediction | None] = [Prediction(s, 0.8, 0.1, 0.1, {"real_estate": 0.9}) for *_, s in texts]
        n = len(texts)
        tick = Progress(pack_row(new, p, n), T0 + 26 * BUCKET + LATE, "w", 1)
        move = Move(p, None, n + 1, n + 1, 0, 1, tick)
        log.writer.commit(Batch(new, 1, [move], documents, said, ["zh"] * n, [None] * n, []))
    Sealer(store, settings).seal_ready(lead(store))
    after = sealed(store)
    assert set(before) <= set(after)
    new_rows = [(r[0], r[2], r[4]) for r in after if r not in before]
    assert all(start >= T0 + 20 * BUCKET for _, start, _ in new_rows)
    assert [r for r in new_rows if r[2]] == [(name, T0 + 25 * BUCKET, 2) for name in ("all", "topic:real_estate")]


def restarted_with_another_detector(store: Store, settings: Settings) -> None:
    with store.write() as c:
        c.execute(update(t.SeriesState).values(detector_version="older"))
    Sealer(store, settings).seal_ready(lead(store))


def test_an_upgraded_detector_knows_the_past(store: Store, warm: tuple[Log, Settings]) -> None:
    """What is going on goes on as the same alert, what is over ends, and a new surge is seen at once."""
    log, settings = warm
    feed(log, {DAYS: [(f"恒远停工 {i}", BAD) for i in range(30)]})
    Sealer(store, settings).seal_ready(lead(store))
    feed(log, {DAYS + 1: [(f"恒远停工 {i}", BAD) for i in range(30, 60)]})
    restarted_with_another_detector(store, settings)
    assert [(a.state, a.last_bucket_end) for a in alerts(store)] == [("firing", T0 + (DAYS + 2) * BUCKET)]
    feed(log, calm(DAYS + 2, DAYS + 100))
    Sealer(store, settings).seal_ready(lead(store))
    assert [a.state for a in alerts(store)] == ["resolved"]
    feed(log, {DAYS + 100: [(f"恒远又停工 {i}", BAD) for i in range(30)]})
    restarted_with_another_detector(store, settings)
    assert [a.state for a in alerts(store)] == ["resolved", "firing"]
    assert alerts(store)[1].detected_at == T0 + (DAYS + 101) * BUCKET


def test_an_alert_ends_with_the_detector_that_held_it(store: Store, warm: tuple[Log, Settings]) -> None:
    """The old one saw more in it than its successor does."""
    log, settings = warm
    feed(log, calm(DAYS, DAYS + 1))
    Sealer(store, settings).seal_ready(lead(store))
    with store.write() as c:
        series = c.execute(select(t.Series).where(t.Series.name == "topic:real_estate")).one()
        end = T0 + (DAYS + 1) * BUCKET
        apply_finding(
            c, Finding("surge", series.name, series.id, 1, True, "warning", end - BUCKET, end, score=4.0), end
        )
    feed(log, calm(DAYS + 1, DAYS + 2))
    restarted_with_another_detector(store, settings)
    assert [(a.state, a.resolved_by, a.ended_at) for a in alerts(store)] == [("resolved", "detector", end)]


def test_a_series_on_trial_is_judged_and_quiet(store: Store, warm: tuple[Log, Settings]) -> None:
    log, settings = warm
    with store.write() as c:
        c.execute(update(t.Series).values(trial=True))
    feed(log, {DAYS: [(f"恒远停工 {i}", BAD) for i in range(30)]})
    Sealer(store, settings).seal_ready(lead(store))
    (a,) = alerts(store)
    assert a.explanation["quiet"] is True


def test_a_backtest_finds_what_sealing_finds(store: Store, settings_for: MakeSettings) -> None:
    """Surges of news and comments, a night without anything, and a feed that stopped for four days."""
    settings = settings_for()
    stream = calm(0, DAYS)
    for silent in (range(400, 460), range(600, 600 + 4 * 144)):
        for b in silent:
            stream.pop(b)
    for b in (*range(500, 504), *range(DAYS - 20, DAYS - 16)):
        stream[b] = [(f"恒远停工 {b} {i}", BAD) for i in range(30 + 12 * (b % 3))]
    log = Log(store, settings)
    feed(log, stream, comments=True)
    feed(log, {DAYS + 200: [("楼市平稳", CALM)]})
    Sealer(store, settings).seal_ready(lead(store))
    texts = [
        ScoredText(
            T0 + b * BUCKET + i,
            int(Kind.COMMENT if i % 2 else Kind.NEWS),
            ("real_estate",),
            int(sentiment),
            0.5 + (i % 40) / 100,
            text,
        )
        for b, said in sorted((stream | {DAYS + 200: [("楼市平稳", CALM)]}).items())
        for i, (text, sentiment) in enumerate(said)
    ]
    found = list(backtest(texts, bucket_seconds=600, zone=settings.zone, open_at=settings.detector_open))
    names = ("started_at", "detected_at", "peak_at", "ended_at", "severity", "score", "seen_negative", "seen_total")
    expected = [tuple(getattr(a, n) for n in names) for a in found]
    assert len(expected) == 2
    told = alerts(store)
    assert [tuple(getattr(a, n) for n in names) for a in told] == expected
    for a, b in zip(told, found, strict=True):
        assert [a.kinds, b.kinds] == [[1, 2], ["comment", "news"]]
        assert a.explanation["by_kind"] == [{**k, "kind": Kind[k["kind"].upper()]} for k in b.as_dict()["by_kind"]]
        assert b.expected_negative == pytest.approx(a.expected_negative)
        assert b.seen_negative == sum(k.negative for k in b.by_kind) > max(k.negative for k in b.by_kind)


def test_a_peak_reads_its_negatives_once(store: Store, warm: tuple[Log, Settings]) -> None:
    log, settings = warm
    feed(log, {DAYS: [(f"恒远地产停工 {i}", BAD) for i in range(30)]})
    reads: list[Any] = []
    event.listen(
        store.engine, "before_cursor_execute",
        lambda _c, _cursor, sql, *_: reads.append(sql) if "substr(documents.text" in sql else None,
    )  # fmt: skip
    Sealer(store, settings).seal_ready(lead(store))
    (a,) = alerts(store)
    assert a.explanation["matters"][0]["names"] == ["恒远地产"]
    assert len(reads) == 2, "those of the window, and of the time before it"


def test_what_a_bucket_is_about_is_the_same_however_many_other_kinds_are_read(
    store: Store, warm: tuple[Log, Settings]
) -> None:
    log, _ = warm
    news = [(f"甲例银行挤兑 {i}", BAD if i < 60 else CALM) for i in range(0, 1_400, 2)]
    comments = [(f"乙例地产停工 {i}", BAD) for i in range(1, 1_400, 2)]
    texts = [x for pair in zip(news, comments, strict=True) for x in pair]
    feed(log, {DAYS: texts}, comments=True)
    start, end = T0 + DAYS * BUCKET, T0 + (DAYS + 1) * BUCKET
    with store.read() as c:
        series_id = c.execute(select(t.Series.id).where(t.Series.name == "topic:real_estate")).scalar_one()
        read = negatives(c, series_id, (start, end), start)
        assert len(read) == READ and {x.kind for x in read} == {2}
        for kind, name in ((1, "甲例银行"), (2, "乙例地产")):
            known = matter_of(c, series_id, kind, start, end, RuleSet(), read)
            assert known is not None and known.names == (name,)
            assert known == matter_of(c, series_id, kind, start, end, RuleSet(), None)
