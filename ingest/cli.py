"""``barometer produce`` and ``barometer dlq``."""

from __future__ import annotations

import getpass
import json
import re
import sys
import time
from collections.abc import Iterator
from zoneinfo import ZoneInfo

import typer
from rich.console import Console

from barometer.errors import BarometerError
from barometer.files import Form, options
from barometer.settings import Settings, settings
from barometer.store.engine import Store
from barometer.store.migrate import open_store
from barometer.store.stream.dead_letters import StoredLetter, find_letters, get_letter
from barometer.times import check_format, parse_time
from barometer.when import in_zone
from ingest.dead_letters.replay import Replayer, parse_row
from ingest.producing.files import Columns, parse_pairs
from ingest.producing.import_job import Plan
from ingest.producing.importing import produce_files

CHUNK = 200
"""Dead letters that are replayed between two looks at the store."""

app = typer.Typer(add_completion=False, no_args_is_help=True)
dlq = typer.Typer(help="Dead letters: records that could not be used.", no_args_is_help=True)
app.add_typer(dlq, name="dlq")


@app.command()
def produce(
    files: list[str] = typer.Argument(help="CSV, JSONL, JSON, Parquet or .xlsx, also .gz; - is stdin."),
    map_: options.Map = [],  # noqa: B006
    set_: options.Set = [],  # noqa: B006
    time_column: str = typer.Option("", help="Column of the records' times, or DAY+TIME; sends in time order."),
    time_format: options.TimeFormat = "",
    tz: str = typer.Option("", help="Zone of times without an offset; default: the setting timezone."),
    topic: str = typer.Option("", help="Default: the setting topic_documents."),
    encoding: options.Encoding = "",
    form: options.Format = "",
    delimiter: options.Delimiter = "",
    escape: options.Escape = "",
    sheet: options.Sheet = "",
    speed: str = typer.Option("", help="Replay in time, so many times the clock: 60x sends an hour in a minute."),
    shift_to_now: bool = typer.Option(False, "--shift-to-now", help="Stamp records when they are sent: a live stream."),
    limit: int = typer.Option(0, min=0, help="At most so many rows."),
    skip_bad: bool = typer.Option(False, "--skip-bad", help="Leave out rows that cannot be sent, and list them."),
    no_store: bool = typer.Option(False, "--no-store", help="No database: no lease and no progress records."),
    despite_retention: bool = typer.Option(
        False, "--despite-retention", help="Send rows although the topic's retention will delete them."
    ),
) -> None:
    """Put files of texts into the topic, one record a row."""
    s = settings()
    zone = s.zone if not tz else _zone(tz)
    pace = _speed(speed)
    if not time_column and (pace is not None or shift_to_now):
        raise BarometerError("--speed and --shift-to-now need --time-column: they replay the file's own times")
    if shift_to_now and pace is None:
        raise BarometerError("--shift-to-now needs --speed, for example --speed 1x: without it all rows come at once")
    if time_format:
        check_format(time_format)
    pairs = parse_pairs("--map", map_), parse_pairs("--set", set_)
    plan = Plan(
        files=files,
        columns=Columns(*pairs, time_column or None, zone, time_format or None),
        topic=topic or s.topic_documents,
        form=Form.from_options(encoding, form, delimiter, escape, sheet),
        speed=pace,
        shift_to_now=shift_to_now,
        limit=limit or None,
        skip_bad=skip_bad,
        use_store=not no_store,
        despite_retention=despite_retention,
    )
    try:
        produce_files(s, plan, Console(stderr=True, markup=False, highlight=False))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise BarometerError(f"--tz: unknown time zone {name!r}; use a name like Asia/Shanghai") from None


def _speed(text: str) -> float | None:
    if not text:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)x?", text.strip())
    if not found or float(found[1]) <= 0:
        raise BarometerError(f"--speed {text}: expected a number like 60x")
    return float(found[1])


# --- dead letters ----------------------------------------------------------------------------------------------------


@dlq.command("list")
def list_(
    reason: str = typer.Option("", help="Only this reason, for example broken_json."),
    since: str = typer.Option("", help="Stored since: a time, or an age like 90m, 6h, 2d."),
    limit: int = typer.Option(50, min=1, help="At most so many, newest first."),
    as_json: bool = typer.Option(False, "--json", help="One JSON object a line."),
) -> None:
    """List dead letters, newest first."""
    s = settings()
    letters = find_letters(
        open_store(s), reason=reason or None, since_ms=_since(since, s) if since else None, limit=limit
    )
    if as_json:
        for letter in letters:
            print(_json(letter, whole=False))
        return
    if not letters:
        print("no dead letters")
        return
    print(f"{'row':>17}  {'reason':<20}  {'stored':<19}  {'record time':<19}  {'bytes':>9}  replays  detail")
    for x in letters:
        print(
            f"{x.row_id:>17}  {x.reason:<20}  {_local(x.stored_at, s):<19}  {_local(x.record_timestamp, s):<19}"
            f"  {x.value_length:>9,}  {x.replays or '':>7}  {printable(x.detail.encode())}"
        )


