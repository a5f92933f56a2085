"""The message contract, rule by rule, and that nothing makes the decoder raise."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barometer.progress import progress_record
from barometer.records import (
    MAX_LETTER_BYTES,
    MAX_TEXT,
    DeadLetter,
    Document,
    Entry,
    Flag,
    Progress,
    Reason,
    Tombstone,
    fingerprint,
    pack_row,
    unpack_row,
)
from barometer.times import parse_rfc3339
from barometer.vocabulary import Kind
from ingest.messages.decoding import Decoder
from ingest.messages.encoding import encode
from ingest.messages.limits import MAX_DEPTH, MAX_VALUE_BYTES

NOW = 1_700_000_000_000
MIN_TIME = 946_684_800_000
HOUR = 3_600_000
DECODER = Decoder(3, min_time_ms=MIN_TIME, author_salt=b"salt", now_ms=lambda: NOW)


def decode(
    value: bytes | dict[str, Any] | None, headers: Any = (), timestamp: int | None = NOW, offset: int = 9
) -> Entry:
    raw = orjson.dumps(value) if isinstance(value, dict) else value
    return DECODER.decode(2, offset, timestamp, b"key", raw, list(headers))


def good(value: bytes | dict[str, Any] | None, headers: Any = (), **kw: Any) -> Document:
    entry = decode(value, headers, **kw)
    assert isinstance(entry, Document), entry
    return entry


def dead(value: bytes | dict[str, Any] | None, headers: Any = (), **kw: Any) -> DeadLetter:
    entry = decode(value, headers, **kw)
    assert isinstance(entry, DeadLetter), entry
    return entry


def comment(**fields: Any) -> dict[str, Any]:
    return {"text": "银行排起了长队", "kind": "comment", **fields}


def test_a_full_message() -> None:
    d = good(
        {
            "text": "  某公司公告：一季度净利润下降三成。\n",
            "kind": "news",
            "title": "一季度业绩",
            "url": "https://news.example/1",
            "source": "示例财经",
            "lang": "zh-CN",
            "id": "n-1",
            "author": "记者甲",
            "published_at": "2023-11-14T22:00:00Z",
            "symbols": ["600000", "000001", "600000"],
            "engagement": {"reads": 12, "likes": 3.0, "replies": None},
            "channel": {"name": "首页", "rank": 1},
        }
    )
    assert d.text == "某公司公告：一季度净利润下降三成。"
    assert (d.kind, d.title, d.url, d.source, d.lang, d.external_id) == (
        Kind.NEWS, "一季度业绩", "https://news.example/1", "示例财经", "zh-CN", "n-1",
    )  # fmt: skip
    assert d.published_at == 1_699_999_200_000
    assert d.symbols == ["600000", "000001"]
    assert d.engagement == {"reads": 12, "likes": 3}
    assert d.extra == {"channel": {"name": "首页", "rank": 1}}
    assert d.flags == 0
    assert d.observed_at == NOW
    assert unpack_row(d.row_id) == (3, 2, 9)
    assert d.fingerprint == fingerprint(d.text)
    assert "author" not in (d.extra or {})
    assert d.author_hash is not None


def test_authors_are_salted() -> None:
    other = Decoder(3, min_time_ms=MIN_TIME, author_salt=b"pepper", now_ms=lambda: NOW)
    value = orjson.dumps(comment(author="某用户"))
    first, again = good(value), good(value, offset=10)
    salted = other.decode(2, 9, NOW, None, value, [])
    assert isinstance(salted, Document)
    assert first.author_hash == again.author_hash != salted.author_hash


# --- dead letters ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", Reason.JSON),
        (b"{", Reason.JSON),
        (b'{"text": "a", "kind": "news"', Reason.JSON),
        (b"\x00\x01\x02", Reason.JSON),
        (b'{"text": "a\x00b", "kind": "news"}', Reason.JSON),
        (b'{"text": NaN, "kind": "news"}', Reason.JSON),
        (b'{"text": "a", "kind": "news", "x": Infinity}', Reason.JSON),
        (b'{"text": "a", "kind": "news", "x": -Infinity, "y": "\\ud800"}', Reason.JSON),
        (b"[" * 100_000, Reason.JSON),
        (b'{"text": "a", "kind": "news", "x": ' + b"[" * 500 + b"]" * 500 + b"}", Reason.JSON),
        (b'{"text": "\\u0000", "kind": "news", "x": ' + b'{"a":' * 500 + b"1" + b"}" * 501, Reason.JSON),
        (b'{"text": "\\ud800", "kind": "news", "x": ' + b"[" * 500 + b"]" * 500 + b"}", Reason.JSON),
        (b'{"text": "\xff", "kind": "news"}', Reason.ENCODING),
        (b'{"text": "\xed\xa0\x80", "kind": "news"}', Reason.ENCODING),
        ('{"text": "中文", "kind": "news"}'.encode("gbk"), Reason.ENCODING),
        ('{"text": "a", "kind": "news"}'.encode("utf-16"), Reason.ENCODING),
        (b"null", Reason.TYPE),
        (b'"text"', Reason.TYPE),
        (b"12", Reason.TYPE),
        (b'[{"text": "a", "kind": "news"}]', Reason.TYPE),
        ({"text": 5, "kind": "news"}, Reason.TYPE),
        ({"text": ["a"], "kind": "news"}, Reason.TYPE),
        ({"text": True, "kind": "news"}, Reason.TYPE),
        ({"text": "a", "kind": 1}, Reason.TYPE),
        ({"text": "a", "kind": "news", "title": 5}, Reason.TYPE),
        ({"text": "a", "kind": "news", "url": ["u"]}, Reason.TYPE),
        ({"text": "a", "kind": "news", "id": 17}, Reason.TYPE),
        ({"text": "a", "kind": "news", "source": {}}, Reason.TYPE),
        ({"text": "a", "kind": "news", "author": False}, Reason.TYPE),
        ({"text": "a", "kind": "news", "lang": 0}, Reason.TYPE),
        ({"text": "a", "kind": "news", "published_at": NOW}, Reason.TYPE),
        ({"text": "a", "kind": "news", "symbols": "600000"}, Reason.TYPE),
        ({"text": "a", "kind": "news", "engagement": [1]}, Reason.TYPE),
        ({"kind": "news"}, Reason.TEXT_MISSING),
        ({"text": None, "kind": "news"}, Reason.TEXT_MISSING),
        ({"text": "", "kind": "news"}, Reason.TEXT_EMPTY),
        ({"text": " \n\u3000\t", "kind": "news"}, Reason.TEXT_EMPTY),
        ({"text": "a"}, Reason.KIND),
        ({"text": "a", "kind": None}, Reason.KIND),
        ({"text": "a", "kind": ""}, Reason.KIND),
        ({"text": "a", "kind": "News"}, Reason.KIND),
        ({"text": "a", "kind": "blog"}, Reason.KIND),
    ],
)  # fmt: skip
def test_what_cannot_be_used(value: bytes | dict[str, Any], reason: Reason) -> None:
    letter = dead(value, [("trace", b"1")])
    raw = value if isinstance(value, bytes) else orjson.dumps(value)
    assert letter.reason == reason
    assert letter.detail
    assert not letter.detail.startswith("decoder failed")
    assert letter.key == b"key"
    assert letter.headers == [("trace", b"1")]
    assert letter.value == raw[:MAX_LETTER_BYTES]
    assert letter.value_length == len(raw)
    assert letter.value_sha256 == sha256(raw).digest()
    assert letter.record_timestamp == NOW


def test_a_value_that_is_too_large_to_look_into() -> None:
    raw = b'{"kind": "news", "text": "' + b"x" * MAX_VALUE_BYTES + b'"}'
    letter = dead(raw)
    assert letter.reason == Reason.TOO_LARGE
    assert (len(letter.value), letter.value_length) == (MAX_LETTER_BYTES, len(raw))


def test_unknown_fields_that_are_too_large() -> None:
    assert dead(comment(raw="x" * (2 << 20))).reason == Reason.TOO_LARGE
    assert good(comment(raw="x" * 900_000)).extra == {"raw": "x" * 900_000}


@pytest.mark.parametrize(
    ("timestamp", "reason"),
    [
        (-1, Reason.NO_TIME),
        (None, Reason.NO_TIME),
        (-2_208_988_800_000, Reason.TIME),  # 1900
        (0, Reason.TIME),
        (MIN_TIME - 1, Reason.TIME),
        (NOW + HOUR + 1, Reason.TIME),
        (32_472_144_000_000, Reason.TIME),  # 2999
        (2**63 - 1, Reason.TIME),
        (-(2**63), Reason.TIME),
    ],
)
def test_record_times_out_of_range(timestamp: int | None, reason: Reason) -> None:
    letter = dead(comment(), timestamp=timestamp)
    assert letter.reason == reason
    assert letter.record_timestamp == (-1 if timestamp is None else timestamp)


@pytest.mark.parametrize("timestamp", [MIN_TIME, NOW, NOW + HOUR])
def test_record_times_in_range(timestamp: int) -> None:
    assert good(comment(), timestamp=timestamp).observed_at == timestamp


def test_what_a_dead_letter_says_can_be_stored() -> None:
    letter = dead(b'{"text": "a", "kind": "\\u0000\\ud800\\udfff"}', [("a\x00b", None), ("c\ud800", b"\x00")])
    assert letter.headers == [("a\ufffdb", b""), ("c\ufffd", b"\x00")]
    for text in (letter.detail, *(name for name, _ in letter.headers)):
        assert "\x00" not in text
        text.encode()
    assert len(dead({"text": "a", "kind": "k" * 100_000}).detail) <= 300


# --- what is mended --------------------------------------------------------------------------------------------------


def test_a_text_of_20_mb_is_cut() -> None:
    d = good(comment(text=" " + "跌" * 7_000_000))
    assert d.text == "跌" * MAX_TEXT
    assert d.flags == Flag.TEXT_CUT
    assert good(comment(text="跌" * MAX_TEXT + "\n")).flags == 0


def test_nul_is_replaced_everywhere() -> None:
    raw = (
        rb'{"text": "a\u0000b", "kind": "news", "source": "s\u0000", "url": "u\u0000", "title": "t\u0000",'
        rb'"id": "i\u0000", "symbols": ["6\u0000"], "engagement": {"r\u0000": 1},'
        rb'"x\u0000": ["\u0000", {"\u0000": "\u0000"}]}'
    )
    d = good(raw)
    assert (d.text, d.source, d.url, d.title, d.external_id) == ("a\ufffdb", "s\ufffd", "u\ufffd", "t\ufffd", "i\ufffd")
    assert d.symbols == ["6\ufffd"]
    assert d.extra == {"x\ufffd": ["\ufffd", {"\ufffd": "\ufffd"}]}
    assert d.flags & Flag.CHARACTERS_REPLACED


def test_an_escaped_backslash_is_no_nul() -> None:
    d = good(rb'{"text": "C:\\u0000", "kind": "news"}')
    assert d.text == "C:\\u0000"
    assert d.flags == 0


def test_lone_surrogates_are_replaced_everywhere() -> None:
    d = good(rb'{"text": "a\ud800b \ud83d\ude00", "kind": "comment", "k\udc00": ["\ud83d"], "source": "\udfff"}')
    assert (d.text, d.source) == ("a\ufffdb 😀", "\ufffd")
    assert d.extra == {"k\ufffd": ["\ufffd"]}
    assert d.flags == Flag.CHARACTERS_REPLACED


def test_a_byte_order_mark_is_skipped() -> None:
    d = good(b"\xef\xbb\xbf" + orjson.dumps(comment()))
    assert d.text == "银行排起了长队"
    assert d.flags == 0


def test_the_last_of_two_fields_with_one_name_counts() -> None:
    assert good(b'{"text": "a", "kind": "news", "text": "b"}').text == "b"


def test_html_is_text() -> None:
    html = "<script>alert('x')</script><b>涨</b> &amp; 跌"
    assert good(comment(text=html)).text == html


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2023-11-14T22:13:20Z", NOW),
        ("2023-11-15T06:13:20.500+08:00", NOW + 500),
        ("2023-11-14 22:13:20z", NOW),
        ("2023-11-14T23:13:20Z", NOW + HOUR),
        ("2000-01-01T00:00:00Z", MIN_TIME),
    ],
)
def test_published_at(value: str, expected: int) -> None:
    d = good(comment(published_at=value))
    assert (d.published_at, d.flags) == (expected, 0)


@pytest.mark.parametrize(
    "value",
    [
        "2023-11-14T22:13:20", "2023-11-14", "yesterday", "昨天 10:30", "1900-01-01T00:00:00Z", "2999-01-01T00:00:00Z",
        "2023-11-14T23:13:21Z", "1999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00",
        "2023-02-30T00:00:00Z", "2023-11-14T24:61:00Z", "1700000000000",
    ],
)  # fmt: skip
def test_published_at_that_cannot_be_used(value: str) -> None:
    d = good(comment(published_at=value))
    assert (d.published_at, d.flags) == (None, Flag.PUBLISHED_AT_DROPPED)


def test_symbols() -> None:
    d = good(comment(symbols=[f"S{i}" for i in range(5_000)]))
    assert d.symbols == [f"S{i}" for i in range(64)]
    assert d.flags == Flag.SYMBOLS_CUT
    d = good(comment(symbols=[" 600000 ", 600001, None, "", ["x"], "y" * 65]))
    assert (d.symbols, d.flags) == (["600000"], Flag.FIELD_DROPPED)


@pytest.mark.parametrize("count", ["赞", 1.5, -1, True, [1], 2**63, 10**40, 1e300])
def test_counts_that_cannot_be_used(count: Any) -> None:
    d = good(json.dumps(comment(engagement={"reads": count, "likes": 2})).encode())
    assert (d.engagement, d.flags) == ({"likes": 2}, Flag.FIELD_DROPPED)


def test_counts_as_pages_show_them() -> None:
    d = good(json.dumps(comment(engagement={"reads": "1.2万", "likes": "1,234", "replies": "12"})).encode())
    assert (d.engagement, d.flags) == ({"reads": 12_000, "likes": 1_234, "replies": 12}, 0)


def test_counts_at_the_edge() -> None:
    assert good(comment(engagement={"reads": 2**63 - 1, "收藏": 0})).engagement == {"reads": 2**63 - 1, "收藏": 0}
    d = good(comment(engagement={f"c{i}": i for i in range(100)}))
    assert len(d.engagement or {}) == 32
    assert d.flags == Flag.FIELD_DROPPED


def test_long_fields_are_cut() -> None:
    d = good(comment(kind="news", title="t" * 2_000, url="u" * 9_000, source="s" * 300, id="i" * 600))
    lengths = [len(x or "") for x in (d.title, d.url, d.source, d.external_id)]
    assert lengths == [1_000, 8_000, 200, 500]
    assert d.flags == Flag.FIELD_DROPPED


def test_lang_must_look_like_a_language() -> None:
    assert [good(comment(lang=x)).lang for x in ("zh", "en-US", "zh_Hans_CN")] == ["zh", "en-US", "zh_Hans_CN"]
    for name, code in {"中文": "zh", "简体中文": "zh", "英文": "en", "日语": "ja", "zh_CN.UTF-8": "zh"}.items():
        d = good(comment(lang=name))
        assert (d.lang, d.flags) == (code, 0)
    for wrong in ("外语", "x", "english language", "e" * 50):
        d = good(comment(lang=wrong))
        assert (d.lang, d.flags) == (None, Flag.FIELD_DROPPED)


def test_null_and_empty_optional_fields_are_absent() -> None:
    names = ("title", "url", "source", "lang", "id", "author", "published_at")
    for empty in (None, "", "  "):
        d = good(comment(symbols=None, engagement=None, **dict.fromkeys(names, empty)))
        assert (d.title, d.url, d.source, d.lang, d.external_id, d.author_hash, d.published_at) == (None,) * 7
        assert (d.symbols, d.engagement, d.extra, d.flags) == ([], None, None, 0)


def test_unknown_numbers_that_the_store_could_not_take() -> None:
    d = good(b'{"text": "a", "kind": "news", "a": 123456789012345678901234567890, "b": 18446744073709551615}')
    assert d.extra == {"a": 1.2345678901234568e29, "b": 18446744073709551615}
    d = good(b'{"text": "a", "kind": "news", "a": 1e999, "b": ' + b"9" * 6_000 + b"}")
    assert d.extra == {"a": None, "b": None}
    assert d.flags == Flag.FIELD_DROPPED


def test_depth_of_unknown_fields() -> None:
    def nested(levels: int) -> bytes:
        return b'{"text": "a", "kind": "news", "x": ' + b"[" * levels + b"]" * levels + b"}"

    assert good(nested(MAX_DEPTH)).extra
    assert dead(nested(MAX_DEPTH + 2)).reason == Reason.JSON


# --- identity --------------------------------------------------------------------------------------------------------


def test_identity_by_id() -> None:
    first, second = good(comment(id="7", text="旧")), good(comment(id="7", text="新", source="x"), offset=10)
    assert first.doc_key == second.doc_key
    assert first.text_hash != second.text_hash
    assert first.shared_identity


def test_identity_by_source_and_url_is_for_news() -> None:
    place = {"source": "示例财经", "url": "https://news.example/1"}
    news = [good(comment(kind="news", **place), offset=i) for i in (1, 2)]
    comments = [good(comment(**place), offset=i) for i in (1, 2)]
    assert news[0].doc_key == news[1].doc_key
    assert news[0].shared_identity
    assert comments[0].doc_key != comments[1].doc_key
    assert not comments[0].shared_identity
    lone = good(comment(kind="news", url="https://news.example/1"))
    assert not lone.shared_identity


def test_identity_is_of_the_whole_field() -> None:
    a, b = good(comment(id="i" * 600 + "a")), good(comment(id="i" * 600 + "b"))
    assert a.external_id == b.external_id
    assert a.doc_key != b.doc_key


def test_a_replay_has_the_identity_of_the_original_row() -> None:
    original = pack_row(3, 1, 55)
    header = [("barometer-replay-of", str(original).encode())]
    first, second = good(comment(), header, offset=100), good(comment(), header, offset=200)
    assert first.doc_key == second.doc_key != good(comment(), offset=300).doc_key
    in_place = DECODER.decode(1, 55, NOW, None, orjson.dumps(comment()), [])
    assert isinstance(in_place, Document)
    assert first.doc_key == in_place.doc_key
    assert first.shared_identity
    assert first.flags == Flag.REPLAYED
    with_id = good(comment(id="7"), header)
    assert with_id.doc_key == good(comment(id="7")).doc_key
    assert with_id.flags == Flag.REPLAYED


def test_a_replay_that_fails_again_knows_its_original() -> None:
    letter = dead(b"{", [("barometer-replay-of", b"12345")])
    assert (letter.reason, letter.replay_of) == (Reason.JSON, 12345)
    assert dead(comment(), [("barometer-replay-of", b"12345")], timestamp=0).replay_of == 12345


@pytest.mark.parametrize("content", [b"", None, b"x", b"-1", b"1.5", "１２".encode(), b"9" * 19, b"9" * 50, b"\xff"])
def test_broken_replay_headers(content: bytes | None) -> None:
    letter = dead(comment(), [("barometer-replay-of", content)])
    assert (letter.reason, letter.replay_of) == (Reason.REPLAY, None)


# --- records that are no documents -----------------------------------------------------------------------------------


def test_tombstone() -> None:
    assert decode(None) == Tombstone(pack_row(3, 2, 9))
    assert decode(None, timestamp=-1) == Tombstone(pack_row(3, 2, 9))


def test_progress() -> None:
    headers, value = progress_record(NOW, "importer", 4)
    assert decode(value, headers) == Progress(pack_row(3, 2, 9), NOW, "importer", 4)


@pytest.mark.parametrize(
    "value",
    [
        None, b"", b"{", b"[]", b"\xff", b"{}",
        b'{"t": "1", "writer": "w", "term": 1}', b'{"t": true, "writer": "w", "term": 1}',
        b'{"t": 1700000000000.5, "writer": "w", "term": 1}', b'{"t": 0, "writer": "w", "term": 1}',
        b'{"t": 32472144000000, "writer": "w", "term": 1}', b'{"t": 1700000000000, "writer": null, "term": 1}',
        b'{"t": 1700000000000, "writer": "w"}', b'{"t": 1700000000000, "writer": "w", "term": -1}',
        b'{"t": 1700000000000, "writer": "w", "term": 9223372036854775808}',
    ],
)  # fmt: skip
def test_broken_progress(value: bytes | None) -> None:
    assert dead(value, [("barometer-progress", b"1")]).reason == Reason.PROGRESS


def test_progress_is_judged_by_its_own_records_time() -> None:
    """The log alone says how far ahead t may be; a clock decides only about the record's time, as for any record."""
    hour, day = 3_600_000, 86_400_000

    def outcome(t: int, timestamp: int) -> type:
        headers, value = progress_record(t, "w", 1)
        return type(decode(value, headers, timestamp=timestamp))

    assert outcome(NOW + hour + day, NOW) is Progress
    assert outcome(NOW + hour + day + 1, NOW) is DeadLetter
    assert outcome(NOW - 5 * day, NOW - 5 * day) is Progress
    assert outcome(NOW, NOW - 5 * day) is DeadLetter, "whenever it is read"
    assert outcome(NOW + hour, NOW + hour) is Progress
    assert outcome(NOW, NOW + hour + 1) is DeadLetter, "the one place where a clock decides"
    assert outcome(NOW, -1) is DeadLetter


