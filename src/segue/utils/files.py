"""Output files that appear under their final name only when complete, and locks of outputs."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import IO

from filelock import FileLock, Timeout

from segue.errors import SinkError
from segue.utils.inputs import absolute_path
from segue.utils.system import remove_lock, replace_file, sync_folder, sync_open_file

_REASONS = {
    errno.ENOSPC: "the disk is full; free some space",
    errno.EDQUOT: "the disk quota is used up; free some space",
    errno.EACCES: "no permission to write there",
    errno.EPERM: "no permission to write there",
    errno.EROFS: "the file system is read-only",
    errno.EFBIG: "the file would be too large for this file system",
    errno.EEXIST: "there is a file of that name, where a folder is to be",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.ENAMETOOLONG: "the name is too long for this file system",
}

_OS_ERROR = re.compile(r"\(os error (\d+)\)")
"""Errno in messages of Rust libraries such as safetensors."""

_SQLITE_FULL = 13  # its error of a full disk

ENDING = 1.0
"""Seconds that outputs may stay locked by a run that was killed: the kernel ends its threads one by one."""

PATIENCE = 30.0
"""Seconds for which a change of a file waits for other threads and processes."""

_MAX_STEM_BYTES = 200
"""Maximum bytes of a file name used in the names of its partial file and lock; file systems allow 255."""

_PARTIAL = re.compile(r"\.(.+)\.(?:[0-9a-f]{8}|segue)\.partial", re.DOTALL)
"""Hidden names of outputs that are not complete; earlier versions wrote ``segue`` in place of a token."""


def reason_of(error: Exception) -> str:
    """Reason why a file cannot be written, with advice and without temporary names."""
    number = error.errno if isinstance(error, OSError) else None
    if number is None and (match := _OS_ERROR.search(str(error))):
        number = int(match[1])
    if getattr(error, "sqlite_errorcode", None) == _SQLITE_FULL:
        number = errno.ENOSPC
    strerror = error.strerror if isinstance(error, OSError) else None
    return _REASONS.get(number or 0) or strerror or " ".join(str(error).split("\n", 1)[0].split())


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Convert errors of the system to a SinkError that names ``path``."""
    try:
        yield
    except OSError as error:
        raise SinkError(f"{path}: cannot be written ({reason_of(error)})") from error
    except ValueError as error:  # a name with a null character
        raise SinkError(f"{path!s}: cannot be written ({error})") from error


_LOCK = re.compile(r"\.(.+)\.lock", re.DOTALL)


class PartialFile:
    """Unique temporary path in place of ``final``; :meth:`commit` renames, :meth:`discard` removes it."""

    def __init__(self, final: Path) -> None:
        self.final = final
        self.path = final.parent / f".{_stem(final)}.{token_hex(4)}.partial"

    def prepare(self) -> None:
        """Create the folder, and check early that the file can be written."""
        with writing(self.final):
            if self.final.is_dir():
                raise SinkError(f"{self.final}: is a folder; give the name of a file")
            if self.final.exists() and not self.final.is_file():
                raise SinkError(f"{self.final}: is no regular file; give another name")
            make_folder(self.final.parent)
            self.path.open("wb").close()

    def commit(self, *, sync_name: bool = True) -> None:
        """Write the content to the disk, and rename the file."""
        with writing(self.final):
            replace_file(self.path, self.final, sync_name=sync_name)

    def discard(self) -> None:
        """Remove the file if it exists."""
        with suppress(OSError):
            self.path.unlink()


@contextmanager
def replacing(final: Path, *, sync_name: bool = True) -> Iterator[Path]:
    """Temporary path for a new ``final``, which is replaced completely or not at all."""
    partial = PartialFile(final)
    try:
        with writing(final):
            yield partial.path
        partial.commit(sync_name=sync_name)
    finally:
        partial.discard()


def prepare(path: Path) -> None:
    """Raise an error unless a file can be written; leaves no new file.

    Leftovers of a killed process for the same file are removed.
    """
    partial = PartialFile(path)
    partial.prepare()
    remove_partial(path.parent, path)


def write_complete(path: Path, data: bytes, *, sync_name: bool = True, private: bool = False) -> None:
    """Write a whole file in one step: completely or not at all.

    A ``private`` file is one that other users cannot read.
    """
    with replacing(path, sync_name=sync_name) as partial:
        if private:
            make_private(partial)
        partial.write_bytes(data)


def make_private(path: Path) -> None:
    """Create an empty file for its owner only; an existing file and its mode stay."""
    path.touch(mode=0o600)


def rewrite(path: Path, data: bytes) -> None:
    """Replace the content of a user's file in one step; links, mode and owner stay.

    If this process may not give the new file to its owner, the old file is overwritten.
    """
    path = path.resolve()
    with writing(path):
        try:
            with _replacement(path) as file:
                file.write(data)
        except PermissionError:
            with path.open("r+b") as file:
                file.write(data)
                file.truncate()
                file.flush()
                sync_open_file(file.fileno())


@contextmanager
def rewriting(path: Path) -> Iterator[IO[bytes]]:
    """Stream for new content of an existing file, which is replaced completely or not at all.

    It stays where a link leads, with its mode and, where this process may do so, its owner.

    Yields:
        The stream.
    """
    with writing(path), _replacement(path.resolve(), any_owner=True) as file:
        yield file


