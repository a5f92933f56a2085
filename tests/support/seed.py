"""A store as it looks after some days of watching, for browser tests and for looking at the screens.

    python -m tests.support.seed sqlite:////tmp/seeded.db [--days 3]

Rows are inserted as worker and monitor leave them: sealed buckets with their bands, an open bucket in the rollups, a
surge on real estate with its alert, an older alert that was resolved, texts with copies, dead letters, processes.
"""

from __future__ import annotations

import argparse
import math
import random
import time
from hashlib import sha256
from html import escape
from typing import Any

from sqlalchemy import Connection, insert, select, update

from barometer.records import fingerprint, pack_row
from barometer.settings import Settings, load_settings
from barometer.store.accounts.users import add_user
from barometer.store.engine import Store
from barometer.store.labels.annotations import NewLabel, add_label
from barometer.store.labels.queues import Draw, text_of_document
from barometer.store.leases import Lease
from barometer.store.migrate import open_store
from barometer.store.month_partitions import Months
from barometer.store.search.index import index_waiting
from barometer.store.tables import (
    Alert,
    AlertEvent,
    AlertStep,
    DeadLetter,
    Document,
    Incident,
    Job,
    LabelText,
    Log,
    ModelVersion,
    Notification,
    Offset,
    Prediction,
    Process,
    Rollup,
    SealedBucket,
    SealingState,
    SearchQueue,
    Series,
    SeriesDocument,
    Source,
    SourceRollup,
    User,
)
from barometer.store.tables import Lease as LeaseRow

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
PASSWORD = "a long enough password"
_RUN = "<script>window.injected = true</script>"
SCRIPT = f"{_RUN}{escape(_RUN)}<img src=x onerror='window.injected = true'>"
"""As markup, which readers of texts do not see, and as text, which they do."""
TOPICS = {  # texts a day, usual negative share
    "market": (900, 0.22), "company_operations": (420, 0.15), "industry": (300, 0.14), "earnings_dividend": (350, 0.2),
    "ma_financing_ipo": (150, 0.1), "shareholding": (140, 0.18), "regulation_legal": (120, 0.55),
    "credit_bonds": (110, 0.4), "financial_sector": (260, 0.2), "real_estate": (420, 0.28), "macro": (330, 0.2),
    "policy_central_bank": (240, 0.12), "politics_international": (200, 0.35), "commodities_energy": (210, 0.25),
    "fx_crypto": (130, 0.3), "analyst_view": (160, 0.16),
}  # fmt: skip
SOURCES = ("财经早报", "股吧", "快讯社", "每日金融", "楼市论坛", "MarketWire")
BAD = (
    "恒远地产公告，未能在宽限期内支付美元债利息，构成违约。",
    "恒远旗下七个楼盘全面停工，业主要求退还预售款。",
    "首付掏空了六个钱包，房子盖到七层就停了，谁来管？",
    "Hengyuan Properties missed a coupon payment and is in default.",
    "供应商联名起诉恒远地产，法院冻结其部分账户。",
    "别抄底！商票还有一堆没兑付。",
)
CALM = (
    "公司今日披露季度报告，营收与去年同期基本持平。",
    "交易所公布下周新股发行安排。",
    "Analysts keep their rating unchanged after the meeting.",
    "今天盘面很平静，先观望。",
)


def activity(ms: int) -> float:
    """How busy the hour is, around 1."""
    hour = (ms / HOUR + 8) % 24
    return 0.25 + 1.5 * math.exp(-(((hour - 11) / 4.5) ** 2)) + 0.6 * math.exp(-(((hour - 20.5) / 2) ** 2))


def seed(store: Store, settings: Settings, *, days: float = 3, now: int | None = None, users: bool = True) -> int:
    """Fill an empty store; returns the id of the firing alert."""
    now = now or time.time_ns() // 1_000_000
    if users:
        for role in ("viewer", "analyst", "admin"):
            add_user(store, role, PASSWORD, role, actor="tests")
    Months(store).ensure([now, now - int(days * DAY)])
    with store.write() as c:
        made = _Seed(c, settings, now, days)
        firing = made.run()
    index_waiting(store, Lease("leader", "monitor-2", 3, now + HOUR))
    return firing


