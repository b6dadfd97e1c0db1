"""What worker processes of tests do with a video; they import this file, which imports little."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace

from segue.batch import Task
from segue.batch import workers as engines
from segue.batch.work import JobConfig


def sees_or_waits(task: Task, order: JobConfig) -> Task:
    """What a worker process sees, as the digest of a video; one called "long" is stopped after its frame."""
    if task.name == "long":
        return replace(task, state="queued" if engines._CANCEL.wait(60) else "failed")
    names = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")
    seen = " ".join(os.environ.get(n, "-") for n in names)
    return replace(task, state="done", frames=sys.modules["torch"].get_num_threads(), digest=seen)


def dies_of_its_video(task: Task, order: JobConfig) -> Task:
    """As the kernel kills a process whose memory runs out."""
    if task.name == "b":
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(task, state="done")
