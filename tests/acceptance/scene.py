"""A stage for timelines: a stream of texts, the leader's work every minute, people, and receivers who get real HTTP.

A timeline is a text of lines ``TIME  what``. Times are Shanghai's, ``21:07`` or ``Sat 08:00``; an earlier hour than the
line above is on the next day. What may happen:

    20:00..20:30  news 20 bad in real_estate, credit_bonds: 恒远停工    so many different negative texts in each bucket
    20:00..20:30  warning on topic:macro                               a detector says so, without texts
    20:12         -> oncall: first, topic:real_estate                  this is told then
    ~21:10        -> oncall: resolved, topic:real_estate               then, give or take half an hour
    20:20         li acknowledges | resolves as false_alarm | snoozes until 23:00 | says grave | does assess
    20:20         li silences topic:* until 23:00
    20:20         the leader dies
    23:00         end

In the end all that was told must stand in the timeline, and nothing else. Beside what is written, each bucket of ten
minutes has six calm texts on real estate, a third of them negative; so had the nine days before.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml
from sqlalchemy import func, insert, select

from barometer.records import Document, Prediction, Progress, fingerprint, hash64, pack_row
from barometer.settings import Settings, load_settings
from barometer.store import leases
from barometer.store import tables as t
from barometer.store.alerts import handling, life_cycle, silences
from barometer.store.engine import Store
from barometer.store.migrate import open_store
from barometer.store.stream.batch import Batch, Move
from barometer.store.stream.writer import Writer
from barometer.vocabulary import Kind, Sentiment
from monitor.notify.config import load_config
from monitor.notify.outbox.enqueue import enqueue
from monitor.notify.outbox.reminders import repeat_due
from monitor.notify.outbox.sending import send_due
from monitor.sealing.seal import Buckets, Sealer
from testing.post_box import PostBox

ZONE = ZoneInfo("Asia/Shanghai")
MINUTE, BUCKET = 60_000, 600_000
BEGIN = datetime(2026, 11, 20, 19, 30, tzinfo=ZONE)  # a Friday
HISTORY = 9 * 144
"""Buckets of calm before, after which a detector is no longer new."""
LATE = 120_000
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
ABOUT = timedelta(minutes=30)
_LINE = re.compile(r"(?P<about>~)?(?:(?P<day>[A-Z]\w\w) )?(?P<at>\d\d:\d\d)(?:\.\.(?P<to>\d\d:\d\d))?\s+(?P<what>.+)")
_TEXTS = re.compile(r"(?P<kind>news|comment) (?P<n>\d+) bad(?: in (?P<topics>[\w, ]+))?: (?P<story>.+)")
_SAID = re.compile(r"(?P<severity>warning|critical) on (?P<series>\S+)")


def ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


class Stream:
    """Texts into the store through the worker's own writer, one partition, progress after each bucket."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self.store = store
        with store.write() as c:
            if c.execute(select(t.Log.id)).first() is None:
                c.execute(
                    insert(t.Log).values(
                        id=1, cluster_id="c", topic=settings.topic_documents, partitions=1, current=True, created_at=0
                    )
                )
            self.next = c.execute(select(func.max(t.Offset.next_offset))).scalar() or 0
        self.writer = Writer(store, Buckets(settings.bucket_seconds, settings.zone))

    def add(self, texts: list[tuple[int, Kind, str, Sentiment, tuple[str, ...]]], passed: int) -> None:
        """Texts as (time, kind, text, sentiment, topics), then a progress record."""
        documents, predictions = [], []
        for i, (at, kind, text, sentiment, topics) in enumerate(texts):
            row = pack_row(1, 0, self.next + i)
            documents.append(
                Document(row, at, kind, text, hash64("row", str(row)), hash64(text), fingerprint(text), False,
                         source="晨报" if i % 3 else "晚报")
            )  # fmt: skip
            surest = 0.9 if sentiment is Sentiment.NEGATIVE else 0.1
            predictions.append(Prediction(sentiment, surest, 0.05, 0.05, dict.fromkeys(topics, 0.9)))
        end = self.next + len(texts) + 1
        move = Move(0, self.next or None, end, end - self.next, 0, 1, Progress(pack_row(1, 0, end - 1), passed, "w", 1))
        self.writer.commit(
            Batch(1, 1, [move], documents, list(predictions), ["zh"] * len(texts), [None] * len(texts), [])
        )
        self.next = end


