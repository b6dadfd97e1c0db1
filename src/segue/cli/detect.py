"""``segue detect``: detect the objects of one frame."""

from __future__ import annotations

import itertools
from dataclasses import asdict

import typer

from segue.cli.options import Options, Values, command
from segue.errors import SinkError, SourceError
from segue.jobs.opened import first_frame, open_video
from segue.jobs.plan import check_detector, check_source
from segue.jobs.values import DetectorConfig, Outputs, VideoSource, checked
from segue.options import FilePath, OptionModel, option
from segue.registry import DETECTORS
from segue.reports.terminal import interruptible, print_table
from segue.sinks.outputs import check_distinct, check_folder, default_folder
from segue.utils.files import prepare, write_complete
from segue.utils.notices import notice


class FrameDetector(DetectorConfig):
    """Detector for the objects of one frame."""

    weights: FilePath | None = option(None, "Advanced")
    """Weight file of the detector."""


class DetectOptions(OptionModel):
    """Options of ``segue detect``."""

    source: VideoSource
    finding: FrameDetector = FrameDetector()
    outputs: Outputs = Outputs()
    json_file: FilePath | None = option(None, "Output", "json")
    """JSON file for the objects."""

    device: str | None = option(None, "Model")
    """Device for networks: cpu, cuda, cuda:1 ...  [default: a GPU if there is one]"""


def _detect(fields: Values) -> None:
    """Find and draw the objects in an image or video frame.

    The command prints a table and writes `mask.png` (an index mask) and `overlay.png`.

    Examples:

        segue detect street.jpg --with maskrcnn --classes person,car --score 0.7

        segue detect street.jpg --text "person, red car"

        segue detect photo.jpg --with lost --refine none

        segue detect my.mp4 --start 12.5s --json objects.json
    """
    request = checked(DetectOptions, fields)
    check_source(request.source)
    check_detector(request.finding.name, request.finding.weights)
    source = open_video(request.source)
    folder = request.outputs.folder or default_folder(source.name)
    check_folder(folder)
    mask, drawing = folder / "mask.png", folder / "overlay.png"
    places = {"the mask": mask, "the drawing": drawing, "the table": request.json_file}
    paths = [path for path in places.values() if path is not None]
    check_distinct({name: path for name, path in places.items() if path is not None}, source)
    for path in paths:
        if path.exists() and not request.outputs.overwrite:
            raise SinkError(f"{path}: exists already; give --overwrite or another place")
        prepare(path)
    # Late: they import PyTorch.
    from segue.jobs.tracking import DEFAULT_NOTICE, make_detector
    from segue.masks import overlay
    from segue.masks.files import encode_index_mask
    from segue.reports.files import write_json
    from segue.video.sources.images import write_image

    if request.finding.name is None and request.finding.text is None:
        notice(DEFAULT_NOTICE)
    with interruptible(), source:
        find = make_detector(request.finding, request.device)
        frame, frames = first_frame(source.name, source)
        loaded = list(itertools.islice(frames, 1 + find.lookahead))
        if len(loaded) == 1 and find.lookahead:
            raise SourceError(
                f"{source.name}: to find what moves takes a further frame; "
                "for a still image choose another detector with --with"
            )
        detections = find(*loaded)
    captions = {item.id: f"{item.label} {item.score:.2f}" for item in detections.objects if item.label}
    write_complete(mask, encode_index_mask(detections.mask))
    write_image(drawing, overlay(frame.image, detections.mask, captions=captions))
    if request.json_file is not None:
        content = {"frame": frame.index, "time": frame.time, "objects": [*map(asdict, detections.objects)]}
        write_json(request.json_file, content)
    rows = []
    for item in detections.objects:
        sides = ",".join(f"{side:g}" for side in item.box or ())
        rows.append((str(item.id), (item.label or "", f"{item.score:.3f}", sides, str(item.area))))
    print_table(("id", "label", "score", "box", "area"), rows)
    if not rows:
        typer.echo("no object was found", err=True)
    for path in paths:
        notice(f"written: {path}")


detect = command(
    _detect,
    Options(
        DetectOptions,
        without=(
            *("source.end", "source.stride", "source.duration", "source.max_size", "source.on_damage"),
            *("source.when_late", "source.hardware", "source.analyse", "finding.frames", "finding.every"),
            *("outputs.formats", "outputs.side_by_side", "outputs.whole", "outputs.rotate"),
            *("outputs.resume", "outputs.append", "outputs.sound"),
        ),
        help={
            "source.place": "Image, video, image folder, glob, camera or address.",
            "outputs.folder": "Output folder.  [default: segue-out/NAME]",
            "source.start": "Frame of a video: 250, 12.5s or 1:30.",
            "finding.name": f"Detector: {', '.join(DETECTORS.names)}.  [default: motion; with "
            "`--text` nanodet, or an open-vocabulary detector in the user's cache]",
            "finding.text": 'Phrases to detect, such as "person, red car".',
            "finding.refine": "Method that refines the mask.  [default: crf; for box detectors network]",
        },
    ),
)
