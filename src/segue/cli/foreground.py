"""``segue foreground``: what moves or does not belong to the scene."""

from __future__ import annotations

from segue.cli.options import ChosenOptions
from segue.cli.running import job_command
from segue.jobs.parts import DEFAULT_FORMATS
from segue.jobs.values import ForegroundJob


def _foreground(values: ChosenOptions, *, quiet: bool) -> None:
    """Find what moves or does not belong to the scene.

    The result is a mask for every frame, 1 where something is in front of the background, and an overlay
    video.

    Examples:

        segue foreground camera.mp4

        segue foreground rtsp://camera/stream --objects --events events.csv --fps 10

        segue foreground 0 --format overlay --roi street.png --min-area 80

        segue foreground frames/ --model knn --format cdnet --output results/baseline/highway

        segue foreground walk.mp4 --follow-camera ecc

        segue foreground tree.mp4 --explain why

        segue foreground long.mp4 --shadows --background empty.png --resume

        segue foreground crowded.mp4 --passes 1

        segue foreground 0 --events events.csv --zone "door=10,20 100,20 100,90" --zone "out=0,50 320,50"

        segue foreground 0 --events events.csv --name-events nanodet --snapshots seen --live
    """
    place = ("outputs", "formats")
    if ("events",) in values:
        values[place] = [*(values.get(place) or DEFAULT_FORMATS), "events"]
    if "events" in ",".join(values.get(place, ())).split(","):
        values["options", "objects"] = True


foreground = job_command(
    _foreground,
    ForegroundJob,
    without=["stride"],
    model="mustan-lite",
    model_help="Network by name, or mog2, knn, median (running median), difference (of frames).",
)
