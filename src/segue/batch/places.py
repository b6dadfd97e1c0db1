"""Files here and elsewhere, under one name: local paths, and what fsspec knows (``s3://``, ``gs://``, ``https://``)."""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from segue.errors import SegueError, SinkError, SourceError
from segue.video.partial import PartialFile
from segue.weights.checkpoint import sha256

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)

MARK = ".segue.done"
"""File that is written last among the results of a video at a remote place: the digest of all others."""


def is_remote(place: str) -> bool:
    """Whether it is an address rather than a path."""
    return bool(_SCHEME.match(place))


def files_below(place: str, suffixes: Collection[str]) -> list[str]:
    """Addresses of the files below ``place`` with one of these endings, sorted."""
    files, root = _file_system(place)
    try:
        found = files.find(root)
    except Exception as error:  # every fsspec backend has errors of its own
        raise SourceError(f"{place}: cannot be listed ({one_line(error)})") from None
    return sorted(files.unstrip_protocol(name) for name in found if Path(name).suffix.lower() in suffixes)


def remote_size(place: str) -> int | None:
    """Bytes of a remote file; None where that is not known."""
    try:
        files, name = _file_system(place)
        size = files.size(name)
    except Exception:  # the worker that fetches it says what is wrong
        return None
    return None if size is None else int(size)


def fetch(place: str, folder: Path) -> Path:
    """Bring a remote file into ``folder``, whole; one that is there with the right size is taken as it is."""
    target = folder / (hashlib.sha256(place.encode()).hexdigest()[:16] + Path(place.split("?")[0]).suffix)
    partial = PartialFile(target)
    try:
        files, name = _file_system(place)
        if target.exists() and files.size(name) in (None, target.stat().st_size):
            return target
        folder.mkdir(parents=True, exist_ok=True)
        files.get_file(name, str(partial.path))
        partial.commit()
    except SegueError:
        raise
    except Exception as error:
        raise SourceError(f"{place}: cannot be fetched ({one_line(error)})") from None
    finally:
        partial.discard()
    return target


def publish(work: Path, output: str, name: str) -> str:
    """Give the results of a video their final place, all at once as seen from outside; gives their digest.

    On this machine the folder is renamed. At a remote place the files are uploaded one by one, each of them
    whole, and the mark with their digest last; a second worker with the same video writes the same bytes.
    """
    digest = digest_of(work)
    if is_remote(output):
        _upload(work, f"{output.rstrip('/')}/{name}", digest)
        shutil.rmtree(work, ignore_errors=True)
        return digest
    final = Path(output) / name
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        if final.exists():
            shutil.rmtree(final)
        work.replace(final)
    except OSError as error:
        raise SinkError(f"{final}: cannot be written ({error.strerror})") from None
    return digest


def digest_of(folder: Path) -> str:
    """SHA-256 over the names and contents of all files below a folder, in the order of their names."""
    total = hashlib.sha256()
    for path in sorted(_files(folder)):
        total.update(path.relative_to(folder).as_posix().encode() + b"\0")
        total.update(bytes.fromhex(sha256(path)))
    return total.hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def _upload(work: Path, place: str, digest: str) -> None:
    files, root = _file_system(place)
    try:
        with contextlib.suppress(FileNotFoundError):
            if files.cat_file(f"{root}/{MARK}") == digest.encode():
                return
        for path in sorted(_files(work)):
            files.put_file(str(path), f"{root}/{path.relative_to(work).as_posix()}")
        files.pipe_file(f"{root}/{MARK}", digest.encode())
    except Exception as error:
        raise SinkError(f"{place}: cannot be uploaded ({one_line(error)})") from None


def _file_system(place: str) -> tuple[Any, str]:
    try:
        import fsspec
    except ImportError:
        raise SegueError(f"{place}: addresses need fsspec: pip install 'segue[cluster]'") from None
    try:
        return fsspec.core.url_to_fs(place)  # type: ignore[no-any-return]
    except (ImportError, ValueError) as error:
        raise SegueError(f"{place}: {one_line(error)}") from None


def one_line(error: BaseException) -> str:
    """What an error says, without line breaks; its class where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__
