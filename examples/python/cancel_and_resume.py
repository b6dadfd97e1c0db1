"""Stop a job after some frames and resume it later; the files match those of an uninterrupted run.

python cancel_and_resume.py my.mp4 300,80,360,160
"""

import sys
from pathlib import Path

import segue
from segue.jobs import CancelToken, Model, Observer, Outputs, RunCancelledError, TrackJob, VideoSource
from segue.types import Frame, Segmentation

path, (x0, y0, x1, y1) = sys.argv[1], map(float, sys.argv[2].split(","))
token = CancelToken()


class Stop(Observer):
    """Cancels at frame 2; a server would cancel at a user's request."""

    def frame(self, frame: Frame, result: Segmentation, note: str) -> None:
        print(frame.index, note)
        if frame.index == 2:
            token.cancel()


outputs = Outputs(folder=Path("out"), formats=("png", "overlay"))
job = TrackJob(
    source=VideoSource(place=path),
    model=Model(name="stcn-lite"),
    prompts=(segue.BoxPrompt(1, (x0, y0, x1, y1)),),
    outputs=outputs,
)
try:
    segue.jobs.run(job, Stop(), token)
except RunCancelledError as error:
    print(error)
resumed = outputs.model_copy(update={"resume": True})
print(segue.jobs.run(job.model_copy(update={"outputs": resumed})))
