"""Which texts people get to label, what becomes of what they say, and what is measured by it; on both databases."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from sqlalchemy import delete, func, insert, select, update

from barometer.store.engine import Store
from barometer.store.labels.annotations import (
    AnnotationError,
    NewLabel,
    add_label,
    current_labels,
    label_history,
    labels_of_documents,
    recent_labels,
    undo,
)
from barometer.store.labels.quality import alert_quality, label_quality
from barometer.store.labels.queues import HELD_MS, next_text, text_of_document
from barometer.store.labels.rows import find_text
from barometer.store.labels.sampling import least_sure, random_text
from barometer.store.search.index import index_some
from barometer.store.tables import Alert, AlertEvent, Annotation, LabelText
from tests.support.corpus import Doc, lead
from tests.support.labelled import BUCKET, NOW, drawing, fill, people

TOPICS = ["real_estate", "credit_bonds"]
HOUR = 3_600_000


def texts(n: int, at: int = NOW - HOUR, word: str = "文本", **kw: object) -> list[Doc]:
    return [Doc(f"{word}{different(i + at)}", at + i, **kw) for i in range(n)]  # type: ignore[arg-type]


def different(i: int) -> str:
    """A text that is no near-copy of any other."""
    rng = Random(i)
    return "".join(chr(rng.randrange(0x4E00, 0x9FA5)) for _ in range(40))


def label(store: Store, user: int, text_id: int, sentiment: int | None, now: int = NOW, **kw: object) -> int:
    values = {"origin": "random", "topics": None, **kw}
    with store.write() as c:
        return add_label(c, NewLabel(text_id, user, sentiment=sentiment, **values), TOPICS, now)  # type: ignore[arg-type]


def following(store: Store, user: int, queue: str = "random", now: int = NOW, series: str = "all") -> int | None:
    with store.write() as c:
        found = next_text(c, drawing(store, now, seed=now % 9973 + user), user, queue, series)
    return None if found is None else int(found.id)


def test_every_different_text_is_as_likely_as_any_other(store: Store) -> None:
    """Though they come in bursts, days apart, and one of them forty times; late and unscored ones never."""
    docs = texts(12, NOW - 20 * 24 * HOUR)
    docs += texts(3, NOW - 5 * HOUR, "稀疏")
    docs += texts(9, NOW - 2 * BUCKET, "密集", topics=("real_estate",))
    docs += [Doc("转发：同一条消息传了四十遍", NOW - 3 * HOUR + i * 60_000) for i in range(40)]
    docs += [Doc("没有评分的一条", NOW - HOUR, sentiment=None)]
    fill(store, docs)
    index_some(store, lead(store), 1000)
    rng, seen = Random(5), Counter[str]()
    each = 40 if store.is_sqlite else 10  # the draws are the same on both, and slow
    with store.read() as c:
        for _ in range(25 * each):
            found = random_text(c, store, BUCKET, NOW, rng)
            assert found is not None
            seen[found.text] += 1
        only = {random_text(c, store, BUCKET, NOW, rng, "topic:real_estate").text for _ in range(60)}  # type: ignore[union-attr]
        assert random_text(c, store, BUCKET, NOW, rng, "topic:nobody") is None
    assert len(seen) == 25
    # Chi square with 24 degrees of freedom is below 51.2 with 99.9 %.
    assert sum((n - each) ** 2 / each for n in seen.values()) < 51.2
    assert only == {d.text for d in docs if "密集" in d.text}


def test_a_sample_is_without_replacement_until_nothing_is_left(store: Store) -> None:
    fill(store, texts(4))
    (user,) = people(store, "wang")
    got = []
    while (text := following(store, user)) is not None:
        label(store, user, text, 1)
        got.append(text)
    assert len(got) == len(set(got)) == 4


def test_two_people_do_not_get_one_text_at_once_and_a_second_reading_later(store: Store) -> None:
    fill(store, texts(6))
    wang, li = people(store, "wang", "li")
    first = following(store, wang)
    assert following(store, wang) == first  # reloading the page
    second = following(store, li)
    assert second != first
    assert following(store, li, now=NOW + HELD_MS + 1) == second  # one's own comes first, also later
    assert first is not None and second is not None
    for _ in range(4):
        text = following(store, wang)
        assert text is not None
        label(store, wang, text, 0)
    label(store, li, second, 1)
    fifth = following(store, wang)  # every fifth is one that somebody else has labelled
    assert fifth == second
    label(store, wang, second, 0)
    with store.read() as c:
        assert find_text(c, second).disputed  # type: ignore[union-attr]
        found = label_quality(c, NOW)
    assert (found.agreement.pairs, found.agreement.same) == (1, 0)
    (zhao,) = people(store, "zhao")
    last = following(store, zhao)
    assert last not in (first, second) and last is not None
    label(store, zhao, last, 0)
    assert following(store, zhao) == second  # nothing new is left: second readings, disputed ones first
    label(store, zhao, second, 0)
    with store.read() as c:
        assert not find_text(c, second).disputed  # type: ignore[union-attr]


def test_uncertain_texts_and_those_of_mislabelled_alerts(store: Store) -> None:
    docs = texts(30, p=0.9)
    docs[7] = Doc("模型最拿不准的一条", NOW - HOUR + 7, sentiment=0, p=0.41, topics=("real_estate",))
    docs[8] = Doc("模型也拿不准的一条", NOW - HOUR + 8, sentiment=2, p=0.5)
    keys = fill(store, docs)
    (user,) = people(store, "wang")
    with store.read() as c:
        assert [k[0] - NOW + HOUR for k in least_sure(c)[:2]] == [7, 8]
        assert least_sure(c, "topic:real_estate") == [keys[7]]
    alert_of(store, keys[3], "mislabelled")
    alert_of(store, keys[4], "old")
    got = []
    for _ in range(3):
        text = following(store, user, "active")
        assert text is not None
        got.append(text)
        label(store, user, text, 1, origin="active")
    with store.read() as c:
        rows = {r.id: r for r in c.execute(select(LabelText.__table__))}
        assert [rows[i].text for i in got] == [docs[3].text, docs[7].text, docs[8].text]
        assert [rows[i].origin for i in got] == ["alert", "active", "active"]
        assert label_quality(c, NOW).by_series == {}  # none of this measures
    assert following(store, user, "active", series="topic:credit_bonds") is None


def alert_of(store: Store, key: tuple[int, int], reason: str | None, resolution: str = "false_alarm",
             series: str = "topic:real_estate", kind: str = "surge") -> int:  # fmt: skip
    with store.write() as c:
        row = {
            "type": kind, "fingerprint": series, "series_id": None, "kinds": [1], "state": "resolved",
            "severity": "warning", "started_at": NOW, "detected_at": NOW, "peak_at": NOW, "last_bucket_end": NOW,
            "resolved_at": NOW, "resolved_by": "wang", "resolution": resolution, "score": 4.0, "parameters": {},
            "expected_negative": 1.0, "seen_negative": 9, "seen_total": 10, "window_seconds": 600, "explanation": {},
            "evidence": [{"observed_at": key[0], "row_id": str(key[1]), "text": "x"}, {"text": "gone"}],
            "updated_at": NOW,
        }  # fmt: skip
        number = int(c.execute(insert(Alert).values(**row).returning(Alert.id)).scalar_one())
        data = {"resolution": resolution, **({"reason": reason} if reason else {})}
        c.execute(insert(AlertEvent).values(alert_id=number, at=NOW, actor="wang", action="resolved", data=data))
    return number


def test_rows_stay_what_is_taken_back_is_open_again_and_nothing_counts_twice(store: Store) -> None:
    fill(store, texts(5))
    (user,) = people(store, "wang")
    a = following(store, user)
    assert a is not None
    first = label(store, user, a, 0, topics=["real_estate"], comment=" 反讽 ")
    assert label(store, user, a, 0, topics=["real_estate"], comment="反讽", now=NOW + 500) == first
    with store.write() as c:
        assert undo(c, user, NOW + 1000) == a
    with store.write() as c:
        assert undo(c, user, NOW + 1001) is None
        assert find_text(c, a).labels == 0  # type: ignore[union-attr]
    assert following(store, user) == a
    second = label(store, user, a, 2, now=NOW + 2000)
    third = label(store, user, a, 1, now=NOW + 3000)
    b = following(store, user)
    assert b is not None and b != a
    label(store, user, b, None, skip=True)
    with store.read() as c:
        said = [(r.action, r.sentiment, r.comment, r.previous_id, r.model_id, r.blind) for r in label_history(c, a)]
        recent = [(r.action, x.id) for r, x in recent_labels(c, user)]
        assert find_text(c, b).skips == 1  # type: ignore[union-attr]
    assert said == [
        ("label", 0, "反讽", None, 1, True), ("undo", None, None, first, 1, True), ("label", 2, None, None, 1, True),
        ("label", 1, None, second, 1, True),
    ]  # fmt: skip
    assert recent == [("skip", b), ("label", a)]
    # Now the answer to the first has been shown: what is said of it from here on does not measure.
    label(store, user, a, 0, now=NOW + 4000)
    with store.read() as c:
        assert [r.blind for r in label_history(c, a)][-1] is False
        assert [r.id for r in current_labels(c, [a], blind_only=True)[a]] == [third]
        assert find_text(c, a).labels == 1  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("kw", "field"),
    [
        ({"sentiment": 3}, "sentiment"), ({"sentiment": None}, "sentiment"), ({"sentiment": True}, "sentiment"),
        ({"topics": ["<script>"]}, "topics"), ({"comment": "x" * 2001}, "comment"), ({"origin": "x"}, "origin"),
        ({"skip": True}, "skip"), ({"text_id": 999}, "text"),
    ],
)  # fmt: skip
def test_what_cannot_be_said_names_its_field(tmp_path: object, settings_for: object, kw: dict, field: str) -> None:
    from barometer.store.migrate import open_store

    store = open_store(settings_for(), migrate=True)  # type: ignore[operator]
    fill(store, texts(1))
    (user,) = people(store, "wang")
    text = following(store, user)
    with store.write() as c, pytest.raises(AnnotationError) as wrong:
        add_label(
            c, NewLabel(**{"text_id": text, "user_id": user, "origin": "random", "sentiment": 0, **kw}), TOPICS, NOW
        )
    assert wrong.value.field == field
    store.close()


def test_precision_and_recall_of_a_series_count_groups_once_and_only_blind_labels(store: Store) -> None:
    """Ten of the model's negatives, ten others; people say otherwise of three and of two."""
    docs = [
        Doc(different(i), NOW - HOUR + i, sentiment=0 if i < 10 else 1, topics=("real_estate",))
        for i in range(20)
    ]  # fmt: skip
    docs.append(Doc(different(0) + "！！转", NOW - HOUR + 30, sentiment=0, topics=("real_estate",)))  # a near-copy
    keys = fill(store, docs)
    (user,) = people(store, "wang")
    with store.write() as c:
        for i, key in enumerate(keys):
            text = text_of_document(c, drawing(store), key)
            assert text is not None
            c.execute(update(LabelText).where(LabelText.id == text.id).values(origin="random", samples=["all"]))
            wrong = i in (0, 1, 2, 15, 16, 20)
            sentiment = (1 if i < 10 or i == 20 else 0) if wrong else (0 if i < 10 or i == 20 else 1)
            topics = ["real_estate"] if i % 4 else []
            add_label(c, NewLabel(text.id, user, "random", sentiment, topics), TOPICS, NOW + i)
        # Corrections elsewhere change nothing of what is measured.
        first = text_of_document(c, drawing(store), keys[3])
        assert first is not None
        add_label(c, NewLabel(first.id, user, "document", 2), TOPICS, NOW + 100_000)
    with store.read() as c:
        found = label_quality(c, NOW)
        said = labels_of_documents(c, [keys[3], keys[4], (1, 2)])
    for name in ("topic:real_estate", "all"):
        of = found.of(name)
        assert of is not None
        assert (of.texts, of.called_negative, of.are_negative, of.both) == (20, 10, 9, 7)
        assert of.precision is not None and of.recall is not None
        assert of.precision.value == 0.7 and of.recall.value == pytest.approx(7 / 9)
        # Wilson's interval of 7 of 10.
        assert (round(of.precision.low, 4), round(of.precision.high, 4)) == (0.3968, 0.8922)
    estate = found.of("topic:real_estate")
    assert estate is not None and estate.topic is not None and estate.topic.value == 15 / 20
    assert found.of("topic:credit_bonds") is None
    assert [(r.user, r.sentiment) for r in said[keys[3]]] == [("wang", 2)]
    with store.read() as c:
        assert label_quality(c, NOW + 91 * 24 * HOUR).drawn == 0


