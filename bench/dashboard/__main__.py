"""How fast the dashboard is with a large store: callbacks, calls, pages, fifty people at once, memory.

    python -m bench.dashboard --keep FOLDER                          # PostgreSQL, 5 million documents
    python -m bench.dashboard --keep FOLDER --database sqlite        # 500,000
    python -m bench.dashboard --keep FOLDER --quick                  # 20,000 documents of three days, a few minutes

Fills a store with 90 days of 200 series: texts, copies, counts of all buckets, alerts in all states, the search index.
It stays in the folder; a second run brings it up to the present. Then the server is started as ``barometer dashboard``
does, somebody walks through all pages in headless Chromium, and what the browser sent is asked for again and again
with other series, ranges, filters, alerts and words: every callback that the application has and every call of its
API. What no browser sent is named. Meanwhile the stream goes on, as with a worker and a leader beside.

Exits with 1 where a limit is missed.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import psycopg

from barometer.settings import Settings, load_settings
from barometer.store import leases
from barometer.store.migrate import open_store
from barometer.store.search.index import index_waiting
from bench.dashboard.cases import reopen
from bench.dashboard.figures import HEAD, line, percentile, slope
from bench.dashboard.filling import USERS, Filler, Kept, catch_up, cores, fill, url_of
from bench.dashboard.opening import open_pages
from bench.dashboard.polling import poll
from bench.dashboard.recording import Recorded, browser, walk
from bench.dashboard.replaying import CONTENT, Replayed, replay_callbacks, replay_calls, replay_searches
from bench.dashboard.site import Clock, Parts, Person, Site, parts, served
from bench.dashboard.stream import Stream
from bench.dashboard.variations import Cases, cases
from bench.databases import postgres_server

CALLBACK_MS, SEARCH_MS, POLLING_MS, PAGE_S = 300, 1_000, 600, 2.0
PEOPLE = 6
STAGES = ("callbacks", "calls", "search", "pages", "polling")


@contextlib.contextmanager
def database(args: argparse.Namespace) -> Iterator[str]:
    """The URL of the kept database; made where there is none yet."""
    args.keep.mkdir(parents=True, exist_ok=True)
    if args.database == "sqlite":
        yield url_of(args.keep)
        return
    with postgres_server(args.keep / "server") as server:
        with psycopg.connect(server, autocommit=True) as c:
            if not c.execute("SELECT 1 FROM pg_database WHERE datname = 'bench'").fetchone():
                c.execute("CREATE DATABASE bench")
        yield server.rsplit("/", 1)[0] + "/bench"


def postmaster_of(args: argparse.Namespace) -> int | None:
    """Process id of the database's server."""
    file = args.keep / "server" / "data" / "postmaster.pid"
    return int(file.read_text().split()[0]) if args.database == "postgresql" else None


