"""``segue foreground``: what moves or does not belong to the scene."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from annotated_types import Ge, Le

from segue.api.foreground import foreground as find_foreground
from segue.api.foreground import preferred
from segue.cli.job import DEFAULT_FORMATS, HOW, PART, SOURCE, How, run_job, run_settings
from segue.cli.options import Options, Values, command
from segue.errors import SegueError, SinkError, SourceError
from segue.inputs import printable
from segue.sessions.foreground import ForegroundSession
from segue.sessions.two_passes import LEARNT, TwoPasses
from segue.types import Segmentation
from segue.video import Source, open_source
from segue.video.images import IMAGE_SUFFIXES, read_image, write_picture
from segue.video.readers import DamageError
from segue.video.zones import Zone


def _besides(
    events: Path | None = None,
    zone: list[str] | None = None,
    notify: str | None = None,
    background: Path | None = None,
    explain: Path | None = None,
) -> None:
    """What is written besides the masks.

    Args:
        events: table of objects that come and go, .csv or .json; sets --objects.
        zone: region or line to watch for events, such as door=10,20 100,20 100,90 in pixels; two points are a
            line; may be given several times.
        notify: address that is told of each event as it happens, by HTTP POST with the event as JSON.
        background: write the empty scene at the end: its picture, .png, or all that is known of it for
            --scene, .safetensors.
        explain: folder for a strip of pictures for each frame: the frame, the empty scene with its low and
            high quantiles, what the network makes of the past at each scale, the probability.
    """


def _foreground(source: Values, options: Values, besides: Values, part: Values, how: Values) -> None:
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

        segue foreground crowded.mp4 --passes 2

        segue foreground 0 --events events.csv --zone "door=10,20 100,20 100,90" --zone "out=0,50 320,50"
    """
    run, events, background = How(**how), besides["events"], besides["background"]
    model, fps = options["model"], options["fps"]
    zones = [Zone.parse(text) for text in besides["zone"] or ()]
    if len({zone.name for zone in zones}) < len(zones):
        raise SegueError("two zones have one name; give each a name of its own")
    opened = open_source(**source, **part)
    _check_composites(opened)
    _check_background(background, run.overwrite or run.resume)
    formats = list(run.format or DEFAULT_FORMATS)
    if events is not None and "events" not in formats:
        formats.append("events")
    if (zones or besides["notify"]) and "events" not in formats:
        raise SegueError("zones and messages need events; add --events FILE")
    threshold, short_side = preferred(model, options["threshold"], options["short_side"])
    objects = options["objects"] or "events" in formats
    resolved = {"objects": objects, "threshold": threshold, "short_side": short_side}
    found = find_foreground(opened, **options | resolved, device=run.device, fast=run.fast)
    session = found.session
    settings = run_settings({**source, **options, **besides, **part, **how}, **resolved)
    with opened:
        run_job(
            session,
            opened,
            found.frames,
            replace(run, format=formats),
            settings,
            _note,
            total=_expected(opened, fps),
            saves=session.restorable,
            places=None if events is None else {"events": events},
            explain=besides["explain"],
            zones=zones,
            notify=besides["notify"],
            passes=found.frames if isinstance(found.frames, TwoPasses) else None,
        )
    if background is not None:
        _write_background(background, session, str(model))
        typer.echo(printable(f"background: {background}"))


foreground = command(
    _foreground,
    SOURCE,
    Options(
        find_foreground,
        "model weights flow flow_weights threshold roi min_area objects shadows scene passes depth "
        "short_side align follow_camera warm_up fps",
        types={"model": str, "flow": str, "scene": str, "passes": Annotated[int, Ge(1), Le(2)]}
        | dict.fromkeys(("weights", "flow_weights", "roi", "depth"), Path | None),
        help={
            "model": "Network by name, or mog2, knn, median (running median), difference (of frames).",
            "flow": "Optical flow for hofam and stam: dis, farneback, raft, or a folder of files of another "
            "program (.flo, PNG of KITTI, flow pictures).",
            "roi": "Mask of where to look: anything but black.",
            "scene": "Empty scene: median, mog2, knn, a picture, or what --background has written.",
            "passes": "2 goes through a film once more before, to learn the empty scene of all of it.",
            "follow_camera": "For a camera that pans or is carried: how its motion is found; for networks.",
        },
    ),
    Options(_besides, "events zone notify background explain"),
    replace(PART, names="start end duration max_size on_damage"),
    HOW,
)


def _write_background(path: Path, session: ForegroundSession, model: str) -> None:
    picture, scenes = session.background, session.scenes
    if picture is None or scenes is None:
        raise SinkError(f"{path}: {model} makes no picture of the empty scene")
    if path.suffix.lower() == LEARNT:
        scenes.save(path)
    else:
        write_picture(path, picture)


def _check_composites(source: Source) -> None:
    """Refuse HOFAM's composites, whose flow and labels would be taken for parts of the scene.

    One is known by its first picture: 768 x 256 pixels, of which the right third is a grey label.
    """
    if source.size != (256, 768) or not source.files or source.files[0].suffix.lower() not in IMAGE_SUFFIXES:
        return
    try:
        label = read_image(source.files[0])[:, 512:]
    except DamageError:  # told when the frame is wanted
        return
    grey = bool((label == label[..., :1]).all())
    if grey and float(np.isin(label[..., 0], (0, 255)).mean()) > 0.9:
        raise SourceError(
            f"{source.files[0]}: a composite of HOFAM (frame, flow and label side by side) is no frame; "
            "give the frames, or the folder to `segue run hofam`"
        )


def _check_background(path: Path | None, replace: bool) -> None:
    if path is None:
        return
    if path.suffix.lower() not in (".png", LEARNT):
        raise SinkError(f"{path}: the background is written as .png or {LEARNT}")
    if path.exists() and not replace:
        raise SinkError(f"{path}: exists already; give --overwrite, or another file")


def _expected(source: Source, fps: float | None) -> int | None:
    """Number of frames, for the progress."""
    count = source.frame_count
    if count is None or fps is None or source.fps is None or fps >= source.fps:
        return count
    return round(count * fps / source.fps)


def _note(result: Segmentation) -> str:
    share = float((result.mask > 0).mean())
    return f"{share:.1%} foreground"
