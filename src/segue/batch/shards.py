"""Ledgers of a batch, and its shards for several processes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from segue.batch.ledger import Ledger
from segue.batch.places import SUBFOLDER, key_of
from segue.batch.plan import Task
from segue.batch.work import JobConfig
from segue.errors import SegueError
from segue.utils.cache import cache_folder
from segue.utils.files import (
    write_complete,
)
from segue.utils.inputs import whole_number
from segue.utils.naming import natural_key
from segue.video.sources.addresses import is_url

LEDGER = "ledger.sqlite"
"""File in the folder of a batch with the outcome of every video."""

BY_NAME = "by-name"
"""File in the folder of a part of a batch whose videos are divided by their names."""


def home_of(output: str, shard: str | None = None) -> Path:
    """Folder of the ledger: in the output, or in the user's cache for remote output.

    The parts of a divided batch have a folder each below it.
    """
    home = Path(output) / SUBFOLDER
    if is_url(output):
        home = cache_folder() / "batch" / key_of(output)
        try:
            home.exists()
        except OSError as error:
            raise SegueError(
                f"{home}: the record of the batch cannot be kept there ({error.strerror}); SEGUE_HOME names "
                "another folder"
            ) from None
    return home if shard is None else home / f"shard-{'-of-'.join(map(str, shard_of(shard)))}"


def shard_of(text: str) -> tuple[int, int]:
    """Number of a shard, from 1, and the number of shards."""
    part, _, parts = (whole_number(word) for word in text.partition("/"))
    if part is None or parts is None or not 1 <= part <= parts:
        raise SegueError(f"--shard {text}: give I/N, the number of the part, from 1, and how many there are")
    return part, parts


def is_divided_by_position(output: str) -> bool:
    """Whether an earlier version divided the batch by positions, not by names."""
    return any(path.exists() and not (path.parent / BY_NAME).exists() for path in ledgers_of(output))


def part_of(tasks: Sequence[Task], how: JobConfig) -> list[Task]:
    """Videos of a shard, chosen by name, so that the folder may grow."""
    if how.shard is None:
        return [*tasks]
    part, parts = shard_of(how.shard)
    if is_divided_by_position(how.output):
        return [*tasks[part - 1 :: parts]]
    return [task for task in tasks if int(key_of(task.name), 16) % parts == part - 1]


def open_ledger(home: Path, by_name: bool) -> Ledger:
    """Open the ledger of a batch; its folder records the division for other shards."""
    if by_name:
        write_complete(home / BY_NAME, b"")
    return Ledger(home / LEDGER)


def ledgers_of(output: str) -> list[Path]:
    """Ledgers of a batch: one, or one per shard."""
    home = home_of(output)
    shards = sorted(home.glob(f"shard-*-of-*/{LEDGER}"), key=lambda path: natural_key(str(path)))
    return shards if shards and not (home / LEDGER).exists() else [home / LEDGER]


def check_division(how: JobConfig) -> None:
    """Raise an error unless a batch has the same shards as before."""
    if how.shard is not None and how.address is not None:
        raise SegueError(
            "--shard divides a batch between processes, --address gives it to a cluster: give one"
        )
    parts = None if how.shard is None else shard_of(how.shard)[1]
    for ledger in ledgers_of(how.output):
        _, mark, count = ledger.parent.name.rpartition("-of-")
        if ledger.exists() and (count if mark else None) != (None if parts is None else str(parts)):
            earlier = f"with --shard I/{count}" if mark else "without --shard"
            raise SegueError(f"{how.output}: the batch was begun {earlier}; give the same, or another output")
