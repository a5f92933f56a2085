"""The demo's texts and the stream made of them: what the demo's story rests on."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from difflib import SequenceMatcher
from itertools import combinations, pairwise

import pytest

from app.demo import scenario
from app.demo.scenario import HOUR_MS, LIVE_MS, PAST_MS, ZONE, DemoText, live, load_texts, past
from barometer.errors import BarometerError
from barometer.records import fingerprint

TOPICS = {
    *("market", "company_operations", "industry", "earnings_dividend", "ma_financing_ipo", "shareholding"),
    *("management", "regulation_legal", "fraud_default", "credit_bonds", "financial_sector", "real_estate"),
    *("macro", "policy_central_bank", "politics_international", "commodities_energy", "fx_crypto"),
    *("analyst_view", "public_health", "other"),
}
MONDAY_10 = int(datetime(2025, 6, 16, 10, tzinfo=ZONE).timestamp() * 1000)


@pytest.fixture(scope="module")
def texts() -> list[DemoText]:
    return load_texts("all")


def the_past(texts: list[DemoText], seed: int = 7) -> list[scenario.Timed]:
    return list(past(texts, MONDAY_10 - PAST_MS, MONDAY_10, seed))


def the_stretch(texts: list[DemoText], seed: int = 7, bad_turn: bool = True) -> list[scenario.Timed]:
    return list(live(texts, MONDAY_10, MONDAY_10 + LIVE_MS, seed, bad_turn))


# --- the texts -------------------------------------------------------------------------------------------------------


def test_texts_are_many_and_all_different(texts: list[DemoText]) -> None:
    assert len(texts) >= 400
    assert len({fingerprint(text.text) for text in texts}) == len(texts)
    assert len(load_texts("calm")) >= 330
    assert len(load_texts("bad_turn")) >= 50
    assert len(load_texts("neutral_burst")) == 4


def test_labels_are_known(texts: list[DemoText]) -> None:
    for text in texts:
        assert set(text.topics) <= TOPICS, text
        assert len(set(text.topics)) == len(text.topics), text


def test_lang_is_what_the_text_is_written_in(texts: list[DemoText]) -> None:
    for text in texts:
        chinese = sum("\u4e00" <= c <= "\u9fff" for c in text.text)
        assert (chinese > len(text.text) / 3) == (text.lang == "zh"), text


def test_length_is_that_of_a_feed(texts: list[DemoText]) -> None:
    for text in texts:
        length, most = (len(text.text), 200) if text.lang == "zh" else (len(text.text.split()), 60)
        assert 5 <= length <= most, text


@pytest.mark.parametrize("topic", sorted(TOPICS))
def test_every_topic_has_both_languages_and_all_sentiments(topic: str) -> None:
    about = [text for text in load_texts("calm") if topic in text.topics]
    assert len(about) >= (60 if topic in ("real_estate", "financial_sector") else 10)
    assert {text.lang for text in about} == {"zh", "en"}
    assert {text.kind for text in about} == {"news", "comment"}
    assert {text.sentiment for text in about} == {"negative", "neutral", "positive"}


def test_bad_turn_is_negative_real_estate_without_near_copies() -> None:
    bad = load_texts("bad_turn")
    assert {text.sentiment for text in bad} == {"negative"}
    assert all("real_estate" in text.topics for text in bad)
    assert Counter(text.lang for text in bad)["en"] >= 15
    for one, other in combinations(bad, 2):
        matcher = SequenceMatcher(None, one.text, other.text, autojunk=False)
        if matcher.real_quick_ratio() >= 0.7 and matcher.quick_ratio() >= 0.7:
            assert matcher.ratio() < 0.7, (one.text, other.text)


def test_the_bursts_text_is_neutral_news_on_the_loud_topic() -> None:
    for text in load_texts("neutral_burst"):
        assert (text.kind, text.sentiment, text.topics) == ("news", "neutral", ("financial_sector",))


def test_unknown_part_is_refused() -> None:
    with pytest.raises(BarometerError, match="no part 'storm'"):
        load_texts("storm")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "rumour"}, "kind is 'rumour'"),
        ({"sentiment": "bad"}, "sentiment is 'bad'"),
        ({"lang": None}, "lang is None"),
        ({"topics": []}, "must not be empty"),
        ({"mood": "x"}, "unknown"),
    ],
)
def test_a_malformed_entry_is_named(change: dict[str, object], message: str) -> None:
    entry = {"text": "一条", "kind": "news", "lang": "zh", "topics": ["macro"], "sentiment": "neutral", "source": "甲"}
    assert scenario._entry("calm", "x.yaml, entry 3", entry).topics == ("macro",)
    with pytest.raises(BarometerError, match="x.yaml, entry 3.*" + message):
        scenario._entry("calm", "x.yaml, entry 3", {**entry, **change})


# --- the past --------------------------------------------------------------------------------------------------------


def test_the_past_is_long_calm_and_of_the_size_a_laptop_scores(texts: list[DemoText]) -> None:
    stream = the_past(texts)
    bad = {text.text for text in load_texts("bad_turn") + load_texts("neutral_burst")}
    assert stream[-1][0] - stream[0][0] >= 9 * 24 * HOUR_MS
    assert 3000 <= len(stream) <= 5500
    assert not bad & {message["text"] for _, message in stream}


def test_the_past_has_nights_weekends_and_a_background_of_complaints(texts: list[DemoText]) -> None:
    stream = the_past(texts)
    local = [datetime.fromtimestamp(t / 1000, ZONE) for t, _ in stream]
    hours = Counter(t.hour for t in local if t.weekday() < 5)
    assert sum(hours[h] for h in (1, 2, 3, 4)) * 5 < sum(hours[h] for h in (9, 10, 13, 14))
    days = Counter(t.date() for t in local)
    full = sorted(days)[1:-1]
    weekend = [days[d] for d in full if d.weekday() >= 5]
    working = [days[d] for d in full if d.weekday() < 5]
    assert max(weekend) < min(working)
    negative = {text.text for text in texts if text.sentiment == "negative"}
    assert 0.12 < sum(message["text"] in negative for _, message in stream) / len(stream) < 0.18


# --- the live stretch ------------------------------------------------------------------------------------------------


def test_the_turn_and_the_burst_come_when_the_story_says(texts: list[DemoText]) -> None:
    stream = the_stretch(texts)
    bad = [text.text for text in load_texts("bad_turn")]
    turn = [(t, message) for t, message in stream if message["text"] in set(bad)]
    assert [message["text"] for _, message in turn] == bad, "each once, in the story's order"
    assert turn[0][0] >= MONDAY_10 + 0.35 * LIVE_MS
    assert turn[-1][0] > MONDAY_10 + 0.95 * LIVE_MS, "it stays to the end"
    reposted = load_texts("neutral_burst")[0].text
    burst = [(t, message) for t, message in stream if message["text"] == reposted]
    assert len(burst) == 120
    assert burst[-1][0] - burst[0][0] <= 20 * 60_000
    assert turn[0][0] < burst[0][0] < turn[-1][0]
    assert len({message["source"] for _, message in burst}) > 5


def test_the_turn_ramps_up(texts: list[DemoText]) -> None:
    bad = {text.text for text in load_texts("bad_turn")}
    times = [t for t, message in the_stretch(texts) if message["text"] in bad]
    begin, end = MONDAY_10 + 0.35 * LIVE_MS, MONDAY_10 + LIVE_MS
    tenths = Counter(int((t - begin) / (end - begin) * 10) for t in times)
    assert tenths[0] < tenths[1] < min(tenths[i] for i in range(2, 10)) + 3
    assert min(tenths[i] for i in range(2, 10)) >= 4


def test_without_the_bad_turn_only_the_bad_texts_are_missing(texts: list[DemoText]) -> None:
    bad = {text.text for text in load_texts("bad_turn")}
    kept = [(t, message) for t, message in the_stretch(texts) if message["text"] not in bad]
    assert the_stretch(texts, bad_turn=False) == kept


# --- both ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [the_past, the_stretch])
def test_streams_depend_on_the_seed_alone_and_run_in_time_order(texts: list[DemoText], make) -> None:
    stream = make(texts, 7)
    assert make(texts, 7) == stream
    assert make(texts, 8) != stream
    assert all(a[0] <= b[0] for a, b in pairwise(stream))


def test_messages_are_as_the_contract_says(texts: list[DemoText]) -> None:
    stream = the_past(texts) + the_stretch(texts)
    assert stream[0][0] >= MONDAY_10 - PAST_MS
    assert stream[-1][0] < MONDAY_10 + LIVE_MS
    news = [message for _, message in stream if message["kind"] == "news"]
    assert len({(message["source"], message["url"]) for message in news}) == len(news)
    for t, message in stream:
        published = datetime.fromisoformat(message["published_at"])
        assert published.tzinfo is not None
        assert 0 <= t - published.timestamp() * 1000 < 300_000
        assert ("url" in message) == (message["kind"] == "news")
        assert "id" not in message
        assert all(isinstance(n, int) and n >= 0 for n in message.get("engagement", {}).values())
    assert any("symbols" in message for _, message in stream)
    assert any("engagement" in message for _, message in stream)


def test_missing_parts_and_empty_spans_are_refused(texts: list[DemoText]) -> None:
    with pytest.raises(ValueError, match="bad_turn"):
        live(load_texts("calm") + load_texts("neutral_burst"), MONDAY_10, MONDAY_10 + LIVE_MS, 1)
    with pytest.raises(ValueError, match="empty"):
        past(texts, MONDAY_10, MONDAY_10, 1)
