"""SQLite files, opened in one way and migrated to the current version."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from segue.errors import SegueError
from segue.utils.files import make_private
from segue.utils.system import sync_folder

PAGE = 4096
"""Bytes of a page."""


class Migration(NamedTuple):
    """Statements that convert tables from one version to the next."""

    version: int
    make: Callable[[sqlite3.Connection], object]


class VersionError(SegueError):
    """The tables of a file have an unknown version.

    Attributes:
        version: the version of the tables; 0 where they are those of another program.
    """

    def __init__(self, version: int, newest: int) -> None:
        self.version = version
        text = f"its tables are of version {version}" if version else "its tables are others"
        if version > newest:
            text = (
                f"was saved by a newer segue (version {version} of its tables, this one reads up to {newest})"
            )
        super().__init__(text)


def connect(
    path: Path | None,
    *,
    timeout: float = 30.0,
    synchronous: Literal["full", "normal"] = "full",
    checkpoint_pages: int | None = None,
    **options: Any,
) -> sqlite3.Connection:
    """Open a file in WAL mode; a new one is private to its owner.

    Args:
        path: the file; None is a database in memory.
        timeout: seconds to wait for another process that has locked it.
        synchronous: ``full`` survives power cuts with each commit, ``normal`` may lose the last commits.
        checkpoint_pages: pages of the journal after which they go into the file.
        options: options of ``sqlite3.connect``.

    Raises:
        sqlite3.Error, OSError: it cannot be opened.
    """
    if path is not None and not path.exists():
        make_private(path)
        sync_folder(path.parent)
    database: sqlite3.Connection = sqlite3.connect(path or ":memory:", timeout, **options)
    try:
        database.execute("pragma trusted_schema = off")
        database.execute("pragma journal_mode = wal")
        database.execute(f"pragma synchronous = {synchronous}")
        if checkpoint_pages is not None:
            database.execute(f"pragma wal_autocheckpoint = {checkpoint_pages}")
            database.execute(f"pragma journal_size_limit = {checkpoint_pages * PAGE}")
    except BaseException:
        database.close()
        raise
    return database


def stored_version(database: sqlite3.Connection) -> int:
    """Version of the tables; 0 for an empty file."""
    return int(database.execute("pragma user_version").fetchone()[0])


def migrate(
    database: sqlite3.Connection, migrations: Mapping[int, Migration], version: int | None = None
) -> int:
    """Migrate tables to the current version, inside the caller's transaction.

    Args:
        database: the file.
        migrations: functions by the version that they migrate.
        version: version of the tables if ``user_version`` does not state it.

    Returns:
        The version before.

    Raises:
        VersionError: the tables are of a version that cannot be brought to that of today.
    """
    newest = max(each.version for each in migrations.values())
    stored = version = stored_version(database) if version is None else version
    is_foreign = not version and database.execute("select 1 from sqlite_master").fetchone() is not None
    if version > newest or is_foreign:
        raise VersionError(version, newest)
    while version < newest:
        if version not in migrations:
            raise VersionError(stored, newest)
        migrations[version].make(database)
        version = migrations[version].version
    database.execute(f"pragma user_version = {newest}")
    return stored
