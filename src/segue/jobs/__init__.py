"""Jobs: runs as values, and their execution.

A job says all of a run: its source, what to follow, the network and its weights, options, outputs. It can be
checked, compared, written as JSON and read again, and :func:`run` carries it out. The command line parses
words into a job; a batch hands jobs to its workers; ``job.json`` beside every result is the job that made it.

Example:
    >>> source, model = VideoSource(place="dog.mp4"), Model(name="stcn-lite")
    >>> job = TrackJob(source=source, model=model, prompts=(BoxPrompt(1, (120, 80, 310, 260)),))
    >>> from_json(to_json(job)) == job
    True
    >>> written = run(job)
"""

from typing import TYPE_CHECKING

from segue.jobs.observer import Observer
from segue.jobs.record import read_job
from segue.jobs.values import (
    DetectorConfig,
    ForegroundJob,
    InstancesJob,
    Job,
    Model,
    Outputs,
    TrackJob,
    VideoJob,
    VideoSource,
    from_json,
    to_json,
)
from segue.options import RuntimeObject
from segue.utils.lazy import lazy_names

if TYPE_CHECKING:
    from segue.jobs.running import RunCancelledError, RunInterrupted, run
    from segue.utils.cancel import CancelToken

__all__ = [
    "CancelToken",
    "DetectorConfig",
    "ForegroundJob",
    "InstancesJob",
    "Job",
    "Model",
    "Observer",
    "Outputs",
    "RunCancelledError",
    "RunInterrupted",
    "RuntimeObject",
    "TrackJob",
    "VideoJob",
    "VideoSource",
    "from_json",
    "read_job",
    "run",
    "to_json",
]

# A job can be described and checked before PyTorch is imported, which running it needs.
__getattr__, __dir__ = lazy_names(
    __name__,
    {"segue.jobs.running": "RunCancelledError RunInterrupted run", "segue.utils.cancel": "CancelToken"},
)
