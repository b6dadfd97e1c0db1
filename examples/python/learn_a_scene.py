"""Learn the background of a fixed camera from one video, and find what moves in another.

python learn_a_scene.py my.mp4 my.mp4
"""

import sys
from pathlib import Path

import segue
from segue.jobs import ForegroundJob, Model, Outputs, VideoSource

empty, video = sys.argv[1:]
job = ForegroundJob(
    source=VideoSource(place=empty),
    model=Model(name="mustan-lite"),
    background=Path("scene.safetensors"),
    outputs=Outputs(folder=Path("learnt"), formats=("png",), overwrite=True),
)
segue.jobs.run(job)
for result in segue.foreground(video, scene="scene.safetensors"):
    print(result.index, int((result.mask > 0).sum()))
