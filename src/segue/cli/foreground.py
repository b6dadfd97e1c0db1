"""``segue foreground``: what moves or does not belong to the scene."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Le

from segue.api.foreground import foreground as find_foreground
from segue.cli.options import Options, Values
from segue.cli.running import HOW, PART, SOURCE, job_command, outputs
from segue.jobs import ForegroundJob, Model, VideoSource
from segue.jobs.options import ForegroundOptions, checked
from segue.jobs.parts import DEFAULT_FORMATS


def _side_outputs(
    events: Path | None = None,
    zone: list[str] | None = None,
    notify: str | None = None,
    name_events: str | None = None,
    snapshots: Path | None = None,
    background: Path | None = None,
    explain: Path | None = None,
) -> None:
    """What is written in addition to the masks.

    Args:
        events: table of objects that come and go, .csv or .json; sets --objects.
        zone: region or line to watch for events, such as door=10,20 100,20 100,90 in pixels; two points are a
            line; may be given several times.
        notify: address that receives each event as it happens, with the event as JSON: http:// and https://
            by POST, mqtt:// and mqtts://HOST/TOPIC by MQTT.
        name_events: detector that classifies each object, such as nanodet, at most once for each event.
        snapshots: folder for a picture and a short clip of each event.
        background: write the empty scene at the end: its picture, .png, or all its statistics for
            --scene, .safetensors.
        explain: folder for a strip of pictures for each frame: the frame, the empty scene with its low and
            high quantiles, its features of the past at each scale, the probability.
    """


def _foreground(source: Values, options: Values, extras: Values, part: Values, how: Values) -> ForegroundJob:
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
    names = [*(how["format"] or DEFAULT_FORMATS), *(["events"] if extras["events"] else [])]
    chosen = {name: options[name] for name in ForegroundOptions.model_fields}
    chosen["objects"] = options["objects"] or "events" in names
    return ForegroundJob(
        source=VideoSource(place=source["source"], **part),
        model=Model(name=options["model"], weights=options["weights"]),
        outputs=outputs({**how, "format": dict.fromkeys(names)}),
        device=how["device"],
        fast=how["fast"],
        options=checked(ForegroundOptions, chosen),
        zones=tuple(extras.pop("zone") or ()),
        **{name: options[name] for name in ("flow", "flow_weights", "roi", "scene", "depth")},
        **extras,
    )


foreground = job_command(
    _foreground,
    SOURCE,
    Options(
        find_foreground,
        "model weights flow flow_weights threshold roi min_area objects shadows scene passes depth "
        "short_side without follow_camera warm_up fps",
        types={
            "model": str,
            "without": str | None,
            "flow": str | None,
            "scene": str,
            "passes": Annotated[int | None, Ge(1), Le(2)],
        }
        | dict.fromkeys(("weights", "flow_weights", "roi", "depth"), Path | None),
        help={
            "model": "Network by name, or mog2, knn, median (running median), difference (of frames).",
            "flow": "For networks with optical flow: dis, farneback, raft, or a folder of files of another "
            "program (.flo, PNG of KITTI, flow pictures).",
            "roi": "Mask of where to look: anything but black.",
            "scene": "Empty scene: median, mog2, knn, a picture, or what --background has written.",
            "passes": "2 learns the empty scene of all of a film first, as mustan-lite does with files.",
            "without": "Rules to leave out, with commas between: align, rain, shadows and others.",
            "follow_camera": "For networks; auto: while it pans, as mustan-lite does in one pass.",
        },
    ),
    Options(_side_outputs, "events zone notify name_events snapshots background explain"),
    replace(PART, names="start end duration max_size on_damage when_late"),
    HOW,
)
