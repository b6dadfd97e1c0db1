"""Proxies: reduced copies of large videos for display, ZIP files of JPEG images in the cache.

Each image stands by itself, so that a seek decodes no other frame. Masks, clicks and exports use the video.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import closing, suppress
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import cv2
import numpy as np

from segue.errors import SinkError, SourceError
from segue.types import Image
from segue.utils.cache import cache_folder, warn_of_cache
from segue.utils.cancel import CancelToken
from segue.utils.files import claim, replacing
from segue.utils.system import lower_thread_priority
from segue.utils.threads import context_thread
from segue_web.video import Video

LARGE = 1080
"""Minimum shorter side in pixels of a video with a proxy."""

SHORT_SIDE = 720
"""Shorter side of a proxy in pixels."""

QUALITY = 85

MAX_BYTES = 8 << 30
"""Maximum bytes of all proxies; the least recently opened one is removed first."""


class Proxy:
    """Reduced copy of a video, made in the background and used once complete.

    Args:
        video: the video; it shows frames of the copy once there is one.
    """

    def __init__(self, video: Video) -> None:
        height, width = video.size
        scale = SHORT_SIDE / min(height, width)
        self._size = round(width * scale), round(height * scale)
        self._video, self._stop = video, CancelToken()
        folder = cache_folder() / "proxies"
        self._of_path = hashlib.sha256(str(video.path.resolve()).encode()).hexdigest()[:16]
        self._path = folder / f"{self._of_path}-{_digest(video)}.zip"
        self._archive: ZipFile | None = None
        self._thread = context_thread(self._open, "segue-proxy")
        video.reduced = self._jpeg
        self._thread.start()

    def wait(self) -> None:
        """Wait until the copy is complete or has failed."""
        self._thread.join()

    def close(self) -> None:
        """Stop making the copy, and close its file."""
        self._stop.cancel()
        self._thread.join()
        archive, self._archive = self._archive, None
        if archive is not None:
            archive.close()

    def _jpeg(self, index: int, width: int) -> bytes | None:
        """JPEG of a frame with a minimum width; None if it must be decoded."""
        archive = self._archive
        if archive is None or width > self._size[0]:
            return None
        with suppress(KeyError, ValueError, OSError, BadZipFile):  # a damaged frame, or it was closed
            return archive.read(_name(index))
        return None

    def _open(self) -> None:
        lower_thread_priority()
        try:
            self._archive = self._opened() or self._build()
        except (OSError, SinkError, SourceError) as error:
            warn_of_cache(f"{self._path}: large videos are shown without a reduced copy ({error})")

    def _opened(self) -> ZipFile | None:
        """Open the complete copy, and mark it as recently used."""
        try:
            archive = ZipFile(self._path)
        except FileNotFoundError:
            return None
        except BadZipFile:
            self._path.unlink()
            return None
        os.utime(self._path)
        return archive

    def _build(self) -> ZipFile | None:
        """Make the copy; None if it was stopped, is too large, or another page makes it."""
        claimed = claim(self._path)
        if claimed is None:
            return self._opened()
        with claimed, suppress(_StoppedError), replacing(self._path) as partial, ZipFile(partial, "w") as new:
            for old in self._path.parent.glob(f"{self._of_path}-*.zip"):
                old.unlink()  # of the video before it changed
            with closing(Video(self._video.path, self._video.index, kept_bytes=0)) as video:
                for index in range(video.count):
                    if self._stop.cancelled or partial.stat().st_size > MAX_BYTES:
                        raise _StoppedError
                    with suppress(SourceError):  # a damaged frame says so where it is shown
                        new.writestr(_name(index), self._encoded(video.frame(index).image))
            if not self._video.is_unchanged:  # its frames are not those that the page shows
                raise _StoppedError
        _remove_oldest(self._path)
        return self._opened()

    def _encoded(self, image: Image) -> bytes:
        reduced = np.asarray(cv2.resize(image, self._size, interpolation=cv2.INTER_AREA), np.uint8)
        options = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
        return cv2.imencode(".jpg", cv2.cvtColor(reduced, cv2.COLOR_RGB2BGR), options)[1].tobytes()


class _StoppedError(Exception):
    """Making the copy was stopped."""


def needs_proxy(video: Video) -> bool:
    """Whether the frames of a video are so large that seeking is slow."""
    return video.count > 1 and min(video.size) >= LARGE


def _name(index: int) -> str:
    return f"{index:06d}.jpg"


def _digest(video: Video) -> str:
    """Digest of a video's files (names, sizes, times) and of the copy's settings."""
    return hashlib.sha256(f"{video.version} {SHORT_SIDE} {QUALITY}".encode()).hexdigest()[:16]


def _remove_oldest(latest: Path) -> None:
    """Remove the least recently used proxies until all fit into MAX_BYTES."""
    proxies = {path: path.stat() for path in latest.parent.glob("*.zip")}
    total = sum(stat.st_size for stat in proxies.values())
    for path in sorted(proxies, key=lambda path: proxies[path].st_mtime_ns):
        if total <= MAX_BYTES:
            return
        if path != latest:
            with suppress(OSError):
                path.unlink()
                total -= proxies[path].st_size
