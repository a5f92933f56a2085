"""``barometer db backup | restore``."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from barometer.settings import settings
from barometer.store.backup.archive import make_backup, read_manifest, restore_backup
from barometer.store.backup.manifest import Manifest, OnProgress, check_fits
from barometer.store.engine import Store
from barometer.store.migrate import current, require_head

_STAGES = {
    "count": "清点 / counting", "copy": "复制 / copying", "checksum": "校验和 / checksum", "check": "检查 / checking",
    "tables": "建表 / tables", "rows": "写入 / rows", "indexes": "索引 / indexes", "restore": "恢复 / restoring",
}  # fmt: skip


def db_backup(
    file: Path = typer.Argument(..., help="The backup to write. A file that is there is not overwritten."),
) -> None:
    """Write a backup of the whole store into one file, as of one instant, while worker and monitor go on. It holds
    texts and password hashes: only you may read it."""
    store = Store(settings().database_url, make=False)
    try:
        with _progress() as on_progress:
            manifest = make_backup(store, file, on_progress)
    finally:
        store.close()
    print(f"{file}: {_describe(manifest)}, {file.stat().st_size:,} bytes")


def db_restore(
    file: Path = typer.Argument(..., help="A backup made by `barometer db backup` from the same kind of database."),
    replace: bool = typer.Option(False, "--replace", help="What the store holds now may go."),
    yes: bool = typer.Option(False, "--yes", help="Do not ask."),
) -> None:
    """Put a backup in the place of the store: all of it or nothing, checked, and brought to this program's revision.
    End worker, monitor and dashboard first. Reading goes on from the backup's offsets and ends with the same rows."""
    s = settings()
    manifest = read_manifest(file)
    store = Store(s.database_url)
    try:
        check_fits(manifest, store, s, file)
        print(f"{file}: {_describe(manifest)}")
        if replace and not yes and current(store) is not None:
            where = store.url.render_as_string(hide_password=True)
            question = (
                f"{where} 现在的内容会被这份备份取代，备份之后的标注、处置和用户改动会丢失。继续吗？/ "
                "What this store holds now is replaced; annotations, acts on alerts and users since the backup are "
                "lost. Go on?"
            )
            if not typer.confirm(question):
                raise typer.Exit(1)
        with _progress() as on_progress:
            restore_backup(store, s, file, getpass.getuser(), on_progress, replace=replace)
        require_head(store)
    finally:
        store.close()
    print(
        "已恢复；现在可以启动 worker 和 monitor，从备份时的位置接着读 / restored: start worker and monitor, they go on"
    )


def _describe(m: Manifest) -> str:
    made = datetime.fromtimestamp(m.made_at / 1000, settings().zone).strftime("%Y-%m-%d %H:%M:%S %Z")
    return (
        f"{m.database}, {made}, revision {m.revision}, {m.counts.get('documents', 0):,} documents, "
        f"{m.counts.get('alerts', 0):,} alerts"
    )


@contextmanager
def _progress() -> Iterator[OnProgress]:
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[done]}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, done="")

        def tell(stage: str, done: int, total: int | None) -> None:
            bar.update(task, description=_STAGES[stage], completed=done, total=total, done=f"{done:,}" if done else "")

        yield tell