@contextlib.contextmanager
def going_on(settings: Settings, kept: Kept) -> Iterator[None]:
    """The stream goes on while the block runs: worker and leader, as far as the store sees of them."""
    done = threading.Event()

    def live() -> None:
        store = open_store(settings)
        v = kept.values
        filler = Filler(
            store, Stream(v["documents"], v["days"], settings.bucket_ms), v["since"], v["changed"], bulk=False
        )
        while not done.wait(5.0):
            catch_up(store, settings, kept, filler)
            lease = leases.acquire(store, leases.LEADER, "bench", 86_400)
            assert lease is not None
            index_waiting(store, lease, 5.0)
        store.close()

    thread = threading.Thread(target=live, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(60)


def show(title: str, found: Replayed, limit_ms: float) -> bool:
    """Print a table; whether all of it is within the limit."""
    print(f"\n{title}; mean size; computing time of server and database: means, 95th percentile of both together")
    print(f"{HEAD} {'kB':>8} {'web ms':>7} {'db ms':>7} {'p95':>7}")
    fine = True
    for name, seconds in sorted(found.seconds.items(), key=lambda item: -percentile(item[1], 95)):
        kb = sum(found.sizes[name]) / len(found.sizes[name]) / 1024
        computed = found.computed[name]
        web, base = (1_000 * sum(x[i] for x in computed) / len(computed) for i in (0, 1))
        both = 1_000 * percentile([a + b for a, b in computed], 95)
        limit = SEARCH_MS if name.startswith("GET /api/") and name.endswith("/documents") else limit_ms
        print(line(short(name), seconds, limit, f"  {kb:7.1f} {web:7.1f} {base:7.1f} {both:7.1f}"))
        fine &= percentile(seconds, 95) * 1_000 <= limit
    for name, wrong in found.wrong.items():
        print(f"  WRONG {short(name)}: {len(wrong)} of {len(found.seconds[name])}, {wrong[0]}")
        fine = False
    for name in found.missing:
        print(f"  NOT ASKED {short(name)}")
    sys.stdout.flush()
    return fine


def short(output: str) -> str:
    """A callback's outputs, as many as fit."""
    return output.strip(".").replace("...", " ").replace(".children", "").replace(".data", "")


def measure(args: argparse.Namespace, settings: Settings, postmaster: int | None) -> bool:
    kept, fine, asked = Kept(args.keep), True, set(args.only or STAGES)

    def look() -> Cases:
        with contextlib.closing(open_store(settings)) as store:
            return cases(store, Stream(kept.values["documents"], kept.values["days"], settings.bucket_ms))

    with contextlib.closing(open_store(settings)) as store:
        reopen(store)
    found = look()
    consists = parts(settings.database_url)
    with served(settings.database_url) as site, going_on(settings, kept), browser() as chrome:
        people = [Person(site, f"user-{4 * i + 1}") for i in range(PEOPLE)]  # analysts
        clock = Clock(site, postmaster)
        recorded = walk(chrome, site, people[0], pages_of(consists, found))
        found = look()  # what the walk has made is asked for, too
        content = next((p[0] for o, p in recorded.payloads.items() if CONTENT in o), None)
        if "callbacks" in asked:
            made = replay_callbacks(clock, people, consists, recorded, found, args.rounds)
            fine &= show(f"callbacks and pages (p95 under {CALLBACK_MS} ms)", made, CALLBACK_MS)
        if "calls" in asked:
            fine &= show(
                f"calls of the API (p95 under {CALLBACK_MS} ms; of search under {SEARCH_MS})",
                replay_calls(clock, people, consists, found, args.rounds),
                CALLBACK_MS,
            )
        if "search" in asked:
            fine &= show(
                f"search (p95 under {SEARCH_MS} ms)",
                replay_searches(clock, people, content, found, 4 * args.rounds),
                SEARCH_MS,
            )
        if "pages" in asked:
            fine &= opened(chrome, site, people[0], pages_of(consists, found), args.openings)
        if "polling" in asked:
            fine &= polled(site, recorded, args.minutes)
    return fine


def pages_of(consists: Parts, found: Cases) -> list[str]:
    """Every page once, patterns filled in."""
    out = []
    for page in consists.pages:
        if page.startswith("/series/<"):
            out += ["/series/topic:real_estate", "/series/topic:market?range=90d"]
        elif "<" in page:
            out.append(f"{page.split('<')[0]}{found.firing[0] if found.firing else found.past[-1]}")
        else:
            out.append(page)
    return out


def opened(chrome: object, site: Site, person: Person, paths: list[str], rounds: int) -> bool:
    fine = True
    print(f"\npages in Chromium until they can be used (under {PAGE_S} s), seconds, {rounds} times each")
    print(f"{'':40} {'cold p50':>9} {'worst':>7} {'warm p50':>9} {'worst':>7} {'kB':>8}")
    for path, (cold, warm, kb) in open_pages(chrome, site, person, paths, rounds).items():  # type: ignore[arg-type]
        late = "  OVER" if percentile(cold, 50) > PAGE_S else ""
        print(
            f"{path:40} {percentile(cold, 50):9.2f} {max(cold):7.2f} {percentile(warm, 50):9.2f} {max(warm):7.2f}"
            f" {kb:8,.0f}{late}",
            flush=True,
        )
        fine &= not late
    return fine


def polled(site: Site, recorded: Recorded, minutes: float) -> bool:
    """Fifty people, each with one of the pages open; the more popular a page, the more of them."""
    r, weights = Random(6), {"/": 5, "/overview": 5, "/alerts": 3}
    pages = [p for p, sends in recorded.polls.items() if sends]
    chosen = r.choices(pages, [weights.get(p, 1) for p in pages], k=USERS)
    plan = [(f"user-{i}", recorded.polls[page]) for i, page in enumerate(chosen)]
    found = poll(site, plan, 60 * minutes)
    everything = [s for seconds in found.seconds.values() for s in seconds]
    rate = len(everything) / max(1.0, found.duration - 20)
    print(
        f"\n{USERS} people polling for {found.duration / 60:.1f} min, {rate:.1f} requests a second"
        f" (p95 under {POLLING_MS} ms)\n{HEAD}"
    )
    for name, seconds in sorted(found.seconds.items(), key=lambda item: -percentile(item[1], 95)):
        print(line(short(name), seconds, POLLING_MS))
    print(line("all", everything, POLLING_MS))
    for wrong in sorted(set(found.wrong)):
        print(f"  WRONG {found.wrong.count(wrong)} times: {wrong}")
    settled = [(at, sum(m.values())) for at, m in found.memory if at > min(120.0, 30 * minutes)]
    print(
        f"memory of the server (private, all processes): {settled[0][1]:.0f} MB, at the end {settled[-1][1]:.0f},"
        f" at most {max(mb for _, mb in settled):.0f}"
    )
    for name, part in (("whole run", settled), ("second half", settled[len(settled) // 2 :])):
        rise, half = slope([at / 3600 for at, _ in part], [mb for _, mb in part])
        print(
            f"  slope of the {name}: {rise:+.1f} MB an hour, 95 % interval {rise - half:+.1f} to {rise + half:+.1f}",
            flush=True,
        )
    worst = max(percentile(s, 95) for s in found.seconds.values())
    return worst * 1_000 <= POLLING_MS and not found.wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=("postgresql", "sqlite"), default="postgresql")
    parser.add_argument("--documents", type=int, help="default: 5,000,000, on SQLite 500,000")
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--keep", type=Path, required=True, help="folder for the store, which stays there")
    parser.add_argument("--rounds", type=int, default=40, help="how often each callback and call is asked")
    parser.add_argument("--openings", type=int, default=5, help="how often each page is opened")
    parser.add_argument("--minutes", type=float, default=10.0, help="of polling")
    parser.add_argument("--only", choices=STAGES, action="append", help="measure only this; may be given again")
    parser.add_argument("--fill-only", action="store_true")
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    documents = args.documents or (5_000_000 if args.database == "postgresql" else 500_000)
    if args.quick:
        documents, args.days, args.rounds, args.openings, args.minutes = 20_000, 3, 10, 2, 1.0
    with database(args) as url:
        settings = load_settings(database_url=url)
        began = time.perf_counter()
        fill(settings, args.keep, documents, args.days, cores())
        print(f"the store is filled: {time.perf_counter() - began:,.0f} s", flush=True)
        fine = args.fill_only or measure(args, settings, postmaster_of(args))
    sys.exit(not fine)


if __name__ == "__main__":
    main()
