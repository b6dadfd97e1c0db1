"""Jobs: runs as values, and the one way to carry them out.

A job says all of a run: its source, what to follow, the network and its weights, options, outputs. It can be
checked, compared, written as JSON and read again, and :func:`run` carries it out. The command line parses
words into a job; a batch hands jobs to its workers; ``job.json`` beside every result is the job that made it.

Example:
    >>> source, model = VideoSource(place="dog.mp4"), Model(name="stcn-lite")
    >>> job = TrackJob(source=source, model=model, prompts=(BoxPrompt(1, (120, 80, 310, 260)),))
    >>> from_json(to_json(job)) == job
    True
    >>> outcome = run(job)
"""

from typing import TYPE_CHECKING

from segue.lazy import lazy_names

if TYPE_CHECKING:
    from segue.jobs.files import read_job as read_job
    from segue.jobs.files import write_job as write_job
    from segue.jobs.observer import Observer as Observer
    from segue.jobs.parts import Finding as Finding
    from segue.jobs.parts import Given as Given
    from segue.jobs.parts import Model as Model
    from segue.jobs.parts import Outputs as Outputs
    from segue.jobs.parts import VideoSource as VideoSource
    from segue.jobs.plan import check_plan as check_plan
    from segue.jobs.running import RunInterrupted as RunInterrupted
    from segue.jobs.running import RunResult as RunResult
    from segue.jobs.running import run as run
    from segue.jobs.values import DetectJob as DetectJob
    from segue.jobs.values import ForegroundJob as ForegroundJob
    from segue.jobs.values import InstancesJob as InstancesJob
    from segue.jobs.values import Job as Job
    from segue.jobs.values import TrackJob as TrackJob
    from segue.jobs.values import VideoJob as VideoJob
    from segue.jobs.values import from_json as from_json
    from segue.jobs.values import to_json as to_json

_MODULES = {
    "segue.jobs.files": "read_job write_job",
    "segue.jobs.observer": "Observer",
    "segue.jobs.parts": "Finding Given Model Outputs VideoSource",
    "segue.jobs.plan": "check_plan",
    "segue.jobs.running": "RunResult RunInterrupted run",
    "segue.jobs.values": "DetectJob ForegroundJob InstancesJob Job TrackJob VideoJob from_json to_json",
}

__all__ = [*" ".join(_MODULES.values()).split()]

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
