"""Publish the results of a video: complete, on disk, and never over foreign files."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

from segue.batch.names import SUBFOLDER, check_name
from segue.batch.places import DONE, RESULT, file_system, hide_secrets, is_remote, one_line
from segue.errors import SinkError
from segue.inputs import parse_json, sha256
from segue.system import rename, sync_file, sync_folder
from segue.video.partial import make_folder, write_complete, writing

LARGEST_MARK = 1 << 16
"""Bytes of the mark of results; it has three short entries."""


@dataclass(frozen=True, slots=True)
class ResultMark:
    """Content of the mark among the results of a video.

    Attributes:
        batch: identity of the batch.
        name: name of the video's results.
        digest: SHA-256 over names and contents of all other files.
    """

    batch: str
    name: str
    digest: str

    def data(self) -> bytes:
        """Content of the file; names that are no valid text are kept as they are."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def read(cls, data: bytes) -> ResultMark | None:
        """The mark that a file holds, which may come from anywhere; None if it is none."""
        try:
            found = parse_json(data.decode())
            mark = cls(**found)
        except (ValueError, TypeError):
            return None
        return mark if all(isinstance(value, str) for value in found.values()) else None


def mark_of(folder: Path) -> ResultMark | None:
    """The mark of a folder of results; None if it has none."""
    path = folder / RESULT
    try:
        if path.is_symlink() or path.stat().st_size > LARGEST_MARK:
            return None
        return ResultMark.read(path.read_bytes())
    except (OSError, ValueError):
        return None


def check_free(output: str, name: str, batch: str) -> Path:
    """The place of a video's results on this machine; nobody else has anything there."""
    check_name(name, SinkError)
    final, root = Path(output) / name, Path(output).resolve()
    with writing(final):
        inside = final.parent.resolve().is_relative_to(root)
        link, there = final.is_symlink(), os.path.lexists(final)
        blocked = next(
            (p for p in final.parents if p != Path(output) and p.exists() and not p.is_dir()), None
        )
        empty = final.is_dir() and not link and next(final.iterdir(), None) is None
    if link or not inside:
        raise SinkError(f"{final}: a link leads out of the output; remove it, or choose another output")
    if blocked is not None:
        raise SinkError(f"{blocked}: is a file where a folder of results is wanted; choose another output")
    mark = mark_of(final) if there else None
    if there and not empty and (mark is None or (mark.batch, mark.name) != (batch, name)):
        raise SinkError(
            f"{final}: exists already, and this batch did not write it; choose another output or name"
        )
    return final


def publish(work: Path, output: str, name: str, batch: str) -> tuple[str, str | None]:
    """Give the results of a video their final place, all at once as seen from outside.

    Returns their digest, and on this machine their stamp.

    On this machine the folder is renamed; when this function returns, files and names have reached the disk.
    At a remote place the files are uploaded one by one, each of them whole, and the mark with their digest
    last; a second worker with the same video writes the same bytes.
    """
    mark = ResultMark(batch, name, digest_of(work))
    write_complete(work / RESULT, mark.data())
    if is_remote(output):
        _upload(work, f"{output.rstrip('/')}/{name}", mark)
        shutil.rmtree(work, ignore_errors=True)
        return mark.digest, None
    final = check_free(output, name, batch)
    with writing(final):
        _sync(work)
        make_folder(final.parent)
        old = Path(output) / SUBFOLDER / f"replaced-{token_hex(4)}" if final.exists() else None
        if old is not None:
            make_folder(old.parent)
            rename(final, old)
        _move(work, final, Path(output) / SUBFOLDER)
        sync_folder(final.parent)
        if old is not None:
            shutil.rmtree(old, ignore_errors=True)
    return mark.digest, stamp_of(final)


def digest_of(folder: Path) -> str:
    """SHA-256 over the names and contents of all files below a folder, in the order of their names.

    The mark of the results, which holds it, does not count.
    """
    total = hashlib.sha256()
    for path in sorted(_files(folder)):
        total.update(os.fsencode(path.relative_to(folder).as_posix()) + b"\0")
        total.update(bytes.fromhex(sha256(path)))
    return total.hexdigest()


def stamp_of(folder: str | Path) -> str | None:
    """SHA-256 over the names, sizes and times of all files below a folder; None if it cannot be read."""
    lines, folders = [], [os.fspath(folder)]
    try:
        while folders:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        status = entry.stat()
                        lines.append(f"{entry.path}\0{status.st_size} {status.st_mtime_ns}")
    except OSError:
        return None
    start = len(os.fspath(folder))
    return hashlib.sha256(os.fsencode("\n".join(line[start:] for line in sorted(lines)))).hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    own = folder / RESULT
    return (path for path in folder.rglob("*") if path.is_file() and path != own)


def _sync(folder: Path) -> None:
    """Return when all that lies below a folder has reached the disk; a rename says nothing of that."""
    for place, _, names in os.walk(folder, topdown=False):
        for name in names:
            sync_file(Path(place) / name)
        sync_folder(Path(place))


def _move(work: Path, final: Path, home: Path) -> None:
    """Rename a folder; from another disk it is copied beforehand."""
    try:
        rename(work, final)
        return
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    make_folder(home)
    coming = home / f"coming-{token_hex(4)}"
    try:
        shutil.copytree(work, coming)
        _sync(coming)
        rename(coming, final)
    finally:
        shutil.rmtree(coming, ignore_errors=True)
    shutil.rmtree(work, ignore_errors=True)


def clear_leftovers(output: Path) -> None:
    """Remove unpublished results of a killed batch; the caller must hold its lock."""
    for kind in ("replaced", "coming"):
        for folder in (output / SUBFOLDER).glob(f"{kind}-????????"):
            shutil.rmtree(folder, ignore_errors=True)


def _upload(work: Path, place: str, mark: ResultMark) -> None:
    files, root = file_system(place)
    shown = hide_secrets(place)
    try:
        files.invalidate_cache()
        there = set(_listed(files, root))
        if there and not _is_ours(files, root, mark):
            raise SinkError(
                f"{shown}: exists already, and this batch did not write it; choose another output"
            )
        done = f"{root}/{DONE}"
        if done in there:
            if files.cat_file(done) == mark.digest.encode():
                return
            files.rm_file(done)
        files.pipe_file(f"{root}/{RESULT}", mark.data())
        wanted = {f"{root}/{path.relative_to(work).as_posix()}": path for path in sorted(_files(work))}
        for name, path in wanted.items():
            files.put_file(str(path), name)
        for name in there - {*wanted, f"{root}/{RESULT}", done}:
            files.rm_file(name)
        files.pipe_file(done, mark.digest.encode())
    except SinkError:
        raise
    except Exception as error:
        raise SinkError(f"{shown}: cannot be uploaded ({one_line(error)})") from None


def _listed(files: Any, root: str) -> list[str]:
    with suppress(FileNotFoundError):
        return [str(name) for name in files.find(root)]
    return []


def _is_ours(files: Any, root: str, mark: ResultMark) -> bool:
    try:
        found = ResultMark.read(files.cat_file(f"{root}/{RESULT}"))
    except FileNotFoundError:
        return False
    return found is not None and (found.batch, found.name) == (mark.batch, mark.name)
