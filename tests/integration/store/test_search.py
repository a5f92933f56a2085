"""Search on both databases: what it finds is what reading every text would find, indexed or not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select, text
from typer.testing import CliRunner

from app.cli import app
from barometer.errors import BarometerError
from barometer.settings import settings as program_settings
from barometer.store.documents.copies import MOST_COPIES, with_copies
from barometer.store.documents.keys import Key
from barometer.store.engine import Store
from barometer.store.migrate import upgrade, upgrade_in
from barometer.store.month_partitions import month_bounds, month_of
from barometer.store.search import index as search_index
from barometer.store.search import query
from barometer.store.search.index import forget, index_some, indexed, rebuild
from barometer.store.search.query import DocumentFilter, SearchError, SearchPage, search_documents
from barometer.store.search.summary import search_totals
from barometer.store.search.terms import question
from barometer.store.tables import Document, Prediction, SearchQueue, SeriesDocument
from tests.support.corpus import MONTH, SOURCES, T0, TOPICS, Doc, lead, prepare, put


def clear(store: Store) -> None:
    with store.write() as c:
        forget(c, [(r[0], r[1]) for r in c.execute(select(Document.observed_at, Document.row_id))])
        for table in (Document, Prediction, SeriesDocument):
            c.execute(delete(table))


def ask(store: Store, wanted: DocumentFilter, limit: int = 50, **more: Any) -> SearchPage:
    with store.read() as c:
        return search_documents(c, store, wanted, limit=limit, **more)


def texts(page: SearchPage) -> list[str]:
    return [t.text for t in page.texts]


@pytest.fixture
def ready(store: Store) -> Iterator[Store]:
    prepare(store)
    yield store


DOCS = [
    Doc("恒大地产未能兑付到期债券", T0, source="财经早报", sentiment=0, p=0.95, topics=("real_estate", "credit_bonds")),
    Doc("Kelso Bank's bond default deepens", T0 + 1, lang="en", source="MarketWire", sentiment=0, p=0.6),
    Doc("澄清公告：并未违约", T0 + 2, title="恒大汽车", kind=2, source="股吧", sentiment=1, topics=("real_estate",)),
    Doc("央行下调LPR 0.25个百分点", T0 + MONTH, sentiment=2, flags=5),
    Doc("看不懂的话", T0 + MONTH + 1, sentiment=None, flags=1),
]


CASES: list[tuple[DocumentFilter, list[int]]] = [
    (DocumentFilter("恒大"), [2, 0]),
    (DocumentFilter("恒大 -澄清"), [0]),
    (DocumentFilter('"bond default"'), [1]),
    (DocumentFilter("defau*"), [1]),
    (DocumentFilter("央"), [3]),
    (DocumentFilter(), [4, 3, 2, 1, 0]),
    (DocumentFilter(from_ms=T0 + 2), [4, 3, 2]),
    (DocumentFilter("恒大", to_ms=T0 + 2), [0]),
    (DocumentFilter("恒大", from_ms=T0 + 1), [2]),
    (DocumentFilter(kind=2), [2]),
    (DocumentFilter(lang="en"), [1]),
    (DocumentFilter(source="财经早报"), [0]),
    (DocumentFilter(source="nobody"), []),
    (DocumentFilter(topic="real_estate"), [2, 0]),
    (DocumentFilter(topic="nothing"), []),
    (DocumentFilter("恒大", topic="credit_bonds"), [0]),
    (DocumentFilter(sentiment=0), [1, 0]),
    (DocumentFilter(sentiment=0, min_confidence=0.9), [0]),
    (DocumentFilter(min_confidence=0.8), [3, 2, 0]),
    (DocumentFilter(unscored=True), [4]),
    (DocumentFilter(flags=1), [4, 3]),
    (DocumentFilter(flags=5), [3]),
]


@pytest.mark.parametrize("looked_through", [query.LOOKED_THROUGH, (2, 4)])
def test_words_and_filters(ready: Store, monkeypatch: pytest.MonkeyPatch, looked_through: int) -> None:
    monkeypatch.setattr(query, "LOOKED_THROUGH", looked_through)
    put(ready, DOCS)
    for indexed_too in (False, True):
        if indexed_too:
            assert index_some(ready, lead(ready)) == len(DOCS)
            assert waiting(ready) == []
        for wanted, expected in CASES:
            assert texts(ask(ready, wanted)) == [DOCS[i].text for i in expected], (indexed_too, wanted)


def test_a_row_says_all_that_was_said_of_the_text(ready: Store) -> None:
    put(ready, DOCS)
    (found,) = ask(ready, DocumentFilter("债券")).texts
    assert (found.sentiment, found.confidence, found.model) == (0, pytest.approx(0.95), "m-1")
    assert found.p_neutral == pytest.approx(0.025)
    assert set(found.topics) == {"real_estate", "credit_bonds"}
    assert (found.source, found.kind, found.lang, found.flags) == ("财经早报", 1, "zh", 0)


def test_what_was_found_is_added_up(ready: Store) -> None:
    put(ready, DOCS)
    for wanted, expected in [*CASES[:2], (DocumentFilter(), [0, 1, 2, 3, 4]), (DocumentFilter(unscored=True), [4])]:
        with ready.read() as c:
            keys, _ = query.matching_keys(c, ready, wanted, 100)
            found = search_totals(c, keys)
            again = search_totals(c, [*keys, (T0 - 5, 17)])
        docs = [DOCS[i] for i in expected]
        assert found.sources == Counter(d.source for d in docs)
        assert found.sentiments == Counter(d.sentiment for d in docs)
        assert again == found, "what is gone is left out"


@pytest.mark.parametrize("words", ["-恒大", "!!!", " ".join("abcdefghijklmnopqrstuvw")])
def test_what_cannot_be_asked_is_refused(ready: Store, words: str) -> None:
    with pytest.raises(SearchError, match="search:"):
        ask(ready, DocumentFilter(words))


def waiting(store: Store) -> list[Key]:
    with store.read() as c:
        return [(r[0], r[1]) for r in c.execute(select(SearchQueue.observed_at, SearchQueue.row_id))]


_WORDS = ["恒大", "地产", "违约", "bond", "default", "澄清", "LPR", "跌", "，", " "]
_DOC = st.builds(
    Doc,
    text=st.lists(st.sampled_from(_WORDS), min_size=1, max_size=6).map("".join),
    # Few times, so that many texts share a millisecond and pages end inside of one.
    at=st.sampled_from([T0, T0 + 1, T0 + MONTH]),
    kind=st.sampled_from([1, 2]),
    source=st.sampled_from([None, *SOURCES]),
    sentiment=st.sampled_from([None, 0, 1, 2]),
    p=st.sampled_from([0.5, 0.9]),
    topics=st.sets(st.sampled_from(TOPICS)).map(lambda s: tuple(sorted(s))),
    flags=st.sampled_from([0, 1, 5]),
)
_WANTED = st.builds(
    DocumentFilter,
    words=st.lists(
        st.sampled_from(["恒大", "恒大地产", "地", "bond", "def*", '"恒大 bond"', "-澄清", "-跌", "lpr"]), max_size=3
    ).map(" ".join),
    from_ms=st.sampled_from([None, T0 + 1]),
    to_ms=st.sampled_from([None, T0 + 1, T0 + MONTH]),
    kind=st.sampled_from([None, None, 1]),
    source=st.sampled_from([None, None, "股吧"]),
    topic=st.sampled_from([None, None, "real_estate"]),
    sentiment=st.sampled_from([None, None, 0]),
    unscored=st.sampled_from([False, False, True]),
    min_confidence=st.sampled_from([None, None, 0.8]),
    flags=st.sampled_from([0, 0, 1]),
)


def fits(d: Doc, w: DocumentFilter) -> bool:
    """Whether a text is wanted, by reading it."""
    return (
        (d.sentiment is None if w.unscored else w.sentiment in (None, d.sentiment))
        and (not w.words or question(w.words).matches(indexed(d.title, d.text)))
        and (w.from_ms is None or d.at >= w.from_ms)
        and (w.to_ms is None or d.at < w.to_ms)
        and w.kind in (None, d.kind)
        and w.source in (None, d.source)
        and (w.topic is None or (d.sentiment is not None and w.topic in d.topics))
        and (w.min_confidence is None or (d.sentiment is not None and d.p >= w.min_confidence))
        and d.flags & w.flags == w.flags
    )


def test_search_is_reading_every_text(ready: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever part of the texts is indexed, whatever is asked, page by page of any size."""
    monkeypatch.setattr(query, "LOOKED_THROUGH", (3, 5))
    lease = lead(ready)

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.lists(_DOC, max_size=14), st.integers(0, 14), st.lists(_WANTED, min_size=3, max_size=6), st.integers(1, 5)
    )
    def check(docs: list[Doc], indexed_so_far: int, questions: list[DocumentFilter], limit: int) -> None:
        clear(ready)
        keys = put(ready, docs)
        if indexed_so_far:
            index_some(ready, lease, indexed_so_far)
        for wanted in questions:
            try:
                question(wanted.words or "a")
                expected = sorted((k for k, d in zip(keys, docs, strict=True) if fits(d, wanted)), reverse=True)
            except SearchError:
                continue
            found: list[Key] = []
            before: Key | None = None
            for _ in range(len(docs) + 1):
                page = ask(ready, wanted, limit, before=before)
                assert len(page.texts) <= limit
                found += [(t.observed_at, t.row_id) for t in page.texts]
                before = page.before
                if before is None:
                    break
            assert found == expected, wanted
            assert page.complete

    check()