# --- whatever the bytes ----------------------------------------------------------------------------------------------

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(), max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
FIELDS = ("text", "kind", "title", "url", "source", "lang", "id", "author", "published_at", "symbols", "engagement")
MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(FIELDS, JSON_VALUES),
        "text": st.text(st.characters(), max_size=40),
        "kind": st.sampled_from(["news", "comment"]),
        "unknown": JSON_VALUES,
    },
)
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(["barometer-progress", "barometer-replay-of", "other", "\x00"]),
        st.none() | st.binary(max_size=30),
    ),
    max_size=2,
)
TIMES = st.sampled_from([NOW, -1, 0]) | st.integers(-(2**63), 2**63 - 1)


def storable(entry: Entry) -> None:
    """What every entry must satisfy, or the store could not take it."""
    if isinstance(entry, DeadLetter):
        assert not entry.detail.startswith("decoder failed"), entry.detail
        assert len(entry.value) <= MAX_LETTER_BYTES
        texts: list[Any] = [entry.detail, *(name for name, _ in entry.headers)]
    elif isinstance(entry, Document):
        assert 1 <= len(entry.text) <= MAX_TEXT
        assert entry.text == entry.text.strip()
        texts = [entry.text, entry.title, entry.url, entry.source, entry.lang, entry.external_id]
        texts += [entry.symbols, entry.engagement, entry.extra]
        for number in (entry.doc_key, entry.text_hash, entry.fingerprint, *(entry.engagement or {}).values()):
            assert -(2**63) <= number < 2**63
    else:
        return
    raw = orjson.dumps(texts)  # raises for lone surrogates, numbers beyond 64 bits and depth
    assert b"\\u0000" not in raw.replace(b"\\\\", b"")