def checked(store: Store) -> None:
    """Labels of two people, as after some days of random checks: right in most of it, and a false alarm."""
    add_user(store, "wang", PASSWORD, "analyst", actor="tests")
    with store.write() as c:
        now = store.now_ms(c)
        users = dict(c.execute(select(User.name, User.id)).tuples().all())
        keys = c.execute(select(Prediction.observed_at, Prediction.row_id).order_by(Prediction.row_id)).tuples().all()
        draw = Draw(store, 600_000, now - HOUR, random.Random(3))
        for i, key in enumerate(keys[:150]):
            x = text_of_document(c, draw, key)
            if x is None:
                continue
            c.execute(update(LabelText).where(LabelText.id == x.id).values(origin="random", samples=["all"]))
            sentiment = (x.sentiment + 1) % 3 if i % 7 == 3 else x.sentiment
            topics = list(x.topics) if i % 11 else []
            add_label(c, NewLabel(x.id, users["analyst"], "random", sentiment, topics), list(TOPICS), now - HOUR + i)
            if i % 5 == 0:
                other = 1 if i % 15 == 0 else sentiment
                add_label(c, NewLabel(x.id, users["wang"], "random", other, None), list(TOPICS), now - HOUR + i)
        for number, (resolution, reason) in enumerate(
            [("real", None)] * 6 + [("false_alarm", "old"), ("false_alarm", "mislabelled"), ("known", None)]
        ):
            row = dict(c.execute(select(Alert.__table__).where(Alert.id == 1)).one()._mapping)
            closed = {"id": 900 + number, "state": "resolved", "resolved_at": now - number * HOUR,
                      "resolved_by": "wang", "resolution": resolution, "started_at": now - 5 * DAY,
                      "ended_at": now - 4 * DAY, "incident_id": None, "evidence": []}  # fmt: skip
            c.execute(insert(Alert).values(**{**row, **closed}))
            data = {"resolution": resolution, **({"reason": reason} if reason else {})}
            c.execute(insert(AlertEvent).values(alert_id=900 + number, at=now, actor="wang", action="resolved",
                                                comment=None, data=data))  # fmt: skip


def storm(store: Store) -> list[int]:
    """More work: what a store of :func:`seed` has with a night in which one story is in several series, and somebody is
    already at it. Returns the new alerts."""
    with store.write() as c:
        now = store.now_ms(c)
        first = dict(c.execute(select(Alert.__table__).where(Alert.id == 1)).one()._mapping)
        c.execute(insert(Incident).values(id=1, opened_at=now - HOUR, sketches=[], updated_at=now))
        c.execute(update(Alert).where(Alert.id == 1).values(incident_id=1, level_by="rule:默认", level_at=now - HOUR))
        due = {"assess": -20 * MINUTE, "respond": 3 * HOUR, "report": 11 * HOUR, "review": 7 * DAY}
        c.execute(
            insert(AlertStep),
            [{"alert_id": 1, "step": step, "state": "open", "due_at": now + ahead} for step, ahead in due.items()],
        )
        ids = dict(c.execute(select(Series.name, Series.id)).tuples().all())
        hit = {"rule": "违约兑付", "words": ["违约", "停工"], "at": now, "row_id": "1"}
        base = {**first, "level": None, "incident_id": None}
        more = [
            {
                "fingerprint": "topic:financial_sector",
                "incident_id": 1,
                "severity": "warning",
                "seen_negative": 24,
                "expected_negative": 8.2,
                "seen_total": 60,
                "started_at": now - 50 * MINUTE,
            },
            {
                "fingerprint": "topic:fraud_default",
                "incident_id": 1,
                "severity": "warning",
                "type": "rule",
                "seen_negative": 0,
                "expected_negative": 0.0,
                "seen_total": 0,
                "started_at": now - 40 * MINUTE,
                "explanation": {"hits": [hit], "summary": "一篇文本命中规则“违约兑付”"},
            },
            {
                "fingerprint": "topic:market",
                "severity": "warning",
                "snoozed_until": now + 2 * HOUR,
                "seen_negative": 61,
                "expected_negative": 33.0,
                "seen_total": 210,
                "started_at": now - 3 * HOUR,
                "assignee": "analyst",
            },
            {
                "fingerprint": "topic:regulation_legal",
                "severity": "critical",
                "level": "grave",
                "state": "acknowledged",
                "acknowledged_by": "admin",
                "acknowledged_at": now - 2 * HOUR,
                "started_at": now - 5 * HOUR,
                "seen_negative": 19,
                "expected_negative": 4.0,
                "seen_total": 24,
            },
        ]
        made = []
        for row in more:
            values = {k: x for k, x in {**base, **row}.items() if k != "id"}
            values["series_id"] = ids.get(row["fingerprint"])
            made.append(int(c.execute(insert(Alert).values(**values).returning(Alert.id)).scalar_one()))
            c.execute(
                insert(AlertEvent).values(
                    alert_id=made[-1],
                    at=row["started_at"] + 15 * MINUTE,
                    actor="detector",
                    action="opened",
                    comment=None,
                    data={"severity": row["severity"]},
                )
            )
        done = {"done_at": now - 3 * HOUR, "done_by": "admin", "note": "属实，一家分支机构被立案"}
        step = insert(AlertStep)
        c.execute(step.values(alert_id=made[3], step="assess", state="done", due_at=now - 4 * HOUR, **done))
        c.execute(step.values(alert_id=made[3], step="report", state="open", due_at=now + 35 * MINUTE))
        return made


