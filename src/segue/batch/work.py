"""Process one video: fetch it, run the job, publish the results."""

from __future__ import annotations

import io
import os
import re
import shutil
import socket
import time
from collections.abc import Hashable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from PIL import Image as PillowImage

from segue import jobs, weights
from segue.batch.places import fetch, hide_secrets, key_of, one_line
from segue.batch.plan import Task
from segue.batch.publish import publish
from segue.batch.upload import UploadError
from segue.errors import OutOfMemoryError, ResumeError, SegueError, memory_error
from segue.formats.mask_records import MARKER
from segue.jobs.observer import Observer
from segue.jobs.values import ForegroundJob, TrackJob, VideoJob
from segue.masks import overlay
from segue.options import FilePath, OptionModel, option
from segue.prompt_types import MaskPrompt
from segue.types import Frame, Segmentation
from segue.utils.allocation import permanent_imports, prepare_process
from segue.utils.cancel import CancelToken
from segue.utils.files import remove_partial
from segue.utils.system import finish_removal, remove_folder, set_opencv_threads
from segue.video.sources.addresses import is_url

IMAGE_WIDTH = 320
"""Width of the image of a video in the report, in pixels."""


MEMORY_ADVICE = "take fewer --workers or a smaller --short-side; --retry-failed goes on with what is saved"
"""Advice if a worker runs out of memory."""


class JobConfig(OptionModel):
    """Job and settings for every video of a batch."""

    command: str = option("track", flags="do")
    """Command to run on each video: track, foreground or instances."""

    options: tuple[str, ...] = ()
    """Options of that command, for every video."""

    output: str = option("segue-out", flags="output,out,o", min_length=1)
    """Folder or address of the results."""

    workers: int | None = option(None, ge=1)
    """Number of workers.  [default: one per GPU; without GPUs one per core]"""

    threads: int | None = option(None, ge=1)
    """Threads of each worker.  [default: the cores, shared; 1 on a cluster]"""

    gpus: int | None = option(None, ge=0)
    """Number of GPUs to use; 0 uses none.  [default: all]"""

    per_gpu: int = option(1, ge=1)
    """Workers on each GPU."""

    address: str | None = option(None)
    """Ray cluster: auto, ray://HOST:10001, HOST:6379, or local, which starts a cluster on this machine."""

    shard: str | None = option(None)
    """I/N: process the I-th of N parts of the videos, counted from 1, in each process of a job array."""

    tries: int = option(3, ge=1)
    """A video fails after this many of its workers have died."""

    scratch: FilePath | None = option(None)
    """Folder on each machine for unfinished results.  [default: in the output]"""

    resume: bool = option(False)
    """Continue the batch of this output."""

    retry_failed: bool = option(False)
    """Continue, and repeat failed videos."""

    json_lines: bool = option(False)
    """Print progress as one JSON object per line on standard output."""

    batch: str = ""
    """Identity of the batch, which marks its results."""

    folder: str = "."
    """Base folder of relative paths."""

    own_process: bool = False
    """With one worker, process videos in the caller's process."""


class ProgressRecorder(Observer):
    """Counts frames, and keeps a middle frame with objects for the report."""

    frames = 0
    pace: float | None = None
    _last: tuple[Frame, Segmentation] | None = None
    _next = 1

    def frame(self, frame: Frame, result: Segmentation, note: str) -> None:
        self.frames += 1
        # Frames 1, 2, 4, 8 ... replace one another: the last one lies somewhere in the second half.
        if self.frames >= self._next and (self._last is None or result.mask.any()):
            self._last, self._next = (frame, result), 2 * self.frames

    def computed(self, frames: int, seconds: float) -> None:
        self.pace = seconds / frames if frames else None

    def image(self) -> bytes:
        """JPEG of the kept frame with its objects; empty if there was no frame."""
        if self._last is None:
            return b""
        frame, result = self._last
        thumbnail = PillowImage.fromarray(np.ascontiguousarray(overlay(frame.image, result.mask)))
        thumbnail.thumbnail((IMAGE_WIDTH, IMAGE_WIDTH))
        buffer = io.BytesIO()
        thumbnail.save(buffer, "JPEG", quality=80)
        return buffer.getvalue()


