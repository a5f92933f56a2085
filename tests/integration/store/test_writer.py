"""The worker's transaction, on both databases: the guard, and that what is stored depends on the log alone."""

from __future__ import annotations

import threading
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, insert, select

from barometer.buckets import Buckets
from barometer.errors import StaleWrite
from barometer.records import DeadLetter, Document, Prediction, Progress, Reason, fingerprint, hash64, pack_row
from barometer.store import tables as t
from barometer.store.engine import Store
from barometer.store.month_partitions import month_bounds
from barometer.store.stream.batch import Batch, Move
from barometer.store.stream.writer import Writer
from barometer.vocabulary import Kind, Sentiment

T0 = 1_700_000_000_000
BUCKETS = Buckets(600, ZoneInfo("Asia/Shanghai"))


def make_log(store: Store, log_id: int = 1) -> None:
    with store.write() as c:
        c.execute(insert(t.Log).values(id=log_id, cluster_id="c", topic="t", partitions=3, current=True, created_at=0))


def document(
    partition: int, offset: int, text: str, doc_id: str | None = None, at: int = 0, late: bool = False
) -> Document:
    row = pack_row(1, partition, offset)
    return Document(
        row_id=row,
        observed_at=T0 + at,
        kind=Kind.NEWS,
        text=text,
        doc_key=hash64("id", doc_id) if doc_id else hash64("row", str(row)),
        text_hash=hash64(text),
        fingerprint=fingerprint(text),
        shared_identity=doc_id is not None,
        external_id=doc_id,
        source="晨报",
        symbols=["600519"],
        extra={"x": "\ufffd"},
        late=late,
    )


def predict(d: Document) -> Prediction | None:
    if d.text.startswith("?"):
        return None
    topics = {name: 0.9 for name in ("market", "macro") if hash64(d.text, name) % 3}
    return Prediction(Sentiment(hash64(d.text) % 3), 0.2, 0.3, 0.5, topics)


def batch(moves: list[Move], documents: list[Document], letters: list[DeadLetter] | None = None) -> Batch:
    predictions = [predict(d) for d in documents]
    reasons = [None if p else "language" for p in predictions]
    return Batch(1, 1, moves, documents, predictions, ["zh"] * len(documents), reasons, letters or [])


def letter(partition: int, offset: int) -> DeadLetter:
    return DeadLetter(
        pack_row(1, partition, offset), T0, Reason.JSON, "not JSON", [("h", b"\xff")], b"k", b"{\x00", 2, b"\x01" * 32
    )


def counters(store: Store) -> dict[str, int]:
    names = ("records", "documents", "repeats", "dead_letters", "tombstones", "progress_records", "late")
    with store.read() as c:
        row = c.execute(select(*(func.sum(getattr(t.Offset, n)) for n in names))).one()
    return dict(zip(names, (int(v or 0) for v in row), strict=True))


def contents(store: Store) -> dict[str, Any]:
    """All that must not depend on who wrote when."""
    with store.read() as c:
        documents = c.execute(select(t.Document.row_id, t.Document.observed_at, t.Document.late, t.Document.lang)).all()
        rollups = c.execute(
            select(
                t.Rollup.bucket,
                t.Series.name,
                t.Rollup.kind,
                *(func.sum(x) for x in (t.Rollup.total, t.Rollup.negative, t.Rollup.unscored, t.Rollup.late)),
            )
            .join(t.Series, t.Series.id == t.Rollup.series_id)
            .group_by(t.Rollup.bucket, t.Series.name, t.Rollup.kind)
        ).all()
        members = c.execute(
            select(t.Series.name, t.SeriesDocument.row_id).join(t.Series, t.Series.id == t.SeriesDocument.series_id)
        ).all()
        predictions = c.execute(select(t.Prediction.row_id, t.Prediction.sentiment)).all()
        identities = c.execute(select(t.Identity.doc_key, t.Identity.row_id)).all()
    return {
        "documents": sorted(map(tuple, documents)),
        "rollups": sorted(tuple(r[:3]) + tuple(int(x) for x in r[3:]) for r in rollups if any(r[3:])),
        "members": sorted(map(tuple, members)),
        "predictions": sorted(map(tuple, predictions)),
        "identities": sorted(map(tuple, identities)),
    }


def wipe(store: Store) -> None:
    with store.write() as c:
        for model in (
            t.Document,
            t.Prediction,
            t.SeriesDocument,
            t.SearchQueue,
            t.Rollup,
            t.SourceRollup,
            t.Offset,
            t.Identity,
            t.DeadLetter,
        ):
            c.execute(delete(model))


def test_a_batch_is_written_whole(store: Store) -> None:
    make_log(store)
    documents = [document(0, 0, "利好"), document(0, 1, "?неизвестно"), document(0, 4, "利空", late=True)]
    progress = Progress(pack_row(1, 0, 3), T0 + 1, "leader", 3)
    move = Move(0, None, 5, 5, 0, 1, progress, T0, 9)
    done = Writer(store, BUCKETS).commit(batch([move], documents, [letter(0, 2)]))
    assert done == (3, 0, 1, 1)
    assert counters(store) == {
        "records": 5,
        "documents": 3,
        "repeats": 0,
        "dead_letters": 1,
        "tombstones": 0,
        "progress_records": 1,
        "late": 1,
    }
    with store.read() as c:
        kept = c.execute(select(t.Document).order_by(t.Document.row_id)).all()
        bad = c.execute(select(t.DeadLetter)).one()
        offset = c.execute(select(t.Offset)).one()
        every = c.execute(
            select(func.sum(t.Rollup.total), func.sum(t.Rollup.unscored), func.sum(t.Rollup.late))
            .join(t.Series, t.Series.id == t.Rollup.series_id)
            .where(t.Series.name == "all")
        ).one()
    assert [d.text for d in kept] == ["利好", "?неизвестно", "利空"]
    assert (kept[0].symbols, kept[0].extra, kept[1].unscored_reason) == (["600519"], {"x": "\ufffd"}, "language")
    assert (bad.value, bad.key, bad.headers, bad.reason) == (b"{\x00", b"k", [["h", "/w=="]], "broken_json")
    assert (offset.next_offset, offset.progress_t, offset.progress_writer, offset.high_water) == (
        5,
        T0 + 1,
        "leader",
        9,
    )
    assert tuple(map(int, every)) == (2, 1, 1)


