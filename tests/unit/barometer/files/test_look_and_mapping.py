"""What is said of a file before anything is done, what is refused, and what becomes of values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barometer.errors import BarometerError
from barometer.files import BadRow, FileRow, Source
from barometer.files.mapping import Columns, Mapper, names_of
from barometer.files.preview import previewed_rows
from barometer.files.tally import Tally

ZONE = ZoneInfo("Asia/Shanghai")


def looked(path: Path, text: str, columns: Columns | None = None, kind: bool = True) -> tuple[list[str], int]:
    """What is said, and how many rows come."""
    path.write_text(text, "utf-8")
    said: list[str] = []
    n = sum(1 for _ in previewed_rows(Source(str(path)), Mapper(columns or Columns()), said.append, kind=kind))
    return [x.replace(str(path), path.name) for x in said], n


def fields(
    values: dict[str, Any], columns: Columns | None = None, tabular: bool = False
) -> tuple[dict[str, Any], Tally]:
    mapper = Mapper(columns or Columns(zone=ZONE))
    return mapper.fields(FileRow("f", 7, values, tabular)), mapper.tally


# --- the look --------------------------------------------------------------------------------------------------------


def test_it_says_what_is_taken_for_what(tmp_path: Path) -> None:
    columns = Columns({"text": "正文", "engagement.likes": "赞"}, {"kind": "comment"}, "日期+时间", ZONE)
    said, n = looked(tmp_path / "a.csv", "正文;赞;日期;时间;昵称\n取不出钱;1.2万;2023-04-07;08:05;甲\n", columns)
    assert n == 1
    assert said == [
        "a.csv: CSV, delimiter ;, UTF-8: text = 正文; kind = comment (--set); engagement.likes = 赞; "
        "time = 日期+时间, the first 2023-04-07 08:05:00+08:00; as they are: 昵称"
    ]


@pytest.mark.parametrize(
    ("text", "columns", "error"),
    [
        ("title,body\na,b\n", Columns(), r"has no text; .*--map text=COLUMN; there are: title, body"),
        ("text,n\n,1\n ,2\nnan,3\n", Columns(), r"none of the first 3 rows has a text"),
        ("text,n\na,1\n", Columns(), r"has no kind; .*--set kind=news"),
        ("text,kind\na,微博\nb,转发\n", Columns(), r"has a kind; kind is '微博', '转发'; "),
        ("a^text\n1^x\n", Columns(), r"one column 'a\^text': is something else the delimiter\?"),
        ("text,n\na\nb\n", Columns(), r"a\.csv:2: 1 cells, but the header has 2\nNone of the first 2 rows"),
        ("text,kind\na,news\n", Columns({"title": "x"}), r"no column 'x' \(--map\); there are: text, kind"),
    ],
)
def test_tables_of_which_nothing_can_be_meant(tmp_path: Path, text: str, columns: Columns, error: str) -> None:
    with pytest.raises(BarometerError, match=error):
        looked(tmp_path / "a.csv", text, columns)


def test_nested_json(tmp_path: Path) -> None:
    row = {"_id": "x", "_source": {"body": "债券违约", "at": "2023-04-07T08:05:00+08:00", "by": [{"name": "某报"}]}}
    line = json.dumps(row, ensure_ascii=False) + "\n"
    with pytest.raises(BarometerError, match=r"no field 'body' \(--map text=body\); there are: _id, _source.body"):
        looked(tmp_path / "a.jsonl", line, Columns({"text": "body"}), kind=False)
    rename = {"text": "_source.body", "source": "_source.by.0.name", "title": "_source.none"}
    said, n = looked(tmp_path / "a.jsonl", line, Columns(rename, time_column="_source.at", zone=ZONE), kind=False)
    assert n == 1
    assert "text = _source.body" in said[0]
    assert said[1] == "note: a.jsonl: no row so far has '_source.none' (--map)"
    assert fields(row, Columns(rename))[0] == {
        "_id": "x",
        "_source": {"at": "2023-04-07T08:05:00+08:00", "by": [{"name": "某报"}]},
        "text": "债券违约",
        "source": "某报",
    }
    assert row["_source"]["body"] == "债券违约"  # type: ignore[index]  # the row itself stays as it was


def test_rows_inside_an_answer_of_a_service(tmp_path: Path) -> None:
    answer = {"code": 0, "data": {"page": 1, "list": [{"text": "a"}]}}
    with pytest.raises(BarometerError, match=r"the rows seem to be in 'data\.list': give that array alone"):
        looked(tmp_path / "a.json", json.dumps(answer, indent=1))


def test_days_beside_times_of_day_are_noticed(tmp_path: Path) -> None:
    columns = Columns(time_column="发布日期", zone=ZONE)
    said, _ = looked(tmp_path / "a.csv", "text,发布日期,发布时间\na,2023-04-07,08:05:00\n", columns, kind=False)
    assert any("--time-column 发布日期+发布时间" in line for line in said)


def test_what_a_file_holds_does_nothing_to_a_terminal(tmp_path: Path) -> None:
    said, _ = looked(tmp_path / "a.jsonl", json.dumps({"text": "a", "\x1b[31mred": 1}) + "\n", kind=False)
    assert "\x1b" not in "".join(said)
    with pytest.raises(BarometerError) as e:
        looked(tmp_path / "b.jsonl", json.dumps({"\x1b[31mred": 1}) + "\n")
    assert "\x1b" not in str(e.value)


def test_an_id_that_many_texts_share_is_noticed(tmp_path: Path) -> None:
    text = "user,text,kind\nu1,a,news\nu1,b,news\nu2,c,news\nu2,c,news\n"
    said, n = looked(tmp_path / "a.csv", text, Columns({"id": "user"}))
    assert n == 4
    assert "of 4 rows 2 different texts share an id with another (such as 'u1')" in said[1]


def test_rows_after_the_sample_come_too(tmp_path: Path) -> None:
    said, n = looked(tmp_path / "a.jsonl", '{"text": "a", "kind": "news"}\n' * 1_000)
    assert (len(said), n) == (1, 1_000)


# --- values ----------------------------------------------------------------------------------------------------------


def test_times_are_joined_of_two_columns() -> None:
    mapper = Mapper(Columns(time_column="d+t", zone=ZONE))

    def at(day: Any, clock: Any) -> int:
        return mapper.time(FileRow("f", 1, {"d": day, "t": clock}, True))

    assert {at("2023-04-07", "08:05:00"), at("2023-04-07 00:00:00", "08:05"), at(20230407, "080500")} == {1680825900000}
    for day, clock in (("2023-04-07", ""), ("2023-04-07", None), ("", "08:05")):
        with pytest.raises(BadRow, match=r"f:1: d\+t is no time: ''; it is empty"):
            at(day, clock)
    with pytest.raises(BarometerError, match=r"no column 'd\+t' \(--time-column\); there are: d"):
        mapper.time(FileRow("f", 1, {"d": "2023-04-07"}, True))


@pytest.mark.parametrize(
    "value", [1680825900, 1680825900000, "1680825900", "2023/4/7 8:05", "Fri Apr 07 08:05:00 +0800 2023"]
)
def test_published_at_is_written_as_the_message_wants_it(value: Any) -> None:
    assert fields({"published_at": value})[0] == {"published_at": "2023-04-07T08:05:00+08:00"}


@pytest.mark.parametrize("value", [12, "5分钟前", 1e30])
def test_a_published_at_that_cannot_be_read_never_costs_the_text(value: Any) -> None:
    """It is sent as a string, which the worker drops; a number would make a dead letter of the text."""
    found, tally = fields({"text": "a", "published_at": value})
    assert found["published_at"] == str(value)
    assert any(line.startswith("published_at: 1 value dropped") for line in tally.lines())


def test_counts_are_read_and_what_is_none_is_counted() -> None:
    found, tally = fields({"text": "a", "engagement": {"likes": "1.2万", "reads": None}, "engagement.replies": "沙发"})
    assert found["engagement"] == {"likes": 12_000, "reads": None, "replies": "沙发"}
    assert list(tally.lines(kind=False)) == ["engagement.replies: 1 value dropped (no count): '沙发'"]


@pytest.mark.parametrize("value", ["7.35213E+18", "7.4e18", 7.35213e18, "7352131234567890000", "735213123456789000.0"])
def test_rounded_ids_are_left_out(value: Any) -> None:
    found, tally = fields({"text": "a", "id": value}, tabular=True)
    assert found == {"text": "a"}
    assert any("rounded by a spreadsheet" in line for line in tally.lines())


def test_numbers_are_texts_where_a_text_is_wanted() -> None:
    found, _ = fields({"text": 600519, "id": 7352131234567890123, "source": 3.0, "symbols": 600519, "author": 5})
    assert found == {"text": "600519", "id": "7352131234567890123", "source": "3", "symbols": ["600519"], "author": "5"}
    assert fields({"symbols": "600519、000001 300750;1"})[0] == {"symbols": ["600519", "000001", "300750", "1"]}


def test_kinds_and_nothing() -> None:
    assert [fields({"kind": k})[0]["kind"] for k in ("News", " COMMENT ", "新闻", "评论", "微博")] == [
        "news", "comment", "news", "comment", "微博",
    ]  # fmt: skip
    nothing = {"text": "nan", "title": "NULL", "url": " ", "source": "None", "lang": "#N/A", "id": "\\N"}
    assert fields(nothing, tabular=True)[0] == {"text": ""}
    assert fields({"text": "a", "n": float("nan"), "title": "None"})[0] == {"text": "a", "n": None, "title": "None"}


def test_the_tally_says_how_many_and_why() -> None:
    mapper = Mapper(Columns())
    for row in ({"text": "a", "kind": "news"}, {"kind": "news"}, {"text": "b", "source": {"x": 1}}):
        mapper.fields(FileRow("f", 1, row, False))
    assert list(mapper.tally.lines()) == [
        "1 of 3 rows has no text", "1 of 3 rows has no kind (news or comment)",
        "in 1 row source is an object, must be a string",
    ]  # fmt: skip
    mapper.tally.check("f")
    with pytest.raises(BarometerError, match="f: holds no rows"):
        Tally().check("f")
    for row, what in (({"kind": "news"}, "a text"), ({"text": "a"}, "a kind")):
        mapper = Mapper(Columns())
        mapper.fields(FileRow("f", 1, row, False))
        with pytest.raises(BarometerError, match=f"f: none of 1 row has {what}"):
            mapper.tally.check("f")


def test_names_of_nested_fields() -> None:
    assert names_of(FileRow("f", 1, {"a": {"b": {"c": 1}, "d": []}, "e": {}}, False)) == ["a.b.c", "a.d", "e"]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda x: st.lists(x) | st.dictionaries(st.text(max_size=3), x),
    max_leaves=5,
)
NAMES = st.sampled_from(
    ["text", "kind", "id", "symbols", "engagement", "engagement.likes", "published_at", "title", "x"]
)


@given(st.dictionaries(NAMES, VALUES), st.booleans())
def test_any_values_become_fields(values: dict[str, Any], tabular: bool) -> None:
    found, tally = fields(values, tabular=tabular)
    assert tally.rows == 1
    assert not isinstance(found.get("text"), int | float) or isinstance(found["text"], bool)
    assert not isinstance(found.get("published_at"), int | float) or isinstance(found["published_at"], bool)