@given(st.binary(max_size=200), TIMES, HEADERS)
def test_any_bytes(value: bytes, timestamp: int, headers: list[tuple[str, bytes | None]]) -> None:
    storable(decode(value, headers, timestamp=timestamp))


@given(MESSAGES, st.booleans(), HEADERS)
def test_any_json(message: dict[str, Any], ascii_only: bool, headers: list[tuple[str, bytes | None]]) -> None:
    value = json.dumps(message, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    storable(decode(value, headers))


@given(MESSAGES, st.data())
def test_mutated_json(message: dict[str, Any], data: st.DataObject) -> None:
    value = bytearray(json.dumps({"text": "a", "kind": "news", **message}).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        where = data.draw(st.integers(0, len(value) - 1))
        value[where : where + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
        if not value:
            break
    storable(decode(bytes(value)))


@given(MESSAGES)
def test_both_parsers_agree(message: dict[str, Any]) -> None:
    """A message gives the same document whether the fast parser takes it or (here, for a byte order mark) the other."""
    value = json.dumps(message).encode()
    fast, slow = decode(value), decode(b"\xef\xbb\xbf" + value)
    if isinstance(fast, Document):
        assert slow == fast
    else:
        assert type(slow) is type(fast)


# --- for producers ---------------------------------------------------------------------------------------------------


@given(st.text(st.characters(), min_size=1, max_size=60), st.integers())
def test_encode_and_decode(text: str, number: int) -> None:
    key, value = encode({"text": text, "kind": "comment", "n": number})
    assert len(key) == 16
    entry = DECODER.decode(0, 0, NOW, key, value, [])
    if isinstance(entry, Document) and not entry.flags:
        assert int(key, 16) == entry.fingerprint & 0xFFFF_FFFF_FFFF_FFFF
        assert entry.text == text.strip()


def test_encode_takes_what_is_wrong_as_it_is() -> None:
    for wrong in ({}, {"text": None}, {"text": 5}, {"text": "\ud800"}, {"n": 10**30}):
        key, value = encode(wrong)
        assert len(key) == 16
        assert json.loads(value) == wrong
    with pytest.raises(TypeError):
        encode({"text": b"bytes"})


def test_parse_rfc3339() -> None:
    assert parse_rfc3339("1970-01-01T00:00:00.123456Z") == 123
    assert parse_rfc3339("1969-12-31T23:59:59.999Z") == -1
    assert parse_rfc3339("") is None
