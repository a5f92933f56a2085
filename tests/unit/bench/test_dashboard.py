"""What the figures of ``bench.dashboard`` rest on: a stream that is the same for all who make a part of it, payloads
that ask for something else and are otherwise what a browser sent, and a slope that says how sure it is."""

from __future__ import annotations

from random import Random

import pytest

from bench.dashboard.figures import percentile, slope
from bench.dashboard.replaying import name_of
from bench.dashboard.stream import DAY, Stream
from bench.dashboard.variations import Cases, navigated, varied

T0 = 1_763_000_000_000 // 600_000 * 600_000


@pytest.fixture(scope="module")
def stream() -> Stream:
    return Stream(200_000, 10)


def test_any_part_of_the_stream_can_be_made_by_anybody(stream: Stream) -> None:
    again = Stream(200_000, 10)
    for at in (T0, T0 + 600_000, T0 - 600_000):
        said = list(stream.bucket(at))
        assert said == list(again.bucket(at))
        assert all(at <= s.at < at + 600_000 for s in said)
        assert [s.at for s in said] == sorted(s.at for s in said)
        assert all(1 < i <= len(stream.names) for s in said for i in s.series)
    rows = [s.row for i in range(12) for s in stream.bucket(T0 + i * 600_000)]
    assert len(set(rows)) == len(rows)


def test_the_stream_has_as_many_texts_as_were_asked_for(stream: Stream) -> None:
    week = sum(len(list(stream.bucket(T0 + i * 600_000))) for i in range(0, 7 * 144, 7)) * 7
    assert week == pytest.approx(200_000 * 7 / 10, rel=0.1)
    some = [s for i in range(20) for s in stream.bucket(T0 + i * 600_000)]
    assert len({s.print for s in some}) < 0.97 * len(some), "some are copies"
    assert any(s.sentiment is None for s in some)


def test_a_varied_payload_asks_for_something_else_and_is_else_the_same(stream: Stream) -> None:
    c = Cases(stream, (1, 2), (1, 2, 3), (4, 5), T0 + DAY)
    sent = {
        "output": "x.children",
        "inputs": [{"id": "tick", "property": "n_intervals", "value": 3}],
        "state": [
            {"id": "series-query", "property": "data", "value": {"name": "topic:macro", "range": None}},
            {"id": "ui", "property": "data", "value": {"lang": "zh"}},
        ],
    }
    names = set()
    for seed in range(30):
        made = varied(sent, Random(seed), c)
        names.add(made["state"][0]["value"]["name"])
        assert made["state"][1] == sent["state"][1]
        assert made["output"] == "x.children"
    assert len(names) > 10
    assert sent["state"][0]["value"]["name"] == "topic:macro"
    place = {"inputs": [{"id": "_pages_location", "property": p, "value": ""} for p in ("pathname", "search")]}
    assert [p["value"] for p in navigated(place, "/a", "?b=1")["inputs"]] == ["/a", "?b=1"]


def test_a_pattern_and_what_was_sent_of_it_have_one_name() -> None:
    pattern = '..{"name":["MATCH"],"type":"star"}.children...x.data@0123abcd..'
    assert name_of(pattern) == name_of('..{"name":"topic:macro","type":"star"}.children...x.data@ffff..')
    assert name_of("a.b") == "a.b"


def test_a_slope_says_how_sure_it_is() -> None:
    times = [i / 100 for i in range(600)]
    rise, half = slope(times, [5 + 2 * t for t in times])
    assert rise == pytest.approx(2)
    assert half == pytest.approx(0, abs=1e-9)
    r, within = Random(1), 0
    for _ in range(100):
        rise, half = slope(times, [5 + 2 * t + r.gauss(0, 1) for t in times])
        within += abs(rise - 2) <= half
    assert within >= 88
    assert percentile([3, 1, 2, 4], 50) == 2
    assert percentile([1, 2, 3, 4], 95) == 4
