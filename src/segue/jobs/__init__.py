"""Jobs: runs as values, and the one way to carry them out.

A job says all of a run: its source, what to follow, the network and its weights, options, outputs. It can be
checked, compared, written as JSON and read again, and :func:`run` carries it out. The command line parses
words into a job; a batch hands jobs to its workers; ``job.json`` beside every result is the job that made it.

Example:
    >>> source, model = VideoSource(place="dog.mp4"), Model(name="stcn-lite")
    >>> job = TrackJob(source=source, model=model, prompts=(BoxValue(box=(120, 80, 310, 260)),))
    >>> from_json(to_json(job)) == job
    True
    >>> outcome = run(job)
"""

from segue.jobs.files import read_job, write_job
from segue.jobs.observer import Observer
from segue.jobs.parts import (
    BoxValue,
    Finding,
    Given,
    MaskFile,
    MaskValue,
    Model,
    Outputs,
    PointValue,
    RemoveValue,
    VideoSource,
)
from segue.jobs.plan import check_plan
from segue.jobs.prompting import mask_values
from segue.jobs.running import Outcome, RunInterrupted, run
from segue.jobs.values import (
    AnnotateJob,
    ExportJob,
    ForegroundJob,
    InstancesJob,
    Job,
    TrackJob,
    TrainJob,
    VideoJob,
    from_json,
    to_json,
)

__all__ = [
    "AnnotateJob",
    "BoxValue",
    "ExportJob",
    "Finding",
    "ForegroundJob",
    "Given",
    "InstancesJob",
    "Job",
    "MaskFile",
    "MaskValue",
    "Model",
    "Observer",
    "Outcome",
    "Outputs",
    "PointValue",
    "RemoveValue",
    "RunInterrupted",
    "TrackJob",
    "TrainJob",
    "VideoJob",
    "VideoSource",
    "check_plan",
    "from_json",
    "mask_values",
    "read_job",
    "run",
    "to_json",
    "write_job",
]