def calm(start: int) -> list[tuple[int, Kind, str, Sentiment, tuple[str, ...]]]:
    """What a bucket of an ordinary day has."""
    b = start // BUCKET
    mood = {True: Sentiment.NEGATIVE, False: Sentiment.NEUTRAL}
    return [
        (start + i, kind, f"楼市见闻 {b} {i} {kind}", mood[(b + i) % 3 == 0], (topic,))
        for kind in (Kind.NEWS, Kind.COMMENT)
        for topic in ("real_estate", "credit_bonds")
        for i in range(6)
    ]


def with_history(settings: Settings) -> None:
    """Fill the store of the settings with nine calm days, sealed."""
    store = open_store(settings, migrate=True)
    begin = ms(BEGIN)
    history = [begin - (HISTORY - i) * BUCKET for i in range(HISTORY)]
    stream = Stream(store, settings)
    for day in range(0, HISTORY, 144):
        texts = [x for start in history[day : day + 144] for x in calm(start)]
        stream.add(texts, history[min(day + 143, HISTORY - 1)] + BUCKET + LATE)
    lease = leases.acquire(store, leases.LEADER, "history", 600)
    assert lease is not None
    Sealer(store, settings).seal_ready(lease)
    leases.release(store, lease)
    store.close()


class Scene:
    """One store, one file of receivers, one leader at a time.

    Args:
        settings: of a store with history.
        file: the file of receivers, without ``receivers``: each name of ``receivers`` gets a webhook of its own.
    """

    def __init__(
        self, settings: Settings, box: PostBox, folder: Path, receivers: dict[str, dict[str, Any]], file: dict[str, Any]
    ) -> None:
        self.box, self.store = box, open_store(settings, migrate=True)
        rows = [
            {"name": name, "channels": [{"type": "webhook", "url": f"{box.url}/{name}"}], **more}
            for name, more in receivers.items()
        ]
        path = folder / "notify.yaml"
        path.write_text(yaml.safe_dump({"receivers": rows, **file}, allow_unicode=True), "utf-8")
        self.settings = settings.model_copy(update={"notify_file": path})
        self.config = load_config(self.settings)
        self.stream = Stream(self.store, self.settings)
        self.now = self.filled = ms(BEGIN)
        self.stories: list[tuple[int, int, Kind, int, tuple[str, ...], str]] = []
        self.told: list[tuple[datetime, str]] = []
        self._leader("leader")

    def _leader(self, name: str) -> None:
        lease = leases.acquire(self.store, leases.LEADER, name, 3600)
        assert lease is not None
        self.lease = lease
        self.sealer = Sealer(self.store, self.settings, self._changed, clock=lambda: self.now)

    def _changed(self, c: Any, change: life_cycle.AlertChange, now: int) -> None:
        enqueue(c, change, self.config, now)

    def play(self, timeline: str) -> None:
        """Act the timeline, and compare what was told with what it says."""
        expected: list[tuple[datetime, str, bool]] = []
        acts: list[tuple[datetime, str]] = []
        last = BEGIN
        for raw in filter(None, (line.partition("#")[0].strip() for line in timeline.splitlines())):
            line = _LINE.fullmatch(raw)
            assert line is not None, f"not understood: {raw}"
            at = last = self._when(line["day"], line["at"], last)
            what = line["what"]
            if what.startswith("-> "):
                expected.append((at, what, line["about"] is not None))
            elif (texts := _TEXTS.fullmatch(what)) is not None:
                end = self._when(None, line["to"] or line["at"], at)
                topics = tuple(x.strip() for x in (texts["topics"] or "real_estate").split(","))
                self.stories.append(
                    (ms(at), ms(end), Kind[texts["kind"].upper()], int(texts["n"]), topics, texts["story"])
                )
            elif (said := _SAID.fullmatch(what)) is not None:
                acts.append((at, f"detector fires {said['series']} {said['severity']}"))
                acts.append((self._when(None, line["to"] or "23:59", at), f"detector calms {said['series']} info"))
            else:
                acts.append((at, what))
        for at, what in sorted(acts, key=lambda x: x[0]):
            self._until(ms(at))
            if what != "end":
                self._act(what, at)
        told = [f"{at:%a %H:%M} {what}" for at, what in self.told]
        written = [f"{'~' if about else ''}{at:%a %H:%M} {what}" for at, what, about in expected]
        shown = "\n".join(["told:", *told, "", "expected:", *written])
        assert [what for _, what in self.told] == [what for _, what, _ in expected], shown
        for (at, _), (wanted, _, about) in zip(self.told, expected, strict=True):
            assert abs(at - wanted) <= (ABOUT if about else timedelta(0)), shown

    @staticmethod
    def _when(day: str | None, clock: str, after: datetime) -> datetime:
        hour, minute = map(int, clock.split(":"))
        at = after.replace(hour=hour, minute=minute)
        while at < after or (day is not None and WEEKDAYS[at.weekday()] != day):
            at += timedelta(days=1)
        return at

    # --- time --------------------------------------------------------------------------------------------------------

    def _until(self, end: int) -> None:
        while self.now <= end:
            self._minute()
            self.now += MINUTE
        self.now = end

    def _minute(self) -> None:
        """The stream goes on, and the leader does its rounds."""
        before = len(self.box.received)
        if self.now >= self.filled + BUCKET + LATE:
            texts = calm(self.filled)
            for begin, end, kind, n, topics, story in self.stories:
                if begin <= self.filled < end:
                    texts += [
                        (self.filled + 10 + i, kind, _told(story, self.filled, i), Sentiment.NEGATIVE, topics)
                        for i in range(n)
                    ]
            self.stream.add(sorted(texts, key=lambda x: x[0]), self.filled + BUCKET + LATE)
            self.filled += BUCKET
            self.sealer.seal_ready(self.lease)
        repeat_due(self.store, self.lease, self.config, self.now)
        send_due(self.store, self.lease, self.config, self.now)
        at = datetime.fromtimestamp(self.now / 1000, ZONE)
        self.told += sorted(
            (at, f"-> {b['receiver']}: {b['commonAnnotations']['reason']}, {b['groupLabels']['series']}")
            for b in self.box.bodies()[before:]
        )

    # --- people ------------------------------------------------------------------------------------------------------

    def _act(self, what: str, at: datetime) -> None:
        if what == "the leader dies":
            leases.release(self.store, self.lease)
            self._leader(f"leader after {at:%H:%M}")
            return
        who, verb, *rest = what.split()
        if who == "detector":
            self._finding(rest[0], rest[1], verb == "fires")
            return
        with self.store.write() as c:
            alert = c.execute(select(func.max(t.Alert.id))).scalar()
            acts: dict[str, Callable[[], object]] = {
                "acknowledges": lambda: life_cycle.acknowledge(c, alert, who, None, self.now),
                "resolves": lambda: life_cycle.resolve(c, alert, who, rest[1], None, self.now),
                "snoozes": lambda: handling.snooze(
                    c, alert, who, ms(self._when(None, rest[1], at)), "later", self.now
                ),
                "says": lambda: handling.set_level(
                    c, alert, who, rest[0], self.now, None, self.settings.level_steps
                ),
                "calls": lambda: handling.set_level(c, alert, who, rest[1], self.now),
                "does": lambda: handling.do_step(c, alert, rest[0], who, "done", self.now),
                "silences": lambda: silences.add_silence(
                    c, who, "planned", self.now, starts_at=self.now, ends_at=ms(self._when(None, rest[2], at)),
                    series=rest[0],
                ),
            }  # fmt: skip
            acts[verb]()

    def _finding(self, series: str, severity: Any, firing: bool) -> None:
        bucket = self.now // BUCKET * BUCKET
        f = life_cycle.Finding(
            "surge", series, None, 1, firing, severity, bucket - BUCKET, bucket, 4.0, 5.0, 20, 50, 600
        )  # fmt: skip
        with self.store.write() as c:
            change = life_cycle.apply_finding(c, f, self.now)
            assert change is not None
            self._changed(c, change, self.now)

    # --- what is in the store ----------------------------------------------------------------------------------------

    def alerts(self) -> list[Any]:
        with self.store.read() as c:
            return list(c.execute(select(t.Alert.__table__).order_by(t.Alert.id)))

    def events(self, action: str) -> list[Any]:
        e = t.AlertEvent
        with self.store.read() as c:
            return list(c.execute(select(e.__table__).where(e.action == action).order_by(e.id)))

    def close(self) -> None:
        self.store.close()


_PLACES = ("城东", "城西", "南站", "北湖", "高新区", "老城", "河畔", "山前", "港区", "大学城")
_PEOPLE = ("业主", "工人", "供应商", "中介", "邻居", "记者", "会计", "司机", "老师", "退休职工")


def _told(story: str, seed: int, i: int) -> str:
    """A story as one of many tells it."""
    n = seed // BUCKET * 37 + i * 7
    return f"{_PLACES[n % 10]}{_PEOPLE[n // 10 % 10]}：{story}，第{n}次讨说法"


def copy_of(template: Path, folder: Path) -> Settings:
    """Settings of a copy of a SQLite store."""
    shutil.copy(template, folder / "store.db")
    return settings_of(f"sqlite:///{folder / 'store.db'}")


def settings_of(url: str, **more: Any) -> Settings:
    # Just under an hour: sending takes some milliseconds of the test's own time.
    return load_settings(database_url=url, repeat_interval_minutes=59.9, **more)