def test_what_is_forgotten_is_in_no_part_of_the_index(ready: Store) -> None:
    keys = put(ready, DOCS)
    index_some(ready, lead(ready), 3)  # the newest three; two wait
    with ready.write() as c:
        forget(c, keys)
        for table in ("search_queue", "search_rows" if ready.is_sqlite else "search"):
            assert c.execute(text(f"SELECT count(*) FROM {table}")).scalar() == 0
        if ready.is_sqlite:
            c.execute(text("INSERT INTO search (search) VALUES ('optimize')"))
            assert c.execute(text("SELECT count(*) FROM search WHERE search MATCH '\"@k1\"'")).scalar() == 0


def test_copies_and_who_was_first(ready: Store) -> None:
    again = replace(DOCS[0], at=T0 + 60_000, source="股吧")
    put(ready, [again, *DOCS])
    index_some(ready, lead(ready))
    with ready.read() as c:
        found = with_copies(c, ready, search_documents(c, ready, DocumentFilter("恒大")).texts)
    assert [(t.copies, t.first_at, t.first_source) for t in found] == [
        (2, T0, "财经早报"), (1, None, None), (2, T0, "财经早报"),
    ]  # fmt: skip
    assert MOST_COPIES >= 100


def test_too_much_that_waits_is_said(ready: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    put(ready, DOCS)
    monkeypatch.setattr(query, "READ_OF_QUEUE", 3)
    page = ask(ready, DocumentFilter("恒大"))
    assert texts(page) == [DOCS[2].text]
    assert not page.complete
    assert ask(ready, DocumentFilter("恒大", from_ms=T0 + 2)).complete


def test_a_kept_database_is_indexed_after_the_upgrade(empty_store: Store) -> None:
    with empty_store.write() as c:
        upgrade_in(c, "0004")
        if not empty_store.is_sqlite:
            for table in ("documents", "predictions", "series_documents"):
                begin, end = month_bounds(month_of(T0))
                c.execute(
                    text(f"CREATE TABLE {table}_2023_11 PARTITION OF {table} FOR VALUES FROM ({begin}) TO ({end})")
                )
        c.execute(
            insert(Document).values(
                observed_at=T0, row_id=1, doc_key=1, text_hash=1, fingerprint=1, kind=1, lang="zh", scored=False,
                late=False, flags=0, text="恒大地产", stored_at=0,
            )
        )  # fmt: skip
    upgrade(empty_store)
    assert texts(ask(empty_store, DocumentFilter("地产"))) == ["恒大地产"]
    assert index_some(empty_store, lead(empty_store)) == 1
    assert waiting(empty_store) == []
    assert texts(ask(empty_store, DocumentFilter("地产"))) == ["恒大地产"]


MARKUP = Doc(
    '<p>公司<b>破产</b>清算</p><a href="https://track.example/x" class="outlink">全文</a>', T0 + 5, title="<i>快讯</i>"
)


def test_markup_is_not_searched(ready: Store) -> None:
    keys = put(ready, [MARKUP, *DOCS])
    for _ in ("waiting", "indexed"):
        assert texts(ask(ready, DocumentFilter("公司破产 全文 快讯"))) == [MARKUP.text]
        for word in ("href", "outlink", "track", "p"):
            assert texts(ask(ready, DocumentFilter(word))) == []
        index_some(ready, lead(ready))
    assert waiting(ready) == []
    with ready.write() as c:
        forget(c, keys)


def _index_with_markup(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """As earlier versions did."""
    with monkeypatch.context() as m:
        m.setattr(search_index, "indexed", lambda title, body: f"{title}\n{body}" if title else body)
        index_some(store, lead(store))


def reindex(store: Store, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the command comes to."""
    monkeypatch.setenv("BAROMETER_DATABASE_URL", store.url.render_as_string(hide_password=False))
    program_settings.cache_clear()
    try:
        return CliRunner().invoke(app, ["db", "reindex"])
    finally:
        program_settings.cache_clear()


def _is_anew(store: Store) -> None:
    """All is found, and nothing of the markup, once what waits is indexed; and can be taken out without a trace."""
    index_some(store, lead(store))
    assert waiting(store) == []
    assert texts(ask(store, DocumentFilter("href"))) == []
    assert texts(ask(store, DocumentFilter("破产"))) == [MARKUP.text]
    assert texts(ask(store, DocumentFilter("恒大"))) == [DOCS[2].text, DOCS[0].text]
    with store.write() as c:
        forget(c, [(r[0], r[1]) for r in c.execute(select(Document.observed_at, Document.row_id))])
    if store.is_sqlite:
        with store.write() as c:
            c.execute(text("INSERT INTO search (search) VALUES ('optimize')"))
            c.execute(text("INSERT INTO search (search) VALUES ('integrity-check')"))
            left = text("SELECT count(*) FROM search WHERE search MATCH :term")
            for term in ("@k1", "href", "破产"):
                assert c.execute(left, {"term": f'"{term}"'}).scalar() == 0


def test_the_index_is_built_anew_as_often_as_one_likes_and_killed_or_not(
    ready: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(ready, [MARKUP, *DOCS])
    _index_with_markup(ready, monkeypatch)
    assert texts(ask(ready, DocumentFilter("href"))) == [MARKUP.text]

    class Killed(Exception):
        pass

    with pytest.raises(Killed), ready.write() as c:
        rebuild(c)
        raise Killed
    assert waiting(ready) == []
    assert texts(ask(ready, DocumentFilter("恒大"))) == [DOCS[2].text, DOCS[0].text]
    for _ in range(2):
        done = reindex(ready, monkeypatch)
        assert done.exit_code == 0, done.output
        assert f"{len(DOCS) + 1} texts wait" in done.output
        assert texts(ask(ready, DocumentFilter("恒大"))) == [DOCS[2].text, DOCS[0].text]
        assert texts(ask(ready, DocumentFilter("href"))) == []
        index_some(ready, lead(ready), 2)
    _is_anew(ready)


def test_the_upgrade_indexes_anew(ready: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    put(ready, [MARKUP, *DOCS])
    _index_with_markup(ready, monkeypatch)
    with ready.write() as c:
        c.execute(text("UPDATE alembic_version SET version_num = '0011'"))
    upgrade(ready)
    assert len(waiting(ready)) == len(DOCS) + 1
    _is_anew(ready)


@pytest.mark.postgres
def test_the_rebuilding_gives_way_to_a_backup_that_reads(ready: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    if ready.is_sqlite:
        pytest.skip("SQLite's readers hold nobody up")
    put(ready, DOCS)
    index_some(ready, lead(ready))
    with ready.read() as c:
        assert c.execute(text("SELECT count(*) FROM search")).scalar() == len(DOCS)
        done = reindex(ready, monkeypatch)
    assert isinstance(done.exception, BarometerError)
    assert "nothing was changed" in str(done.exception)
    assert waiting(ready) == []