def test_texts_of_a_series_sample_do_not_stand_for_all(store: Store) -> None:
    docs = texts(3, topics=("real_estate",), sentiment=0) + texts(3, NOW - 2 * HOUR, "其他", sentiment=0)
    fill(store, docs)
    (user,) = people(store, "wang")
    for series, n in (("topic:real_estate", 2), ("all", 3)):
        for _ in range(n):
            text = following(store, user, series=series)
            assert text is not None
            label(store, user, text, 0)
    with store.read() as c:
        found = label_quality(c, NOW)
        samples = [(x.text[0], s) for x in c.execute(select(LabelText.__table__)) for s in x.samples]
    everything, estate = found.of("all"), found.of("topic:real_estate")
    drawn = Counter(sample for _, sample in samples)
    # What both samples drew is in both, and was labelled once.
    assert everything is not None and everything.texts == drawn["all"] >= 3
    assert estate is not None and drawn["topic:real_estate"] == 2
    assert estate.texts == 2 + sum(s == "all" and t == "文" for t, s in samples) - (drawn["all"] - 3)
    assert found.labelled == found.drawn == 5


def test_a_text_that_was_corrected_elsewhere_may_still_be_drawn_and_needs_a_blind_label(store: Store) -> None:
    keys = fill(store, texts(1))
    wang, li = people(store, "wang", "li")
    with store.write() as c:
        text = text_of_document(c, drawing(store), keys[0])
        assert text is not None
        add_label(c, NewLabel(text.id, wang, "document", 0), TOPICS, NOW)
        assert find_text(c, text.id).labels == 1  # type: ignore[union-attr]
    assert following(store, li) == text.id
    with store.read() as c:
        row = find_text(c, text.id)
    assert row is not None and (row.origin, row.labels) == ("random", 0)
    assert following(store, wang) is None  # has seen the answer
    label(store, li, text.id, 1)
    with store.read() as c:
        of = label_quality(c, NOW).of("all")
    assert of is not None and of.agree == 1