def test_a_stale_batch_leaves_nothing(store: Store) -> None:
    make_log(store)
    writer = Writer(store, BUCKETS)
    writer.commit(batch([Move(0, None, 1, 1), Move(1, None, 1, 1)], [document(0, 0, "a"), document(1, 0, "b")]))
    before = contents(store), counters(store)
    for moves in (
        [Move(0, 0, 2, 2)],
        [Move(0, None, 1, 1)],
        [Move(0, 1, 2, 1), Move(1, 7, 8, 1)],
        [Move(2, 1, 2, 1)],
    ):
        with pytest.raises(StaleWrite):
            writer.commit(batch(moves, [document(0, 1, "c")], [letter(1, 9)]))
    assert (contents(store), counters(store)) == before


def test_a_closed_log_takes_no_more(store: Store) -> None:
    make_log(store)
    with store.write() as c:
        c.execute(t.Log.__table__.update().values(replaced_reason="gone"))
    with pytest.raises(StaleWrite, match="waits for an operator"):
        Writer(store, BUCKETS).commit(batch([Move(0, None, 1, 1)], [document(0, 0, "a")]))


def test_of_two_racing_writers_one_lands(store: Store) -> None:
    make_log(store)
    Writer(store, BUCKETS).commit(batch([Move(0, None, 1, 1)], [document(0, 0, "a")]))
    outcomes: list[str] = []
    gate = threading.Barrier(4)

    def race() -> None:
        writer = Writer(store, BUCKETS)
        gate.wait()
        try:
            writer.commit(batch([Move(0, 1, 2, 1)], [document(0, 1, "b", "id-b")]))
            outcomes.append("landed")
        except StaleWrite:
            outcomes.append("stale")

    threads = [threading.Thread(target=race) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["landed", "stale", "stale", "stale"]
    assert counters(store)["documents"] == 2


def test_partitions_that_race_for_one_identity(store: Store) -> None:
    """Many partitions at once, each with the same (id, text): one document, and it is the least row."""
    make_log(store)
    gate = threading.Barrier(3)

    def write(partition: int) -> None:
        writer = Writer(store, BUCKETS)
        gate.wait()
        documents = [document(partition, i, f"text {i}", f"id {i}", at=(i * 7 + partition * 5) % 11) for i in range(40)]
        writer.commit(batch([Move(partition, None, 40, 40)], documents))

    threads = [threading.Thread(target=write, args=(p,)) for p in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    least = {
        min(((i * 7 + p * 5) % 11, pack_row(1, p, i)) for p in range(3))[1]  # by (observed_at, row)
        for i in range(40)
    }
    assert {row for row, *_ in contents(store)["documents"]} == least
    assert (counters(store)["documents"], counters(store)["repeats"]) == (40, 80)


RECORD = st.tuples(
    st.integers(0, 2),  # partition
    st.sampled_from([None, "a", "b"]),  # given id
    st.sampled_from(["涨", "跌", "?кто", "平"]),
    st.integers(0, 1_500_000),  # ms after T0: three buckets
    st.booleans(),  # late
)


@given(
    records=st.lists(RECORD, max_size=14), shuffles=st.lists(st.randoms(use_true_random=False), min_size=2, max_size=2)
)
@hypothesis_settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_what_is_stored_depends_on_the_log_alone(store: Store, records: list[Any], shuffles: list[Any]) -> None:
    """Any interleaving of partitions and any cut into batches leaves the same documents, counts and identities."""
    if not has_log(store):
        make_log(store)
    log: dict[int, list[Document]] = {0: [], 1: [], 2: []}
    for partition, doc_id, text, at, late in records:
        log[partition].append(document(partition, len(log[partition]), text, doc_id, at, late))
    results = []
    for rng in shuffles:
        wipe(store)
        writer = Writer(store, BUCKETS)
        at = dict.fromkeys(log, 0)
        while open_partitions := [p for p in log if at[p] < len(log[p])]:
            chosen = rng.sample(open_partitions, rng.randint(1, len(open_partitions)))
            moves, documents = [], []
            for p in sorted(chosen):
                size = rng.randint(1, len(log[p]) - at[p])
                moves.append(Move(p, at[p] or None, at[p] + size, size))
                documents += log[p][at[p] : at[p] + size]
                at[p] += size
            writer.commit(batch(moves, documents))
        sums = counters(store)
        assert sums["records"] == len(records) == sums["documents"] + sums["repeats"]
        results.append(contents(store))
    assert results[0] == results[1]
    assert len(results[0]["documents"]) == len({(d.doc_key, d.text_hash) for ds in log.values() for d in ds})


def has_log(store: Store) -> bool:
    with store.read() as c:
        return c.execute(select(t.Log.id)).first() is not None


@pytest.mark.parametrize("month", [(2000, 1), (2023, 12), (2024, 2)])
def test_months_touch_without_gap(month: tuple[int, int]) -> None:
    start, end = month_bounds(month)
    year, m = month
    assert month_bounds((year + (m == 12), m % 12 + 1))[0] == end > start