class _Seed:
    def __init__(self, c: Connection, settings: Settings, now: int, days: float) -> None:
        self.c, self.now, self.width = c, now, settings.bucket_ms
        self.topic = settings.topic_documents
        self.zone_lateness = settings.lateness_ms
        self.rng = random.Random(7)
        self.open_at = now - now % self.width
        self.begin = self.open_at - int(days * DAY) // self.width * self.width
        self.surge_from = self.open_at - 10 * self.width
        self.offset = 0

    def add(self, table: Any, rows: list[dict[str, Any]]) -> None:
        if rows:
            self.c.execute(insert(table), rows)

    def run(self) -> int:
        self.names()
        self.buckets()
        self.texts()
        self.letters()
        self.machinery()
        return self.alerts()

    def names(self) -> None:
        self.add(Log, [{"id": 1, "cluster_id": "seed", "topic": self.topic, "partitions": 3, "current": True,
                        "created_at": self.begin}])  # fmt: skip
        self.add(ModelVersion, [{"id": 1, "name": "default", "precision": "int8", "topics": list(TOPICS),
                                 "state": "champion", "created_at": self.begin, "metrics": {}}])  # fmt: skip
        series = [{"id": 1, "name": "all", "judged": False, "trial": False}]
        series += [
            {"id": i, "name": f"topic:{t}", "judged": True, "trial": t == "fx_crypto"} for i, t in enumerate(TOPICS, 2)
        ]
        self.add(Series, series)
        self.ids = {s["name"].removeprefix("topic:"): s["id"] for s in series}
        self.add(Source, [{"id": i, "name": n, "created_at": self.begin, "muted": False}
                          for i, n in enumerate(SOURCES, 1)])  # fmt: skip
        for i, _ in enumerate(SOURCES, 1):
            silent = i == 4
            until = self.now - 9 * HOUR if silent else self.now
            rows = [
                {"source_id": i, "hour": h, "log_id": 1, "partition": 0, "total": self.rng.randint(8, 60),
                 "last_observed_at": min(h + HOUR - 60_000, until)}
                for h in range((self.begin - 8 * 24 * HOUR) // HOUR * HOUR, until, HOUR)
            ]  # fmt: skip
            self.add(SourceRollup, rows)

    def poisson(self, mean: float) -> int:
        if mean > 30:
            return max(0, round(self.rng.gauss(mean, math.sqrt(mean))))
        limit, k, p = math.exp(-mean), 0, 1.0
        while (p := p * self.rng.random()) > limit:
            k += 1
        return k

    def buckets(self) -> None:
        sealed, rollups = [], []
        everything: dict[tuple[int, int], list[int]] = {}
        start = self.begin
        while start <= self.open_at:
            # An open bucket has some rows, however lately it began.
            filled = max(0.2, (self.now - start) / self.width) if start == self.open_at else 1.0
            for topic, (daily, share) in TOPICS.items():
                for kind, part in ((1, 0.45), (2, 0.55)):
                    mean = daily * part * self.width / DAY * activity(start)
                    total = self.poisson(mean * filled)
                    negative = sum(self.rng.random() < share for _ in range(total))
                    if topic == "real_estate" and start >= self.surge_from:
                        extra = self.poisson((2 + 1.2 * (start - self.surge_from) / self.width) * filled)
                        total, negative = total + extra, negative + extra
                    if topic == "credit_bonds" and self.open_at - 30 * HOUR < start < self.open_at - 27 * HOUR:
                        extra = self.poisson(3.5)
                        total, negative = total + extra, negative + extra
                    add = everything.setdefault((start, kind), [0, 0])
                    add[0], add[1] = add[0] + total, add[1] + negative
                    self.bucket(sealed, rollups, self.ids[topic], kind, start, total, negative, mean, mean * share)
            start += self.width
        for (at, kind), (total, negative) in everything.items():
            unscored = total // 40
            self.bucket(sealed, rollups, 1, kind, at, total + unscored, negative, None, None, unscored)
        for i in range(0, len(sealed), 5000):
            self.add(SealedBucket, sealed[i : i + 5000])
        self.add(Rollup, rollups)
        self.add(SealingState, [{"log_id": 1, "sealed_until": self.open_at, "term": 1, "updated_at": self.now}])

    def bucket(self, sealed: list[dict[str, Any]], rollups: list[dict[str, Any]], series_id: int, kind: int,
               start: int, total: int, negative: int, mean: float | None, expected: float | None,
               unscored: int = 0) -> None:  # fmt: skip
        scored = total - unscored
        counts = {"total": total, "negative": negative, "neutral": (scored - negative) * 2 // 3,
                  "positive": scored - negative - (scored - negative) * 2 // 3, "unscored": unscored}  # fmt: skip
        if start >= self.open_at - 6 * self.width and total:
            rollups.append({"bucket": start, "series_id": series_id, "kind": kind, "log_id": 1, "partition": 0,
                            "model_id": 1, "late": 0, **counts})  # fmt: skip
        if start >= self.open_at:
            return
        spread = 2 * math.sqrt(expected + 0.3) if expected is not None else 0
        surge = expected is not None and negative > expected + 1.6 * spread and negative > 5
        sealed.append(
            {"series_id": series_id, "kind": kind, "start": start, "end": start + self.width, **counts,
             "independent": int(scored * 0.8), "independent_negative": int(negative * 0.8), "model_id": 1,
             "score": 4.4 if surge else 0.6, "alert": surge, "outage": False, "expected_total": mean,
             "expected_negative": expected,
             "band_low": None if expected is None else max(0.0, expected - spread),
             "band_high": None if expected is None else expected + spread, "term": 1}
        )  # fmt: skip

    def texts(self) -> None:
        for i in range(60):
            self.text(BAD[i % len(BAD)], "real_estate", self.now - 60_000 - i * 90_000, 0, 0.99 - i / 200, 1 + i % 2)
        for i in range(30):  # what people complained of before
            at = self.now - 26 * HOUR - i * 17 * MINUTE
            self.text(f"物业费又涨了，小区停车位也不够用（{i}）", "real_estate", at, 0, 0.7, 2)
        for i in range(120):
            topic = list(TOPICS)[i % len(TOPICS)]
            self.text(
                CALM[i % len(CALM)] + (f"（{i}）" if i % 3 else ""),
                topic,
                self.now - i * 240_000,
                1 + i % 2,
                0.1,
                1 + i % 2,
            )
        self.text(f"恒远地产 {SCRIPT} 又出事了", "real_estate", self.now - 30_000, 0, 0.999, 2, title=SCRIPT)
        self.text("Ένα κείμενο σε άλλη γλώσσα", "market", self.now - 45_000, None, None, 2, lang="el")

    def text(self, text: str, topic: str, at: int, sentiment: int | None, p: float | None, kind: int,
             title: str | None = None, lang: str = "zh") -> None:  # fmt: skip
        self.offset += 1
        row = pack_row(1, 0, 2**39 + self.offset)  # beyond what a browser's numbers hold
        scored = sentiment is not None
        self.add(Document, [{"observed_at": at, "row_id": row, "doc_key": self.offset, "text_hash": self.offset,
                             "fingerprint": fingerprint(text), "kind": kind,
                             "source_id": 1 + self.offset % len(SOURCES), "lang": lang, "scored": scored,
                             "late": self.offset % 50 == 0, "flags": 0, "text": text, "title": title,
                             "url": "https://news.example/1" if kind == 1 else "javascript:window.injected=true",
                             "unscored_reason": None if scored else f"language:{lang}", "stored_at": at,
                             "symbols": ["600519"] if "恒远" in text else None,
                             "engagement": {"reads": 1200 * self.offset, "likes": self.offset} if kind == 2 else None,
                             }])  # fmt: skip
        self.add(SearchQueue, [{"observed_at": at, "row_id": row}])
        if scored:
            rest = 1 - (p or 0)
            larger, smaller = (0.3, 0.7) if sentiment == 2 else (0.7, 0.3)
            self.add(Prediction, [{"observed_at": at, "row_id": row, "model_id": 1, "sentiment": sentiment,
                                   "p_negative": p, "p_neutral": rest * larger, "p_positive": rest * smaller,
                                   "topics": {topic: 0.9}}])  # fmt: skip
            self.add(SeriesDocument, [{"series_id": self.ids[topic], "observed_at": at, "row_id": row, "kind": kind,
                                       "sentiment": sentiment, "p_negative": p, "fingerprint": fingerprint(text),
                                       "late": False}])  # fmt: skip

    def letters(self) -> None:
        bad = ((b'{"text": "\xe6\x9c\xaa', "broken_json", "unexpected end of data"), (b"\xff\xfe", "invalid_utf8", ""),
               (SCRIPT.encode(), "broken_json", "unexpected character"))  # fmt: skip
        self.add(DeadLetter, [
            {"row_id": pack_row(1, 1, i), "record_timestamp": self.now - i * 700_000, "reason": reason,
             "detail": detail, "headers": [], "value": value, "value_length": len(value),
             "value_sha256": sha256(value).digest(), "stored_at": self.now, "replays": 0}
            for i, (value, reason, detail) in enumerate(bad)
        ])  # fmt: skip

    def machinery(self) -> None:
        self.add(Offset, [
            {"log_id": 1, "partition": p, "next_offset": 5000 + p, "progress_t": self.now - 2_000,
             "progress_writer": "monitor", "progress_term": 1, "last_observed_at": self.now - 30_000,
             "high_water": 5000 + p + (12 if p == 1 else 0), "records": 5000 + p, "documents": 4700, "repeats": 180,
             "dead_letters": 3 if p == 1 else 0, "tombstones": 2, "progress_records": 118 + p - (3 if p == 1 else 0),
             "late": 4, "updated_at": self.now}
            for p in range(3)
        ])  # fmt: skip
        self.add(Process, [
            {"id": f"{role}-{i}", "role": role, "host": "node-1", "pid": 100 + i, "started_at": self.begin,
             "seen_at": self.now + ahead, "state": "running",
             "info": {"documents_per_second": 41.5} if role == "worker" else {}}
            # Ahead of the clock, so that the living stay alive while somebody looks at the screens.
            for i, (role, ahead) in enumerate(
                [("worker", HOUR), ("worker", HOUR), ("monitor", HOUR), ("worker", -2 * HOUR)]
            )
        ])  # fmt: skip
        self.add(LeaseRow, [{"name": "leader", "holder": "monitor-2", "term": 3, "expires_at": self.now + HOUR}])
        self.add(Job, [
            {"name": "seal", "started_at": self.now - 3000, "finished_at": self.now - 2950, "ok": True,
             "message": None},
            {"name": "dead-letter-relay", "started_at": self.now - 5000, "finished_at": self.now - 4000, "ok": False,
             "message": "broker away"},
        ])  # fmt: skip

    def alerts(self) -> int:
        evidence = [
            {"row_id": str(pack_row(1, 0, 2**39 + i)), "observed_at": self.now - i * 90_000, "kind": 1 + i % 2,
             "source": SOURCES[i % len(SOURCES)], "title": None, "text": text, "p_negative": 0.98 - i / 100,
             "copies": 9 - i, "url": "https://news.example/1"}
            for i, text in enumerate((*BAD, SCRIPT))
        ]  # fmt: skip
        telling = [{"source": "股吧", "negative": 31}, {"source": "快讯社", "negative": 18}]
        common = {"type": "surge", "kinds": [1, 2], "level": None, "assignee": None, "window_seconds": 3600,
                  "arm": "volume", "detector_version": "1", "model_id": 1, "parameters": {"open": 3.6},
                  "explanation": {"expected_share": 0.28, "copies": 23, "sources": telling, "price_moves": 0.08,
                                  "terms": [{"term": "恒远地产", "texts": 31, "before": 1},
                                            {"term": "停工", "texts": 18, "before": 2}],
                                  "companies": [{"company": "恒远地产", "negative": 33},
                                                {"company": "600519", "negative": 4}]},
                  "updated_at": self.now}  # fmt: skip
        rows = [
            {**common, "fingerprint": "topic:real_estate", "series_id": self.ids["real_estate"], "state": "firing",
             "severity": "critical", "level": "major", "started_at": self.surge_from,
             "detected_at": self.surge_from + 3 * self.width, "peak_at": self.open_at - self.width, "ended_at": None,
             "last_bucket_end": self.open_at, "score": 9.3, "expected_negative": 9.4, "seen_negative": 71,
             "seen_total": 96, "evidence": evidence},
            {**common, "fingerprint": "topic:credit_bonds", "series_id": self.ids["credit_bonds"],
             "state": "acknowledged", "severity": "warning", "started_at": self.open_at - 30 * HOUR,
             "detected_at": self.open_at - 29 * HOUR, "peak_at": self.open_at - 28 * HOUR,
             "ended_at": self.open_at - 27 * HOUR, "last_bucket_end": self.open_at - 27 * HOUR, "score": 4.2,
             "expected_negative": 6.1, "seen_negative": 28, "seen_total": 40, "acknowledged_at": self.now - 26 * HOUR,
             "acknowledged_by": "admin", "evidence": []},
            {**common, "type": "system", "fingerprint": "system:silent:每日金融", "series_id": None,
             "state": "resolved",
             "severity": "info", "started_at": self.open_at - 50 * HOUR, "detected_at": self.open_at - 49 * HOUR,
             "peak_at": self.open_at - 49 * HOUR, "ended_at": self.open_at - 45 * HOUR,
             "last_bucket_end": self.open_at - 45 * HOUR, "score": 0.0, "expected_negative": 0.0, "seen_negative": 0,
             "seen_total": 0, "arm": None, "resolved_at": self.now - 44 * HOUR, "resolved_by": "admin",
             "resolution": "known", "evidence": []},
        ]  # fmt: skip
        ids = [int(self.c.execute(insert(Alert).values(**row).returning(Alert.id)).scalar_one()) for row in rows]
        self.add(AlertEvent, [
            {"alert_id": ids[0], "at": rows[0]["detected_at"], "actor": "detector", "action": "opened",
             "comment": None, "data": {"severity": "warning"}},
            {"alert_id": ids[0], "at": self.open_at - self.width, "actor": "detector", "action": "worse",
             "comment": None, "data": {"severity": "critical"}},
            {"alert_id": ids[1], "at": rows[1]["detected_at"], "actor": "detector", "action": "opened",
             "comment": None, "data": {}},
            {"alert_id": ids[1], "at": self.now - 26 * HOUR, "actor": "admin", "action": "acknowledged",
             "comment": "在核实，先盯着。", "data": {}},
        ])  # fmt: skip
        self.add(Notification, [
            {"alert_id": ids[0], "receiver": "oncall", "channel": 0, "sequence": 1, "reason": "first", "state": "sent",
             "message_id": "m1", "payload": {}, "created_at": rows[0]["detected_at"],
             "not_before": rows[0]["detected_at"], "attempts": 1, "sent_at": rows[0]["detected_at"] + 800,
             "last_error": None},
            {"alert_id": ids[0], "receiver": "mail", "channel": 0, "sequence": 1, "reason": "worse", "state": "failed",
             "message_id": "m2", "payload": {}, "created_at": self.now - 600_000, "not_before": self.now - 600_000,
             "attempts": 12, "sent_at": None, "last_error": "connection refused"},
        ])  # fmt: skip
        return ids[0]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--days", type=float, default=3)
    arguments = parser.parse_args()
    chosen = load_settings(database_url=arguments.url)
    opened = open_store(chosen, migrate=True)
    print("firing alert:", seed(opened, chosen, days=arguments.days))