def test_a_text_with_two_skips_is_left_alone_and_said(store: Store) -> None:
    fill(store, texts(1))
    users = people(store, "wang", "li", "zhao")
    for user in users[:2]:
        text = following(store, user)
        assert text is not None
        label(store, user, text, None, skip=True)
    assert following(store, users[2]) is None
    with store.read() as c:
        found = label_quality(c, NOW)
    assert (found.drawn, found.labelled, found.skipped) == (1, 0, 1)


def test_how_often_alerts_were_right(store: Store) -> None:
    key = (NOW, 1)
    for resolution, reason in (("real", None), ("known", None), ("false_alarm", "old"), ("false_alarm", None),
                               ("other", None)):  # fmt: skip
        alert_of(store, key, reason, resolution)
    alert_of(store, key, None, "real", "topic:macro")
    alert_of(store, key, None, "real", "system:lag", "system")
    old = alert_of(store, key, None, "real")
    with store.write() as c:
        c.execute(update(Alert).where(Alert.id == old).values(resolved_at=NOW - 31 * 24 * HOUR))
    with store.read() as c:
        found = alert_quality(c, NOW)
    estate = found["topic:real_estate"]
    assert (estate.right, estate.wrong, estate.other) == (2, 2, 1)
    assert estate.reasons == {"old": 1, "unsaid": 1}
    assert estate.precision is not None and estate.precision.value == 0.5
    assert found["all"].right == 3 and "system:lag" not in found


def test_labels_name_people_who_exist(store: Store) -> None:
    """Annotations refer to users and texts: neither can go from under them."""
    fill(store, texts(1))
    (user,) = people(store, "wang")
    text = following(store, user)
    assert text is not None
    label(store, user, text, 0)
    with pytest.raises(Exception, match=r"(?i)foreign key"), store.write() as c:
        c.execute(delete(LabelText))
    with store.read() as c:
        assert c.execute(select(func.count()).select_from(Annotation)).scalar_one() == 1