@contextmanager
def _replacement(path: Path, *, any_owner: bool = False) -> Iterator[IO[bytes]]:
    old, partial = path.stat(), PartialFile(path)
    try:
        # It may hold passwords: nobody else reads it before it has its mode.
        descriptor = os.open(partial.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            new = os.fstat(file.fileno())
            if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
                with suppress(PermissionError) if any_owner else nullcontext():
                    os.chown(partial.path, old.st_uid, old.st_gid)
            partial.path.chmod(stat.S_IMODE(old.st_mode))
            yield file
        partial.commit()
    finally:
        partial.discard()


def make_folder(folder: Path) -> None:
    """Create a folder and its parents, and sync their names to the disk."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        sync_folder(path.parent)


@contextmanager
def locked(paths: Iterable[Path]) -> Iterator[None]:
    """Lock outputs until the process ends or SinkError; partial files of earlier runs are removed."""
    with ExitStack() as stack:
        for path in sorted(paths):
            lock = _lock_file(path)
            with writing(path):
                make_folder(path.parent)
                file_lock = FileLock(
                    lock, timeout=ENDING, thread_local=False
                )  # one thread writes, another ends
                try:
                    file_lock.acquire()
                except Timeout:
                    raise SinkError(_in_use(path)) from None
            stack.callback(remove_lock, file_lock, lock)
            remove_partial(path.parent, path)
        yield


@contextmanager
def changing(path: Path) -> Iterator[None]:
    """Lock a file against other threads and processes between reading and rewriting it.

    Raises SinkError where one of them holds it for too long.
    """
    lock = _lock_file(path)
    file_lock = FileLock(lock, timeout=PATIENCE, poll_interval=0.01, thread_local=False)
    with writing(path):
        make_folder(path.parent)
        try:
            file_lock.acquire()
        except Timeout:
            raise SinkError(f"{path}: another process is changing it; try again") from None
    try:
        yield
    finally:
        remove_lock(file_lock, lock)


def _in_use(path: Path) -> str:
    return f"{path}: another run is writing there; wait for it, or give another output"


def refuse_if_locked(path: Path) -> None:
    """Raise SinkError if another run writes an output.

    Files there belong to that run and must be neither continued nor replaced.
    """
    lock = _lock_file(path)
    if not lock.exists():
        return
    file_lock = FileLock(lock, timeout=ENDING)
    try:
        file_lock.acquire()
    except Timeout:
        raise SinkError(_in_use(path)) from None
    except OSError:  # somebody else's, which says what is wrong when it is to be written
        return
    remove_lock(file_lock, lock)


@dataclass(frozen=True, slots=True)
class Claim:
    """An output reserved for one writer, across processes, until it is released.

    The claim ends with the process, however that ends.

    Attributes:
        path: the output; it did not exist when it was claimed.
    """

    path: Path
    _lock: FileLock
    _file: Path

    def release(self) -> None:
        """Release the path; a complete output stays."""
        remove_lock(self._lock, self._file)

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        self.release()


def claim(path: Path) -> Claim | None:
    """Reserve an output that does not exist; None if it exists or is reserved.

    Leftovers of a killed process are removed.
    """
    lock = _lock_file(path)
    if path.exists():
        return None
    file_lock = FileLock(lock, timeout=0, thread_local=False)
    with writing(path):
        make_folder(path.parent)
        try:
            file_lock.acquire()
        except Timeout:
            return None
    if path.exists():  # it was completed before the lock was free
        remove_lock(file_lock, lock)
        return None
    remove_partial(path.parent, path)
    return Claim(path, file_lock, lock)


def remove_abandoned(folder: Path, outputs: str | None = None) -> None:
    """Remove partial files and folders in a folder that nobody is writing.

    With ``outputs``, a pattern of names, those of these outputs alone, and also their locks.
    """
    stems = set()
    with suppress(OSError):
        for path in folder.iterdir():
            match = _PARTIAL.fullmatch(path.name) or (outputs and _LOCK.fullmatch(path.name))
            if match and (outputs is None or re.fullmatch(outputs, match[1])):
                stems.add(match[1])
    for stem in sorted(stems):
        lock = folder / f".{stem}.lock"
        file_lock = FileLock(lock, timeout=0)
        with suppress(Timeout, OSError):
            file_lock.acquire()
            try:
                for path in folder.iterdir():
                    if (match := _PARTIAL.fullmatch(path.name)) and match[1] == stem:
                        _remove(path)
                if outputs is not None:
                    remove_partial(folder / stem)
            finally:
                remove_lock(file_lock, lock)


def _remove(path: Path) -> None:
    """Remove a file, or a folder with its content."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink()


def _lock_file(path: Path) -> Path:
    path = absolute_path(path)
    return path.with_name(f".{_stem(path)}.lock")


def remove_partial(folder: Path, final: Path | None = None) -> None:
    """Remove partial files of a killed run, for an output whose lock the caller holds.

    Without ``final``, those of files in a folder that is the caller's alone.
    """
    with suppress(OSError):
        for entry in list(folder.iterdir()):
            match = _PARTIAL.fullmatch(entry.name)
            if match and (entry.is_file() if final is None else match[1] == _stem(final)):
                _remove(entry)


def _stem(path: Path) -> str:
    """File name, shortened to leave room for a suffix."""
    name = os.fsencode(path.name)
    if len(name) <= _MAX_STEM_BYTES:
        return path.name
    return f"{os.fsdecode(name[:100])}-{hashlib.sha256(name).hexdigest()[:16]}"
