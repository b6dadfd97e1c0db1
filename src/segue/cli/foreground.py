"""``segue foreground``: what moves or does not belong to the scene."""

from __future__ import annotations

import io
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from PIL import Image as PillowImage

from segue.cli.job import DamageName, Job
from segue.errors import SegueError, SinkError, SourceError
from segue.masks import read_stored_mask
from segue.moving import check_rate, chosen_frames, following, make_background, make_model
from segue.sessions.foreground import SHORT_SIDE, ForegroundSession
from segue.sessions.foreground_masks import THRESHOLD, ForegroundMasks
from segue.types import Image, Segmentation
from segue.video import Format, Source, open_source
from segue.video.images import read_image
from segue.video.partial import write_complete
from segue.video.readers import DamageError

EXAMPLES = """
Find what moves or does not belong to the scene.

The result is a mask for every frame, 1 where something is in front of the background, and an overlay video.

Examples:

    segue foreground camera.mp4

    segue foreground rtsp://camera/stream --objects --events events.csv --fps 10

    segue foreground 0 --format overlay --roi street.png --min-area 80

    segue foreground frames/ --model knn --format cdnet --output results/baseline/highway

    segue foreground walk.mp4 --follow-camera ecc

    segue foreground long.mp4 --shadows --background empty.png --resume
"""


class FlowChoice(str, Enum):
    """What gives optical flow."""

    dis = "dis"
    farneback = "farneback"
    raft = "raft"


class MotionName(str, Enum):
    """Ways to follow a camera."""

    features = "features"
    ecc = "ecc"


class FormatName(str, Enum):
    """Formats of results."""

    png = "png"
    overlay = "overlay"
    cdnet = "cdnet"
    coco = "coco"
    ytvis = "ytvis"
    npz = "npz"
    events = "events"


def foreground(
    source: Annotated[str, typer.Argument(help="Video, image folder, glob, camera number or address.")],
    model: Annotated[
        str,
        typer.Option(help="Network by name, or mog2, knn, median (running median), difference (of frames)."),
    ] = "mustan-lite",
    weights: Annotated[Path | None, typer.Option(help="Weight file of the network.")] = None,
    flow: Annotated[FlowChoice, typer.Option(help="Optical flow for hofam and stam.")] = FlowChoice.dis,
    flow_weights: Annotated[Path | None, typer.Option(help="Weights of torchvision's raft_small.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Output folder.  [default: segue-out/NAME]")
    ] = None,
    format: Annotated[
        list[FormatName] | None, typer.Option(help="What to write.  [default: png and overlay]")
    ] = None,
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
    threshold: Annotated[float, typer.Option(help="Foreground from this probability on.")] = THRESHOLD,
    roi: Annotated[Path | None, typer.Option(help="Mask of where to look: anything but black.")] = None,
    min_area: Annotated[int, typer.Option(help="Leave out pieces with fewer pixels.")] = 0,
    scene: Annotated[str, typer.Option(help="Empty scene: median, mog2, knn, or a picture file.")] = "median",
    depth: Annotated[
        Path | None, typer.Option(help="Folder of depth maps, one a frame, for a network that takes them.")
    ] = None,
    short_side: Annotated[
        int, typer.Option(help="Reduce frames to this short side for the work; 0 never does.")
    ] = SHORT_SIDE,
    align: Annotated[
        bool, typer.Option("--align/--no-align", help="Hold the picture of a shaken camera still.")
    ] = True,
    follow_camera: Annotated[
        MotionName | None,
        typer.Option(help="For a camera that pans or is carried: how its motion is found; for networks."),
    ] = None,
    warm_up: Annotated[int, typer.Option(help="Empty masks on so many first frames of a scene.")] = 0,
    fps: Annotated[float | None, typer.Option(help="Take this many frames a second.")] = None,
    start: Annotated[str | None, typer.Option(help="First frame: 250, 12.5s or 1:30.")] = None,
    end: Annotated[str | None, typer.Option(help="First frame not wanted any more.")] = None,
    max_size: Annotated[int | None, typer.Option(help="Reduce frames to this longer side.")] = None,
    on_damage: Annotated[DamageName, typer.Option(help="What an unreadable frame does.")] = DamageName.stop,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 ...")] = None,
    fast: Annotated[bool, typer.Option("--fast", help="bfloat16 where the hardware has it.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing output.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Find foreground; see ``EXAMPLES``, which is the help text."""
    opened = open_source(source, start=start, end=end, max_size=max_size, on_damage=on_damage.value)
    _check_background(background, overwrite or resume)
    formats = [item.value for item in format or (FormatName.png, FormatName.overlay)]
    if events is not None and "events" not in formats:
        formats.append("events")
    made = make_model(model, weights, flow.value, flow_weights)
    if follow_camera is not None:
        made = following(made, follow_camera.value, device=device, fast=fast)
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
    places: dict[Format, Path] = {} if events is None else {"events": events}
    job = Job(
        source=opened,
        session=session,
        output=output or Path("segue-out") / opened.name,
        formats=tuple(formats),
        settings=_settings(
            source=source, model=model, weights=weights, threshold=threshold, roi=roi, min_area=min_area,
            objects=objects or "events" in formats, shadows=shadows, scene=scene, short_side=short_side,
            align=align, warm_up=warm_up, fps=fps, fast=fast, flow=flow.value,
            follow_camera=follow_camera and follow_camera.value, depth=depth,
            flow_weights=flow_weights,
        ),
        side_by_side=side_by_side,
        overwrite=overwrite,
        resume=resume,
        quiet=quiet,
        saves=session.restorable,
        places=places,
    )  # fmt: skip
    with opened:
        _, frames = job.frames()
        job.run(chosen_frames(frames, fps, depth), note=_note, total=_expected(opened, fps))
    if background is not None:
        _write_background(background, session.background, model)
        typer.echo(f"background: {background}")


foreground.__doc__ = EXAMPLES


def _settings(**values: Any) -> dict[str, Any]:
    """What the masks depend on, as JSON values."""
    return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}


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
    buffer = io.BytesIO()
    PillowImage.fromarray(np.ascontiguousarray(picture)).save(buffer, format="PNG")
    write_complete(path, buffer.getvalue())


def _expected(source: Source, fps: float | None) -> int | None:
    """Number of frames, for the progress."""
    count = source.frame_count
    if count is None or fps is None or source.fps is None or fps >= source.fps:
        return count
    return round(count * fps / source.fps)


def _note(result: Segmentation) -> str:
    share = float((result.mask > 0).mean())
    return f"{share:.1%} foreground"
