"""The benches' own arithmetic: a bench that counts wrongly says that all is well."""

from __future__ import annotations

import os
import random
import socket
from collections import Counter

from bench.kills.live import Delays, aligned, booked
from bench.kills.outages import LINES, Outage, course
from bench.kills.relays import owner
from bench.rebalances.__main__ import courses, spread
from bench.rebalances.causes import OPENERS, TURNS

SENT = [b"a", b"b", b"c", b"d", b"e", b"f"]
TIMES = [10, 20, 30, 40, 50, 60]


def test_a_log_that_holds_what_was_sent() -> None:
    assert aligned(SENT, SENT, TIMES) == (TIMES, [], [])


def test_records_that_are_lost_are_named() -> None:
    times, lost, twice = aligned([b"a", b"d", b"e"], SENT, TIMES)
    assert times == [10, 40, 50]
    assert lost == [(1, 20), (2, 30), (5, 60)]
    assert twice == []


def test_a_batch_that_is_there_twice_is_named() -> None:
    times, lost, twice = aligned([b"a", b"b", b"c", b"b", b"c", b"d", b"e", b"f"], SENT, TIMES)
    assert times == [10, 20, 30, None, None, 40, 50, 60]
    assert lost == []
    assert [offset for offset, _ in twice] == [3, 4]


def test_a_share_is_the_least_delay_that_it_does_not_pass() -> None:
    delays = Delays(to_row=[float(x) for x in range(1, 201)])
    assert (delays.share(0.5), delays.share(0.99), delays.share(1.0)) == (100.0, 198.0, 200.0)
    assert spread([float(x) for x in range(1, 101)]) == (50.5, 95.0, 100.0)


def test_every_line_has_its_turn() -> None:
    todo = course(LINES, 300, random.Random(1))
    assert sum(x.struck for x in todo) >= 300
    counts = Counter(todo)
    assert set(counts) == set(LINES)
    assert max(counts.values()) - min(counts.values()) <= 1


def test_rebalances_are_shared_among_causes() -> None:
    cells = [(cause, busy) for cause in (*OPENERS, *TURNS) for busy in (True, False)]
    todo = courses(cells, 300, random.Random(1))
    counts = Counter((cause, c.busy) for c in todo for cause in ([c.opener] if c.opener else []) + list(c.turns))
    assert sum(counts.values()) == 300
    assert set(counts) == set(cells)
    assert max(counts.values()) - min(counts.values()) <= 1


def test_whose_a_connection_is() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        to = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", to)) as s:
            port = s.getsockname()[1]
            assert owner(port, to, {2: os.getpid()}) == 2
            assert owner(port, to, {2: os.getppid()}) is None


def test_a_text_counts_to_the_outage_that_it_waited_through() -> None:
    killed = next(x for x in LINES if x.what == "killed")
    frozen = next(x for x in LINES if x.what == "frozen")
    away = next(x for x in LINES if not x.quorum)
    outages = [Outage(killed, 10_000, 14_000), Outage(frozen, 20_000, 24_000), Outage(away, 30_000, 40_000)]
    rows = [(15_000, 9_000), (15_000, 14_500), (29_000, 28_000), (45_000, 28_500), (45_000, 35_000), (46_000, 45_900)]
    found = {line: d.to_row for line, d in booked([rows], outages).items()}
    assert found[killed] == [6.0, 0.5]
    assert found[frozen] == [1.0, 1.5], "until the quorum was lost"
    assert found[away] == [16.5, 10.0, 0.1], "what is sent before and stored after the quorum was lost, too"
    still = booked([[(16_000, 15_900), (29_500, 29_400), (45_000, 21_000), (46_000, 45_900)]], outages)
    assert still[frozen].to_row == [0.1, 9.0]
    assert still[away].to_row == [24.0, 0.1]