@dlq.command("show")
def show(
    row: str = typer.Argument(help="A row from `barometer dlq list`, or LOG/PARTITION/OFFSET."),
    as_json: bool = typer.Option(False, "--json", help="One JSON object."),
    raw: bool = typer.Option(False, "--raw", help="The value's bytes and nothing else."),
) -> None:
    """Show one dead letter."""
    s = settings()
    letter = get_letter(open_store(s), parse_row(row))
    cut = f"the store keeps {len(letter.value):,} of {letter.value_length:,} bytes" if letter.cut else ""
    if raw:
        sys.stdout.buffer.write(letter.value)
        if cut:
            print(cut, file=sys.stderr)
        return
    if as_json:
        print(_json(letter, whole=True))
        return
    place = letter.row
    lines = [
        ("row", f"{letter.row_id} (log {place.log_id}, partition {place.partition}, offset {place.offset})"),
        ("reason", f"{letter.reason}: {printable(letter.detail.encode())}"),
        ("record time", _local(letter.record_timestamp, s)),
        ("stored", _local(letter.stored_at, s)),
        ("relayed", _local(letter.relayed_at, s) if letter.relayed_at else "not yet"),
        (
            "replayed",
            f"{letter.replays} times, last {_local(letter.replayed_at, s)}" if letter.replayed_at else "never",
        ),
    ]
    if letter.replay_of is not None:
        lines.append(("replay of", str(letter.replay_of)))
    lines += [("header", f"{printable(n.encode())} = {printable(v)}") for n, v in letter.headers]
    lines.append(("key", "none" if letter.key is None else printable(letter.key)))
    lines.append(("sha256", letter.value_sha256.hex()))
    lines.append(("value", f"{letter.value_length:,} bytes" + (f"; {cut}" if cut else "")))
    for name, text in lines:
        print(f"{name:<12} {text}")
    print(printable(letter.value, newlines=True))


@dlq.command("replay")
def replay(
    rows: list[str] = typer.Argument(None, help="Rows from `barometer dlq list`."),
    reason: str = typer.Option("", help="All of this reason that were not replayed yet."),
    everything: bool = typer.Option(False, "--all", help="All that were not replayed yet."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Say what would be done."),
) -> None:
    """Send dead letters into the topic again, as they were. A second replay changes nothing.

    Exit code 1 if one was refused.
    """
    s = settings()
    chosen = [parse_row(r) for r in rows or []]
    if bool(chosen) + bool(reason) + everything != 1:
        raise BarometerError("name rows, or --reason REASON, or --all")
    store = open_store(s)
    sent = refused = 0
    with Replayer(s, store, getpass.getuser(), dry_run=dry_run) as replayer:
        for letters in _chunks(store, chosen, reason or None):
            for outcome in replayer.replay(letters):
                if outcome.refused is None:
                    sent += 1
                    if dry_run:
                        print(f"{outcome.letter.row_id}  would be sent  ({outcome.letter.reason})")
                else:
                    refused += 1
                    print(f"{outcome.letter.row_id}  refused: {outcome.refused}")
    print(f"{sent:,} {'would be sent' if dry_run else 'sent'}, {refused:,} refused")
    if refused:
        raise typer.Exit(1)


def _chunks(store: Store, chosen: list[int], reason: str | None) -> Iterator[list[StoredLetter]]:
    """The letters to replay, oldest first; without those that come of the replay itself, which may fail again."""
    if chosen:
        for i in range(0, len(chosen), CHUNK):
            yield [get_letter(store, row) for row in chosen[i : i + CHUNK]]
        return
    begun = time.time_ns() // 1_000_000
    after: int | None = None
    while letters := find_letters(
        store, reason=reason, not_replayed=True, after=after, limit=CHUNK, newest_first=False
    ):
        after = letters[-1].row_id
        yield [x for x in letters if x.stored_at < begun]


def _since(text: str, s: Settings) -> int:
    found = re.fullmatch(r"(\d{1,6})([smhd])", text.strip())
    if found:
        return time.time_ns() // 1_000_000 - int(found[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86_400}[found[2]] * 1000
    time_ms = parse_time(text, s.zone)
    if time_ms is None:
        raise BarometerError(f"--since {text}: expected an age like 90m, 6h, 2d, or a time like 2024-05-06T09:30")
    return time_ms


def _json(letter: StoredLetter, *, whole: bool) -> str:
    place = letter.row
    data = {
        "row": letter.row_id,
        "log": place.log_id,
        "partition": place.partition,
        "offset": place.offset,
        "reason": letter.reason,
        "detail": letter.detail,
        "record_timestamp": letter.record_timestamp,
        "stored_at": letter.stored_at,
        "relayed_at": letter.relayed_at,
        "replayed_at": letter.replayed_at,
        "replays": letter.replays,
        "replay_of": letter.replay_of,
        "value_length": letter.value_length,
        "value_sha256": letter.value_sha256.hex(),
    }
    if whole:
        data["headers"] = [[n, v.decode("utf-8", "backslashreplace")] for n, v in letter.headers]
        data["key"] = None if letter.key is None else letter.key.decode("utf-8", "backslashreplace")
        data["value"] = letter.value.decode("utf-8", "backslashreplace")
        data["value_is_cut"] = letter.cut
    return json.dumps(data, ensure_ascii=False)


def printable(data: bytes, *, newlines: bool = False) -> str:
    """Bytes of the stream as text that does nothing to a terminal: what is not printable is escaped."""
    text = data.decode("utf-8", "backslashreplace")
    kept = "\n\t" if newlines else ""
    return "".join(c if c.isprintable() or c in kept else c.encode("unicode_escape").decode() for c in text)


def _local(time_ms: int, s: Settings) -> str:
    if time_ms == -1:
        return "none"
    return in_zone(time_ms, s.zone)
