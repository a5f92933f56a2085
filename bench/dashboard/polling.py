"""Fifty people with a page open each, whose clocks ask every few seconds; and what that does to the server's memory."""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from copy import deepcopy
from random import Random
from typing import Any

from bench.dashboard.recording import TICK_S, UPDATE
from bench.dashboard.site import Person, Site

_PATIENCE = 60.0


class Poller(threading.Thread):
    """One person in front of one page. As a browser does, it sends back what the answers put into the page."""

    def __init__(self, site: Site, name: str, payloads: list[dict[str, Any]], until: float, seed: int) -> None:
        super().__init__(daemon=True)
        self.person = Person(site, name)
        self.payloads = deepcopy(payloads)
        self.until, self.random = until, Random(seed)
        self.seconds: dict[str, list[tuple[float, float]]] = defaultdict(list)
        """By output: (when, how long)."""
        self.wrong: list[str] = []

    def run(self) -> None:
        n = 0
        next_tick = time.monotonic() + self.random.random() * TICK_S
        while next_tick < self.until:
            time.sleep(max(0.0, next_tick - time.monotonic()))
            n += 1
            for payload in self.payloads:
                for part in payload["inputs"]:
                    if part.get("id") == "tick":
                        part["value"] = n
                try:
                    answer = self.person.post(UPDATE, json.dumps(payload).encode())
                except OSError as e:
                    self.wrong.append(f"{payload['output'][:60]}: {e!r}")
                    continue
                self.seconds[payload["output"]].append((time.monotonic(), answer.seconds))
                if answer.status == 200:
                    self._take(answer.json().get("response") or {})
                elif answer.status != 204:
                    self.wrong.append(f"{payload['output'][:60]}: {answer.status}")
            # A browser's clock does not wait for answers, but sends nothing twice while one is out.
            next_tick += TICK_S
            while next_tick < time.monotonic():
                next_tick += TICK_S

    def _take(self, response: dict[str, Any]) -> None:
        for payload in self.payloads:
            for part in (*payload["inputs"], *payload.get("state", [])):
                if isinstance(part, dict) and isinstance(part.get("id"), str) and part["id"] != "tick":
                    new = response.get(part["id"], {})
                    if part["property"] in new and part["id"].endswith(("-version", "-zoom", "-point")):
                        part["value"] = new[part["property"]]


class Polling:
    """What came of it."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.memory: list[tuple[float, dict[int, float]]] = []
        """(seconds since the begin, MB of each process)."""
        self.wrong: list[str] = []
        self.duration = 0.0


def poll(site: Site, plan: list[tuple[str, list[dict[str, Any]]]], seconds: float, warm_up: float = 20.0) -> Polling:
    """Let people poll for some time; what the first ``warm_up`` seconds took is left out.

    Args:
        plan: of each person, the name and what the page's clock sends.
    """
    begin = time.monotonic()
    people = [Poller(site, name, sends, begin + 10 + seconds, i) for i, (name, sends) in enumerate(plan)]
    begin = time.monotonic()
    for p in people:
        p.until = begin + seconds
        p.start()
    found = Polling()
    while time.monotonic() < begin + seconds:
        found.memory.append((time.monotonic() - begin, site.memory()))
        time.sleep(2)
    for p in people:
        p.join(_PATIENCE)
    found.duration = time.monotonic() - begin
    for p in people:
        found.wrong += p.wrong
        for output, times in p.seconds.items():
            found.seconds[output] += [took for at, took in times if at - begin > warm_up]
    return found
