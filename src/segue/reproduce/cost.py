"""Cost of a row: time and memory of its network over the first frames of a video."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import torch

from segue.allocation import prepare_process
from segue.jobs.running import open_job
from segue.jobs.values import ForegroundJob, VideoJob
from segue.layers.running import choose_device
from segue.sessions.session import Session
from segue.types import Frame

FRAMES, WARM_UP = 60, 10
"""Number of frames; the first ones do not count for the time."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Time and memory of a network."""

    milliseconds: float  # time of a frame, without reading and writing, see :func:`seconds_of`
    mebibytes: float  # peak memory: of tensors on a GPU, otherwise of the process above its start


def cost_of(job: VideoJob | None) -> Cost:
    """Measure the network of a foreground job, in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measured, job).result()


def _measured(job: VideoJob | None) -> Cost:
    prepare_process()
    assert isinstance(job, ForegroundJob)
    device = choose_device(job.device)
    cuda = device.type == "cuda"
    before = 0.0 if cuda else _peak()
    opened = open_job(
        job.model_copy(
            update={"source": job.source.model_copy(update={"end": FRAMES}), "device": str(device)}
        )
    )
    with opened.source:
        seconds = seconds_of(
            opened.session, opened.frames, partial(torch.cuda.synchronize, device) if cuda else None
        )
    used = torch.cuda.max_memory_allocated(device) / 2**20 if cuda else _peak() - before
    return Cost(1000 * seconds, used)


def seconds_of(session: Session, frames: Iterable[Frame], settle: Callable[[], None] | None = None) -> float:
    """Seconds that a session takes for a frame of a video."""
    times, found = [], []
    for frame in frames:
        begun = time.perf_counter()
        result = session.step(frame)
        if settle is not None:
            settle()
        times.append(time.perf_counter() - begun)
        found.append(result is not None)
    counted = [seconds for seconds, there in zip(times, found, strict=True) if there][WARM_UP:]
    if counted:
        return median(counted)
    begun = time.perf_counter()
    list(session.finish())
    if settle is not None:
        settle()
    return (sum(times) + time.perf_counter() - begun) / max(1, len(times))


def _peak() -> float:
    """Most memory that this process ever took, in MiB; 0 where the system does not tell."""
    try:
        # What getrusage tells on Linux begins with the memory of whoever started this process.
        lines = Path("/proc/self/status").read_text("ascii", "replace").splitlines()
        return next(float(line.split()[1]) / 2**10 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
