"""``segue data``: inspect data sets; nothing is downloaded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from segue.datasets.check import DataCheck, check_data, foreground_videos
from segue.entries.formats import Format, Holds
from segue.errors import DatasetError, SinkError
from segue.registry import DATASETS, FORMATS
from segue.reports.terminal import Files, print_table, progress
from segue.utils.inputs import printable
from segue.utils.naming import first_few

FORMATS_HEADER = ("format", "name", "file", "use", "masks", "objects", "also holds")

_MASKS = {
    "exact": "each pixel, also where objects overlap",
    "visible": "each visible pixel",
    "outlines": "one outline of each object",
    "boxes": "boxes of what is visible",
}

_ALSO = {
    "classes": "class",
    "names": "name",
    "colours": "colour",
    "scores": "score",
    "attributes": "attributes",
    "frame_attributes": "attributes of frames",
    "schema": "label schema",
    "keys": "shapes with keys",
    "empty": "frames without objects",
}

app = typer.Typer(
    help="Data sets and formats: list them, check folders, convert annotations.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


@app.command("check")
def check(
    root: Annotated[Path, typer.Argument(help="Folder of the data set.")],
    kind: Annotated[
        str | None, typer.Option(help="Which data set it is.  [default: the one whose layout it has]")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the report as JSON.")
    ] = None,
) -> None:
    """List the videos in a folder of a data set, missing files, and the address of the data set.

    Images and labels must have readable headers and match each other. The command does not download or
    change files. The exit code is 1 if there is a problem; missing videos do not count as a problem.

    Examples:

        segue data check CDnet2014

        segue data check DAVIS --kind davis --json davis.json
    """
    files = Files(json_file=json_file)
    files.check(root)
    with progress("checking") as show:
        report = check_data(root, kind, progress=show)
    _print(report)
    files.save(report.values())
    if report.problems or any(video.problems for video in report.videos):
        raise typer.Exit(1)


@app.command("list")
def list_sets() -> None:
    """List the data sets that segue reads, and their addresses."""
    rows = [(entry.name, (entry.title, entry.address, entry.licence, entry.layout)) for entry in DATASETS]
    print_table(("data set", "name", "address", "terms", "layout"), rows)


@app.command("composites")
def composites(
    root: Annotated[Path, typer.Argument(help="Folder of a data set with foreground labels.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the images; it must be empty.")],
    kind: Annotated[
        str | None, typer.Option(help="Which data set it is.  [default: the one whose layout it has]")
    ] = None,
    sequence: Annotated[list[str] | None, typer.Option(help="Only this video. Repeatable.")] = None,
    frames: Annotated[
        int | None,
        typer.Option(min=1, help="Maximum number of frames per video, evenly spaced.  [default: all]"),
    ] = None,
) -> None:
    """Write composite images for the programs of HOFAM: frame, flow and ground truth side by side.

    Each image is 768 by 256 pixels. The flow is computed by DIS to the frames 1, 3 and 5 back. Shadow and
    unknown pixels of CDnet2014 count as background, as in the images of the release.

    Examples:

        segue data composites CDnet2014 -o composites --frames 200

        segue reproduce hofam hofam --data hofam=composites --weights hofam=hofam.safetensors
    """
    from segue.datasets.foreground.composites import write_composites  # PyTorch
    from segue.flow import FlowImages

    if output.exists() and any(output.iterdir()):
        raise SinkError(f"{output}: is not empty; give another folder")
    videos = foreground_videos(root, kind)
    if unknown := [name for name in sequence or () if name not in {video.key for video in videos}]:
        raise DatasetError(
            f"{root} has no video {unknown[0]}; there are {first_few([video.key for video in videos])}"
        )
    selected = [video for video in videos if not sequence or video.key in sequence]
    flow, count = FlowImages(), 0
    with progress("writing") as show:
        for done, video in enumerate(selected, start=1):
            count += sum(1 for _ in write_composites(video, output, flow, frames))
            show(done, len(selected), video.key)
    typer.echo(f"{count} images of {len(selected)} videos: {output}")


@app.command("formats")
def list_formats() -> None:
    """List the formats that segue reads and writes, and what a round trip keeps.

    A name in parentheses is the one of `segue annotate --export`.
    """
    print_table(FORMATS_HEADER, [(row[0], row[1:]) for row in format_rows()])


@app.command("convert")
def convert_labels(
    source: Annotated[Path, typer.Argument(help="File, folder or zip of annotations, masks or results.")],
    target: Annotated[Path, typer.Argument(help="File or folder to write.")],
    format: Annotated[
        str | None,
        typer.Option(help="Format to write.  [default: the one of the ending of TARGET]"),
    ] = None,
    video: Annotated[
        Path | None,
        typer.Option(help="Video or folder of images.  [default: the images in SOURCE]"),
    ] = None,
    all_frames: Annotated[
        bool, typer.Option(help="Write frames without annotation, too, as frames without objects.")
    ] = False,
    overwrite: Annotated[bool, typer.Option(help="Replace an existing file.")] = False,
) -> None:
    """Convert annotations or results of a video from any format that segue reads to any that it writes.

    The format of SOURCE is recognised. The table of formats in the documentation says what each one holds.

    Examples:

        segue data convert cvat.xml coco.json --video street.mp4

        segue data convert masks/ street-yolo --format yolo --video street.mp4

        segue data convert street-davis street.xml --format cvat
    """
    from segue.formats.conversion import convert  # video decoders

    done = convert(source, target, video=video, format=format, all_frames=all_frames, overwrite=overwrite)
    for kind, number in done.skipped.items():
        typer.echo(f"left out: {number} {printable(kind)}, which are no areas", err=True)
    typer.echo(printable(f"{done.format}: {done.objects} objects on {done.frames} frames: {done.path}"))


def _print(report: DataCheck) -> None:
    videos = report.videos
    rows = [(one.name, (str(one.frames), str(one.labelled), "; ".join(one.problems))) for one in videos]
    print_table((report.origin.title, "frames", "labelled", "problems"), rows)
    for problem in report.problems:
        typer.echo(f"problem: {printable(problem)}", err=True)
    if report.missing:
        typer.echo(f"missing: {len(report.missing)} videos: {printable(first_few(report.missing))}", err=True)
    if not report.complete:
        typer.echo(f"from: {report.origin.address} ({report.origin.licence})", err=True)


def format_rows() -> Iterator[tuple[str, ...]]:
    """Rows of :data:`FORMATS_HEADER` for all formats, also of plug-ins."""
    for entry in FORMATS:
        if isinstance(entry, Format):
            ways = [way for way, has in (("read", entry.read), ("written", entry.open)) if has is not None]
            if entry.holds is not None:
                ways = ["read, written"]
            name = entry.name if entry.export_name == entry.name else f"{entry.name} ({entry.export_name})"
            about = (entry.title or entry.name, entry.file or "-", ", ".join(ways))
            yield (name, *about, *(("", "", "") if entry.holds is None else _words(entry.holds)))


def _words(holds: Holds) -> tuple[str, str, str]:
    objects = [f"ids to {holds.max_id}" if holds.max_id else "new ids"]
    if not holds.tracks:
        objects = ["the n-th of a class on each frame is one"]
    if holds.layers:
        objects.append("who lies on top")
    if holds.void_ids:
        objects.append(f"not {' and '.join(map(str, holds.void_ids))}")
    also = [words for field, words in _ALSO.items() if getattr(holds, field)]
    return _MASKS[holds.masks], ", ".join(objects), ", ".join(also)
