"""``segue foreground``: what moves or does not belong to the scene."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from segue.api.foreground import (
    check_rate,
    chosen_frames,
    flow_files,
    following,
    make_background,
    make_model,
    preferred,
)
from segue.cli.job import DEFAULT_FORMATS, FORMATS, How, Job, Note, explained, run_settings
from segue.errors import SegueError, SinkError, SourceError
from segue.inputs import printable
from segue.masks import read_stored_mask
from segue.sessions.camera import Method
from segue.sessions.foreground import ForegroundSession
from segue.sessions.foreground_masks import ForegroundMasks
from segue.types import Image, Segmentation
from segue.video import Source, open_source
from segue.video.images import IMAGE_SUFFIXES, read_image, write_picture
from segue.video.readers import DamageError
from segue.video.source import DamagePolicy

EXAMPLES = """
Find what moves or does not belong to the scene.

The result is a mask for every frame, 1 where something is in front of the background, and an overlay video.

Examples:

    segue foreground camera.mp4

    segue foreground rtsp://camera/stream --objects --events events.csv --fps 10

    segue foreground 0 --format overlay --roi street.png --min-area 80

    segue foreground frames/ --model knn --format cdnet --output results/baseline/highway

    segue foreground walk.mp4 --follow-camera ecc

    segue foreground tree.mp4 --explain why

    segue foreground long.mp4 --shadows --background empty.png --resume
"""


def foreground(
    source: Annotated[str, typer.Argument(help="Video, image folder, glob, camera number or address.")],
    model: Annotated[
        str,
        typer.Option(help="Network by name, or mog2, knn, median (running median), difference (of frames)."),
    ] = "mustan-lite",
    weights: Annotated[Path | None, typer.Option(help="Weight file of the network.")] = None,
    flow: Annotated[
        str,
        typer.Option(
            help="Optical flow for hofam and stam: dis, farneback, raft, or a folder of files of another "
            "program (.flo, PNG of KITTI, flow pictures)."
        ),
    ] = "dis",
    flow_weights: Annotated[Path | None, typer.Option(help="Weights of torchvision's raft_small.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Output folder.  [default: segue-out/NAME]")
    ] = None,
    format: Annotated[list[str] | None, typer.Option(help=FORMATS)] = None,
    side_by_side: Annotated[
        bool, typer.Option("--side-by-side", help="Put the plain frame beside the overlay.")
    ] = False,
    objects: Annotated[bool, typer.Option("--objects", help="An id for every connected piece.")] = False,
    shadows: Annotated[bool, typer.Option("--shadows", help="Mark shadow as 2.")] = False,
    events: Annotated[
        Path | None, typer.Option(help="Table of objects that come and go, .csv or .json; sets --objects.")
    ] = None,
    background: Annotated[
        Path | None, typer.Option(help="Write the picture of the empty scene at the end, .png.")
    ] = None,
    explain: Annotated[
        Path | None,
        typer.Option(
            help="Folder for a strip of pictures for each frame: the frame, the empty scene with its low and "
            "high quantiles, what the network makes of the past at each scale, the probability."
        ),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Foreground from this probability on.  [default: the model's own]")
    ] = None,
    roi: Annotated[Path | None, typer.Option(help="Mask of where to look: anything but black.")] = None,
    min_area: Annotated[int, typer.Option(help="Leave out pieces with fewer pixels.")] = 0,
    scene: Annotated[str, typer.Option(help="Empty scene: median, mog2, knn, or a picture file.")] = "median",
    depth: Annotated[
        Path | None, typer.Option(help="Folder of depth maps, one a frame, for a network that takes them.")
    ] = None,
    short_side: Annotated[
        int | None,
        typer.Option(
            help="Reduce frames to this short side for the work; 0 never does.  [default: mostly 240]"
        ),
    ] = None,
    align: Annotated[
        bool, typer.Option("--align/--no-align", help="Hold the picture of a shaken camera still.")
    ] = True,
    follow_camera: Annotated[
        Method | None,
        typer.Option(help="For a camera that pans or is carried: how its motion is found; for networks."),
    ] = None,
    warm_up: Annotated[int, typer.Option(help="Empty masks on so many first frames of a scene.")] = 0,
    fps: Annotated[float | None, typer.Option(help="Take this many frames a second.")] = None,
    start: Annotated[str | None, typer.Option(help="First frame: 250, 12.5s or 1:30.")] = None,
    end: Annotated[str | None, typer.Option(help="First frame not wanted any more.")] = None,
    max_size: Annotated[int | None, typer.Option(help="Reduce frames to this longer side.")] = None,
    on_damage: Annotated[DamagePolicy, typer.Option(help="What an unreadable frame does.")] = "stop",
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 ...")] = None,
    fast: Annotated[bool, typer.Option("--fast", help="bfloat16 where the hardware has it.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing output.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Find foreground; see ``EXAMPLES``, which is the help text."""
    options = dict(locals())
    opened = open_source(source, start=start, end=end, max_size=max_size, on_damage=on_damage)
    _check_composites(opened)
    _check_background(background, overwrite or resume)
    formats = list(format or DEFAULT_FORMATS)
    if events is not None and "events" not in formats:
        formats.append("events")
    threshold, short_side = preferred(model, threshold, short_side)
    made = make_model(model, weights, flow, flow_weights)
    known = flow_files(made, flow, opened)
    if follow_camera is not None:
        made = following(made, follow_camera, device=device, fast=fast)
    try:
        check_rate(fps)
        session = ForegroundSession(
            made,
            background=make_background(_read_scene(scene)),
            masks=ForegroundMasks(
                threshold=threshold,
                roi=None if roi is None else read_stored_mask(roi, str(roi)),
                min_area=min_area,
                objects=objects or "events" in formats,
                shadows=shadows,
            ),
            short_side=short_side or None,
            align=align and follow_camera is None,
            warm_up=warm_up,
            device=device,
            fast=fast,
        )
    except ValueError as error:
        raise SegueError(str(error)) from None
    job = Job(
        opened,
        session,
        run_settings(
            options,
            objects=objects or "events" in formats,
            threshold=threshold,
            short_side=short_side,
        ),
        How(output, formats, side_by_side, device, fast, overwrite, resume, quiet),
        saves=session.restorable,
        places={} if events is None else {"events": events},
    )
    with opened:
        _, frames = job.frames()
        note: Note = _note
        if explain is not None:
            note = explained(session, explain, _note)
        job.run(chosen_frames(frames, fps, depth, known), note=note, total=_expected(opened, fps))
    if background is not None:
        _write_background(background, session.background, model)
        typer.echo(printable(f"background: {background}"))


