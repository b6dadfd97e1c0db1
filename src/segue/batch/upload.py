"""Upload results to object stores: checked before the first video, compared after each."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

from segue.batch.places import DONE, RESULT, StoreSilentError, file_system, hide_secrets, one_line
from segue.errors import SegueError, SinkError
from segue.utils.naming import first_few

CHECK = ".segue.check"
"""Folder in the output for test files, which are written and removed."""

TRIES = 3
"""Number of attempts to upload a file."""


class UploadError(SinkError):
    """A store refused results."""


def check_store(output: str) -> None:
    """Check that results can be uploaded: write a small file, read it back and remove it."""
    with (
        _uploading(output, "results cannot be written there"),
        TemporaryDirectory(prefix="segue-") as here,
    ):
        sample = Path(here, token_hex(8))  # others may look at the same time
        sample.write_text(sample.name)
        files, root = file_system(output)
        folder = f"{root.rstrip('/')}/{CHECK}"
        _send(files, folder, {f"{folder}/{sample.name}": sample})
        files.rm_file(f"{folder}/{sample.name}")


def upload(work: Path, place: str, mark: bytes, digest: str) -> None:
    """Upload all files of a folder to an empty place or one with this mark; the digest comes last.

    Args:
        work: the folder; its mark is among the files.
        place: address of a folder.
        mark: beginning of the mark of results that are replaced.
        digest: content of the last file.
    """
    with _uploading(place, "cannot be uploaded"):
        files, root = file_system(place)
        files.invalidate_cache()
        existing = set(files.find(root)) if files.exists(root) else set()
        marked, done = f"{root}/{RESULT}", f"{root}/{DONE}"
        if existing and not _belongs_to_batch(files, existing, marked, mark):
            public = hide_secrets(place)
            raise SinkError(
                f"{public}: exists already, and this batch did not write it; choose another output"
            )
        if done in existing:
            files.rm_file(done)
        paths = [Path(folder, name) for folder, _, names in os.walk(work) for name in names]
        uploads = {f"{root}/{path.relative_to(work).as_posix()}": path for path in sorted(paths)}
        _send(files, root, {marked: uploads[marked]})  # first what says whose they are
        _send(files, root, {target: path for target, path in uploads.items() if target != marked})
        for target in existing - {*uploads, done}:
            files.rm_file(target)
        files.pipe_file(done, digest.encode())
        if files.cat_file(done) != digest.encode():
            files.rm_file(done)
            raise SinkError(f"{hide_secrets(place)}: {DONE} has not arrived as it was sent")


def _belongs_to_batch(files: Any, existing: set[str], marked: str, mark: bytes) -> bool:
    """Whether a place is empty or belongs to this video, also with a partial mark."""
    content: bytes = files.cat_file(marked) if marked in existing else b"no mark"
    return content.startswith(mark) or (existing == {marked} and mark.startswith(content))


@contextmanager
def _uploading(place: str, what: str) -> Iterator[None]:
    """Turn errors of a store into one error that names the place."""
    try:
        yield
    except StoreSilentError as error:
        raise UploadError(str(error)) from None
    except SegueError:
        raise
    except Exception as error:  # every fsspec backend has errors of its own
        raise UploadError(f"{hide_secrets(place)}: {what} ({one_line(error)})") from None


def _send(files: Any, root: str, uploads: Mapping[str, Path]) -> None:
    """Upload files until the store has each with its size and content."""
    missing = uploads
    for _ in range(TRIES):
        for target, path in missing.items():
            files.put_file(str(path), target)
        files.invalidate_cache()
        stored = files.find(root, detail=True)
        missing = {
            target: path
            for target, path in missing.items()
            if target not in stored or not _is_complete(files, target, stored[target], path)
        }
        if not missing:
            return
    names = first_few(path.name for path in missing.values())
    raise OSError(f"{names}: other bytes arrived than were sent, {TRIES} times; look at a proxy on the way")


def _is_complete(files: Any, target: str, info: Mapping[str, Any], path: Path) -> bool:
    """Whether a store has a file, by size and MD5 if known, otherwise by content."""
    if info.get("size") != path.stat().st_size:
        return False
    with path.open("rb") as file:
        if _digest(file, "md5") in set(_md5s(info)):
            return True
    with path.open("rb") as file, files.open(target, "rb") as remote:
        return _digest(file, "sha256") == _digest(remote, "sha256")


def _md5s(info: Mapping[str, Any]) -> Iterator[str]:
    """Possible MD5s of an object as S3, Google and Azure report them; multipart uploads differ."""
    yield str(info.get("ETag") or info.get("etag") or "").strip('"')
    yield base64.b64decode(str(info.get("md5Hash") or "")).hex()
    yield bytes((info.get("content_settings") or {}).get("content_md5") or b"").hex()


def _digest(file: BinaryIO, name: str) -> str:
    digest = hashlib.new(name, usedforsecurity=False)
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()
