"""Publish the results of a video: complete, on disk, and never over foreign files."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

from segue.batch.places import RESULT, SUBFOLDER, key_of
from segue.batch.upload import upload
from segue.errors import SinkError
from segue.utils.files import make_folder, write_complete, writing
from segue.utils.inputs import sha256
from segue.utils.system import remove_folder, rename, sync_folder, sync_tree
from segue.video.sources.addresses import is_url

MOVING = f"{SUBFOLDER}/moving"
"""Folder in the output for results that are being replaced; each batch has a subfolder."""


def mark_data(batch: str, name: str, digest: str) -> bytes:
    """Content of the mark file among the results of a video; invalid names are kept as they are."""
    return json.dumps({"batch": batch, "name": name, "digest": digest}).encode()


def _mark_begin(batch: str, name: str) -> bytes:
    """First line of all marks of a video in this batch."""
    return mark_data(batch, name, "").removesuffix(b'"}')


def belongs_to_batch(folder: Path, batch: str, name: str) -> bool:
    """Whether a folder holds the results of a video of this batch."""
    path = folder / RESULT
    with suppress(OSError):
        return (
            path.is_file()
            and not path.is_symlink()
            and path.read_bytes().startswith(_mark_begin(batch, name))
        )
    return False


def check_free(output: str, names: Iterable[str], batch: str) -> None:
    """Raise an error if the output folders of videos on this machine hold other files."""
    root, folders = Path(output).resolve(), set[Path]()
    for name in names:
        final = Path(output, name)
        with writing(final):
            if final.parent not in folders:
                _check_folder(final.parent, root)
                folders.add(final.parent)
            exists = os.path.lexists(final)
            if exists and final.is_symlink():
                raise SinkError(
                    f"{final}: a link leads out of the output; remove it, or choose another output"
                )
            empty = not exists or (final.is_dir() and not any(final.iterdir()))
        if not empty and not belongs_to_batch(final, batch, name):
            raise SinkError(
                f"{final}: exists already, and this batch did not write it; choose another output or name"
            )


def _check_folder(folder: Path, root: Path) -> None:
    """Raise an error unless a folder, which may not exist yet, is inside the output."""
    if not folder.resolve().is_relative_to(root):
        raise SinkError(f"{folder}: a link leads out of the output; remove it, or choose another output")
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not existing.is_dir():
        raise SinkError(f"{existing}: is a file where a folder of results is wanted; choose another output")
    if not os.access(existing, os.W_OK):
        raise SinkError(f"{existing}: no permission to write there; choose another output")


def publish(work: Path, output: str, name: str, batch: str) -> tuple[str, str | None]:
    """Move the results of a video to their final place atomically; return digest and local stamp."""
    digest = digest_of(work)
    write_complete(work / RESULT, mark_data(batch, name, digest))
    if is_url(output):
        upload(work, f"{output.rstrip('/')}/{name}", _mark_begin(batch, name), digest)
        with suppress(OSError):  # all is uploaded
            remove_folder(work)
        return digest, None
    check_free(output, [name], batch)
    final, moving = Path(output, name), Path(output, MOVING, key_of(batch), token_hex(8))
    coming, old = moving / "coming", moving / "old"
    with writing(final):
        make_folder(final.parent)
        make_folder(moving)
        sync_tree(work)
        try:
            if final.exists():
                rename(final, old)
            _move(work, coming, final)
        except BaseException as error:
            _restore(old, final, error)
            raise
        finally:
            if os.path.lexists(final) or not os.path.lexists(old):
                shutil.rmtree(moving, ignore_errors=True)
        sync_folder(final.parent)
    return digest, stamp_of(final)


def _move(work: Path, coming: Path, final: Path) -> None:
    """Rename a folder; copy first if it is on another disk."""
    try:
        rename(work, final)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        shutil.copytree(work, coming, symlinks=True)
        sync_tree(coming)
        rename(coming, final)
        with suppress(OSError):  # all is copied
            remove_folder(work)


def _restore(old: Path, final: Path, reason: BaseException) -> None:
    """Restore the names of results that were to be replaced."""
    if not os.path.lexists(old) or os.path.lexists(final):
        return
    try:
        rename(old, final)
    except OSError:
        raise SinkError(f"{final}: the results before are in {old} now, and new ones cannot come") from reason


def digest_of(folder: Path) -> str:
    """SHA-256 over names and contents of all files below a folder in order, without the mark."""
    total = hashlib.sha256()
    for path in sorted(Path(entry.path) for entry in _files(folder)):
        if path != folder / RESULT:
            total.update(os.fsencode(path.relative_to(folder).as_posix()) + b"\0")
            total.update(bytes.fromhex(sha256(path)))
    return total.hexdigest()


def stamp_of(folder: str | Path) -> str | None:
    """SHA-256 over the names, sizes and times of all files below a folder; None if it cannot be read."""
    start = len(os.fspath(folder))
    with suppress(OSError):
        files = [(entry.path[start:], entry.stat()) for entry in _files(folder)]
        lines = sorted(f"{name}\0{status.st_size} {status.st_mtime_ns}" for name, status in files)
        return hashlib.sha256(os.fsencode("\n".join(lines))).hexdigest()
    return None


def _files(folder: str | Path) -> Iterator[os.DirEntry[str]]:
    """The files below a folder."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.is_dir():
                yield entry
            elif not entry.is_symlink():
                yield from _files(entry.path)