foreground.__doc__ = EXAMPLES


def _read_scene(scene: str) -> Any:
    """A name as it is, a file as a picture."""
    if scene in ("median", "mog2", "knn"):
        return scene
    path = Path(scene)
    if not path.exists():
        raise SourceError(f"{scene}: no such picture; the scene is median, mog2, knn or a picture file")
    try:
        return read_image(path)
    except DamageError as error:
        raise SourceError(str(error)) from None


def _check_composites(source: Source) -> None:
    """Refuse HOFAM's composites, whose flow and labels would be taken for parts of the scene.

    Raises:
        SourceError: the first picture is one: 768 x 256 pixels, of which the right third is a grey label.
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
    if path.suffix.lower() != ".png":
        raise SinkError(f"{path}: the background is written as .png")
    if path.exists() and not replace:
        raise SinkError(f"{path}: exists already; give --overwrite, or another file")


def _write_background(path: Path, picture: Image | None, model: str) -> None:
    if picture is None:
        raise SinkError(f"{path}: {model} makes no picture of the empty scene")
    write_picture(path, picture)


def _expected(source: Source, fps: float | None) -> int | None:
    """Number of frames, for the progress."""
    count = source.frame_count
    if count is None or fps is None or source.fps is None or fps >= source.fps:
        return count
    return round(count * fps / source.fps)


def _note(result: Segmentation) -> str:
    share = float((result.mask > 0).mean())
    return f"{share:.1%} foreground"