def prepare_worker(threads: int) -> None:
    """Configure a worker process for fast inference, with its number of threads."""
    prepare_process()
    with permanent_imports():
        import torch  # late: options are checked before

    torch.set_num_threads(threads)
    set_opencv_threads(threads)


def attempt(task: Task, order: JobConfig, cancel: CancelToken) -> Task:
    """Process one video, continuing an earlier attempt; always report its outcome.

    A video that was interrupted comes back queued.
    """
    start, watch = time.perf_counter(), ProgressRecorder()
    scratch, key = cast(Path, order.scratch), key_of(task.name)
    fetched, work = scratch / "fetched" / key, scratch / "work" / key
    video = CancelToken()  # callbacks of this video end with it
    cancel.on_cancel(video.cancel)
    remove_partial(work)  # what a killed worker was writing there
    finish_removal(work)
    ended = partial(replace, task, worker=f"{socket.gethostname()}:{os.getpid()}")
    addresses: dict[str, str] = {}
    try:
        job = _placed(task, fetched, work, addresses)
        try:
            _carry_out(job, watch, video, resume=(work / "masks" / MARKER).exists())
        except ResumeError:  # its source or weights have changed since, or what was saved is damaged
            watch = ProgressRecorder()
            remove_folder(work)
            _carry_out(job, watch, video, resume=False)
        image = watch.image()
        digest, stamp = publish(work, order.output, task.name, order.batch)
        details: dict[str, Any] = {"error": None, "digest": digest, "stamp": stamp, "image": image}
        details |= {"frames": watch.frames, "pace": watch.pace}
        outcome = ended(state="done", seconds=time.perf_counter() - start, **details)
    except (KeyboardInterrupt, jobs.RunCancelledError):
        return ended(state="queued")  # what was fetched is kept
    except Exception as error:  # a damaged video must not end the batch
        if (exhausted := memory_error(error)) is not None:
            _NETWORKS.clear()  # the next video begins with what it needs itself
            error = OutOfMemoryError(exhausted.needed, MEMORY_ADVICE)
        kind = "" if isinstance(error, SegueError) else f"{type(error).__name__}: "
        refused = isinstance(error, UploadError)
        text = _with_addresses(kind + one_line(error), addresses)
        outcome = ended(state="failed", error=text, refused=refused)
    finally:
        cancel.forget(video.cancel)
    shutil.rmtree(fetched, ignore_errors=True)
    return outcome


def _with_addresses(text: str, addresses: Mapping[str, str]) -> str:
    """Replace local copies by their addresses in a text; secrets become keys."""
    public = {path: hide_secrets(address) for path, address in addresses.items()}
    public |= {Path(path).name: address for path, address in public.items()}
    if not public:
        return text
    longest_first = sorted(map(re.escape, public), key=len, reverse=True)
    return re.sub("|".join(longest_first), lambda match: public[match[0]], text)


def _placed(task: Task, fetched: Path, work: Path, addresses: dict[str, str]) -> VideoJob:
    """Prepare the job for this machine: fetch remote files, direct results to the scratch folder.

    ``addresses`` gets the address of each downloaded file.
    """
    job = task.job
    assert job is not None

    def here(place: str) -> str:
        if not is_url(place):
            return place
        path = str(fetch(place, fetched))
        addresses[path] = place
        return path

    place = {"place": here(task.source), "origin": task.source if is_url(task.source) else None}
    changes: dict[str, Any] = {
        "source": job.source.model_copy(update=place),
        "outputs": job.outputs.model_copy(update={"folder": work}),
    }
    if isinstance(job, TrackJob):
        changes["prompts"] = tuple(
            replace(item, mask=here(item.path)) if isinstance(item, MaskPrompt) and item.path else item
            for item in job.prompts
        )
    if isinstance(job, ForegroundJob) and isinstance(job.roi, str):
        changes["roi"] = here(job.roi)
    return job.model_copy(update=changes)


_NETWORKS: dict[Hashable, Any] = {}
"""Networks loaded by this worker."""


def forget_networks() -> None:
    """Release the networks of earlier videos."""
    _NETWORKS.clear()


def _carry_out(job: VideoJob, watch: ProgressRecorder, cancel: CancelToken, *, resume: bool) -> None:
    how = job.outputs.model_copy(update={"resume": resume, "overwrite": not resume})
    with weights.keep_networks(_NETWORKS):
        jobs.run(job.model_copy(update={"outputs": how}), watch, cancel)
