"""``segue detect``: the objects of one frame."""

from __future__ import annotations

from pathlib import Path

import typer

from segue.cli.options import ChosenOptions, Fields, Options, Values, command
from segue.errors import SinkError
from segue.jobs.parts import Finding, checked
from segue.jobs.plan import check_detector
from segue.notices import notice
from segue.options import nested
from segue.prompts.selection import Found
from segue.registry import DETECTORS
from segue.reports.terminal import print_table
from segue.video import open_source
from segue.video.partial import prepare

FINDING = Fields(
    Finding,
    ("text-at", "auto-every"),
    help={
        "with": f"What finds the objects: {', '.join(DETECTORS.names)}.  [default: motion; with `--text` "
        "nanodet, or an open-vocabulary detector of the user's cache]",
        "text": 'Phrases to look for, such as "person, red car".',
        "refine": "What draws the mask to the edges.  [default: crf, for boxes network]",
    },
    names={"detector-weights": "weights"},
)


def _output(
    output: Path | None = None, json: Path | None = None, device: str | None = None, overwrite: bool = False
) -> None:
    """Outputs.

    Args:
        output: output folder.  [default: segue-out/NAME]
        json: write the objects as JSON into this file.
        device: where networks run: cpu, cuda, cuda:1 ...  [default: a GPU if there is one]
        overwrite: replace existing output.
    """


def _detect(source: Values, found: ChosenOptions, written: Values) -> None:
    """Find the objects of an image, or of one frame of a video, and draw them.

    Prints a table, and writes `mask.png` (an index mask) and `overlay.png`.

    Examples:

        segue detect street.jpg --with maskrcnn --classes person,car --score 0.7

        segue detect street.jpg --text "person, red car"

        segue detect photo.jpg --with lost --refine grabcut

        segue detect my.mp4 --start 12.5s --json objects.json
    """
    opened = open_source(**source)
    folder = written["output"] or Path("segue-out") / opened.name
    targets = [folder / "mask.png", folder / "overlay.png", *([written["json"]] if written["json"] else [])]
    for path in targets:
        if path.exists() and not written["overwrite"]:
            raise SinkError(f"{path}: exists already; give --overwrite or another place")
        prepare(path)
    finding = checked(Finding, nested({place: value for place, value in found.items() if value is not None}))
    check_detector(finding.name, finding.weights)
    from segue.jobs.detecting import (  # imports PyTorch
        DEFAULT_NOTICE,
        detect_first,
        make_detector,
        write_found,
    )

    find = make_detector(finding, written["device"])
    if finding.name is None and finding.text is None:
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
            "source": "Image, video, image folder, glob, camera or address.",
            "start": "Frame of a video: 250, 12.5s or 1:30.",
        },
    ),
    FINDING,
    Options(_output, "output:output,o json device overwrite"),
)


def _print(found: Found) -> None:
    rows = []
    for item in found.objects:
        sides = ",".join(f"{side:g}" for side in item.box or ())
        rows.append((str(item.id), (item.label or "", f"{item.score:.3f}", sides, str(item.area))))
    print_table(("id", "label", "score", "box", "area"), rows)
    if not rows:
        typer.echo("no object was found", err=True)
