"""``segue detect``: the objects of one frame."""

from __future__ import annotations

import itertools
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import typer

from segue.cli.job import How
from segue.cli.options import Options, Values, command
from segue.cli.prompting import FINDING, chosen_detector
from segue.cli.tables import print_table
from segue.errors import SinkError, SourceError
from segue.masks import overlay
from segue.masks.files import encode_index_mask
from segue.prompts.selection import Found
from segue.reports import prepare
from segue.types import Frame
from segue.video import open_source
from segue.video.images import write_picture
from segue.video.partial import write_complete


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
    _require_free(targets, out.overwrite)
    find = chosen_detector(found, out.device)
    with opened:
        frames = list(itertools.islice(opened, 1 + find.lookahead))
    if not frames:
        raise SourceError(f"{opened.name}: there is no such frame")
    if len(frames) == 1 and find.lookahead:
        raise SourceError(
            f"{opened.name}: to find what moves takes a further frame; "
            "for a still picture choose another detector with --with"
        )
    result = find(*frames)
    _write(frames[0], result, targets)
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


def _require_free(targets: list[Path], overwrite: bool) -> None:
    for path in targets:
        if path.exists() and not overwrite:
            raise SinkError(f"{path}: exists already; give --overwrite or another place")
        prepare(path)


def _write(frame: Frame, found: Found, targets: list[Path]) -> None:
    captions = {item.id: f"{item.label} {item.score:.2f}" for item in found.objects if item.label}
    write_complete(targets[0], encode_index_mask(found.mask))
    write_picture(targets[1], overlay(frame.image, found.mask, captions=captions))
    for path in targets[2:]:
        values = {"frame": frame.index, "time": frame.time, "objects": [*map(asdict, found.objects)]}
        write_complete(path, (json.dumps(values, indent=1) + "\n").encode())
    for path in targets:
        typer.echo(f"written: {path}", err=True)


def _print(found: Found) -> None:
    rows = []
    for item in found.objects:
        sides = ",".join(f"{side:g}" for side in item.box or ())
        rows.append((str(item.id), (item.label or "", f"{item.score:.3f}", sides, str(item.area))))
    print_table(("id", "label", "score", "box", "area"), rows)
    if not rows:
        typer.echo("no object was found", err=True)
