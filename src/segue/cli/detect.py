"""``segue detect``: the objects of one frame."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from annotated_types import Ge

from segue.cli.options import Options, Values, command
from segue.cli.running import How
from segue.errors import PromptError
from segue.jobs.detecting import detect_first, require_free, write_found
from segue.jobs.parts import Finding
from segue.jobs.prompting import DEFAULT_NOTICE, make_detector
from segue.notices import notice
from segue.prompts.selection import Found
from segue.registry import DETECTORS
from segue.reports.terminal import print_table
from segue.sessions.detecting import detector
from segue.video import open_source

FINDING = Options(
    detector,
    "name:with weights classes score max_objects features refine tiles",
    {"name": None},
    {
        "name": str | None,
        "weights": Path | None,
        "classes": str | None,
        "tiles": Annotated[int | None, Ge(1)],
    },
    {
        "name": f"What finds the objects: {', '.join(DETECTORS.names)}.",
        "classes": "Labels to keep, such as person,car.",
        "refine": "What draws the mask to the edges.  [default: crf, for nanodet network]",
    },
)
"""How objects are found; for :func:`chosen_finding`."""


def chosen_finding(found: Values, every: int | None = None) -> Finding:
    """What finds objects, from the options."""
    classes = found["classes"]
    names = None if classes is None else tuple(name.strip() for name in classes.split(",") if name.strip())
    if names == ():
        raise PromptError(f"classes {classes!r}: give names separated by commas, such as person,car")
    return Finding(**{**found, "classes": names}, every=every)


@dataclass(frozen=True, slots=True)
class Output(How):
    """What is written.

    Attributes:
        json: write the objects as JSON into this file.
    """

    json: Path | None = None


def _detect(source: Values, found: Values, written: Values) -> None:
    """Find the objects of a picture, or of one frame of a video, and draw them.

    Prints a table, and writes `mask.png` (an index mask) and `overlay.png`.

    Examples:

        segue detect street.jpg --with maskrcnn --classes person,car --score 0.7

        segue detect photo.jpg --with lost --refine grabcut

        segue detect my.mp4 --start 12.5s --json objects.json
    """
    out = Output(**written)
    opened = open_source(**source)
    folder = out.output or Path("segue-out") / opened.name
    targets = [folder / "mask.png", folder / "overlay.png", *([out.json] if out.json else [])]
    require_free(targets, out.overwrite)
    finding = chosen_finding(found)
    find = make_detector(finding, out.device)
    if finding.name is None:
        notice(DEFAULT_NOTICE)
    frame, result = detect_first(opened, find)
    write_found(frame, result, targets)
    for path in targets:
        notice(f"written: {path}")
    _print(result)


detect = command(
    _detect,
    Options(
        open_source,
        "source! start",
        types={"source": str, "start": str | None},
        help={
            "source": "Picture, video, image folder, glob, camera or address.",
            "start": "Frame of a video: 250, 12.5s or 1:30.",
        },
    ),
    FINDING,
    Options(Output, "output:output,o json device overwrite"),
)


def _print(found: Found) -> None:
    rows = []
    for item in found.objects:
        sides = ",".join(f"{side:g}" for side in item.box or ())
        rows.append((str(item.id), (item.label or "", f"{item.score:.3f}", sides, str(item.area))))
    print_table(("id", "label", "score", "box", "area"), rows)
    if not rows:
        typer.echo("no object was found", err=True)
