"""``segue detect``: the objects of one frame."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from segue.cli.options import ChosenOptions, Fields, command
from segue.cli.running import chosen, show
from segue.jobs.observer import Observer
from segue.jobs.plan import check_detector, check_sources
from segue.jobs.values import DetectJob, checked
from segue.notices import notice
from segue.options import nested
from segue.registry import DETECTORS
from segue.reports.terminal import print_table

if TYPE_CHECKING:
    from segue.types import Frame, Segmentation


class DetectionTable(Observer):
    """Prints the objects of a frame."""

    def notice(self, text: str) -> None:
        notice(text)

    def frame(self, frame: Frame, result: Segmentation, note: str) -> None:
        rows = []
        for item in result.objects:
            sides = ",".join(f"{side:g}" for side in item.box or ())
            rows.append((str(item.id), (item.label or "", f"{item.score:.3f}", sides, str(item.area))))
        print_table(("id", "label", "score", "box", "area"), rows)
        if not rows:
            typer.echo("no object was found", err=True)

    def written(self, name: str, path: Path) -> None:
        notice(f"written: {path}")


def _detect(values: ChosenOptions) -> None:
    """Find the objects of an image, or of one frame of a video, and draw them.

    Prints a table, and writes `mask.png` (an index mask) and `overlay.png`.

    Examples:

        segue detect street.jpg --with maskrcnn --classes person,car --score 0.7

        segue detect street.jpg --text "person, red car"

        segue detect photo.jpg --with lost --refine none

        segue detect my.mp4 --start 12.5s --json objects.json
    """
    job = checked(DetectJob, nested(chosen(values)))
    check_sources([job.source])
    check_detector(job.finding.name, job.finding.weights)
    show(job, lambda _: nullcontext(DetectionTable()))


detect = command(
    _detect,
    Fields(
        DetectJob,
        ("end", "stride", "duration", "max-size", "on-damage", "when-late", "text-at", "auto-every"),
        help={
            "source": "Image, video, image folder, glob, camera or address.",
            "start": "Frame of a video: 250, 12.5s or 1:30.",
            "with": f"What finds the objects: {', '.join(DETECTORS.names)}.  [default: motion; with `--text` "
            "nanodet, or an open-vocabulary detector of the user's cache]",
            "text": 'Phrases to look for, such as "person, red car".',
            "refine": "What draws the mask to the edges.  [default: crf, for boxes network]",
        },
        names={"detector-weights": "weights"},
    ),
)
