"""Every callback and every call of the API, one after the other, each many times with other things asked for."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any
from urllib.parse import urlencode

from bench.dashboard.recording import UPDATE, Recorded
from bench.dashboard.site import Answer, Clock, Parts, Person
from bench.dashboard.variations import Cases, address, call, navigated, varied

CONTENT = "_pages_content"
"""In the output of the callback that makes the pages."""
WARM_UP = 2
"""Rounds that do not count: each process of the server loads its modules and plans its statements at the first."""
_TEMPLATE = re.compile(r'"\w+":(\["MATCH"\]|\["ALL"\]|"[^"]*"|\d+)')


@dataclass
class Replayed:
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    sizes: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    wrong: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    missing: list[str] = field(default_factory=list)
    """What could not be asked for."""

    computed: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    """Seconds of computing of each answer, of the server and of the database."""

    def ask(self, clock: Clock, name: str, ask: Callable[[], Answer], fine: tuple[int, ...]) -> None:
        """Ask, and note what came of it."""
        before = clock.read()
        answer = ask()
        after = clock.read()
        self.computed[name].append((after[0] - before[0], after[1] - before[1]))
        self.seconds[name].append(answer.seconds)
        self.sizes[name].append(len(answer.body))
        if answer.status not in fine:
            self.wrong[name].append(f"{answer.status} {answer.body[:160].decode('utf-8', 'replace')}")


def replay_callbacks(
    clock: Clock, people: list[Person], parts: Parts, recorded: Recorded, cases: Cases, rounds: int, seed: int = 3
) -> Replayed:
    """All callbacks in turn, in a new order each round, so that one seldom profits from what another has just asked.
    Pages are made apart: one row for each."""
    r, found = Random(seed), Replayed()
    made = {o: p for o, p in recorded.payloads.items() if CONTENT in o}
    jobs: list[tuple[str, list[dict[str, Any]]]] = [
        (name_of(o), p) for o, p in recorded.payloads.items() if CONTENT not in o
    ]
    merged: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for name, payloads in jobs:
        merged[name] += payloads
    if made:
        payload = next(iter(made.values()))[0]
        for page in parts.pages:
            merged[f"page {page}"] = [payload]
    known = {name_of(o) for o in recorded.payloads}
    found.missing = [c for c in parts.callbacks if name_of(c) not in known]
    warm = Replayed()
    for n in range(rounds + WARM_UP):
        for name in r.sample(list(merged), len(merged)):
            person, payload = r.choice(people), r.choice(merged[name])
            if name.startswith("page "):
                _, path, search = address(r, cases, name.removeprefix("page "))
                sent = navigated(payload, path, search)
            else:
                sent = varied(payload, r, cases)
            body = json.dumps(sent).encode()
            (warm if n < WARM_UP else found).ask(clock, name, partial(person.post, UPDATE, body), (200, 204))
    return found


def name_of(output: str) -> str:
    """The same for a callback's pattern and for what a browser sends of it."""
    return re.sub(r"@\w+", "", _TEMPLATE.sub("", output)) if "{" in output else output


def replay_calls(
    clock: Clock, people: list[Person], parts: Parts, cases: Cases, rounds: int, seed: int = 4
) -> Replayed:
    """All calls of the API in turn; what is refused because an alert is not in the state for it counts, too."""
    r, found, warm = Random(seed), Replayed(), Replayed()
    for n in range(rounds + WARM_UP):
        for method, pattern in r.sample(list(parts.calls), len(parts.calls)):
            if "/export/" in pattern or "<path:rest>" in pattern:  # files of any size; what is answered by 404
                continue
            name = f"{method} {pattern}"
            asked = call(r, cases, method, pattern)
            if asked is None:
                if name not in found.missing:
                    found.missing.append(name)
                continue
            path, body = asked
            person = r.choice(people)
            to = warm if n < WARM_UP else found
            if body is None:
                to.ask(clock, name, partial(person.get, path), (200,))
            else:
                to.ask(clock, name, partial(person.post, path, body), (200, 201, 204, 404, 409))
    return found


def replay_searches(
    clock: Clock, people: list[Person], page: dict[str, Any] | None, cases: Cases, rounds: int
) -> Replayed:
    """Searches by the Documents page, as the browser asks for it."""
    r, found = Random(5), Replayed()
    if page is None:
        found.missing.append("the page's payload")
        return found
    for _ in range(rounds):
        query = {k: v for k, v in cases.documents(r, 1.0).items() if v}
        sent = navigated(page, "/documents", "?" + urlencode(query))
        body = json.dumps(sent).encode()
        found.ask(clock, "search on /documents", partial(r.choice(people).post, UPDATE, body), (200,))
    return found
