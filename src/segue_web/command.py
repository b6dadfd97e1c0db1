"""``segue annotate``, ``segue view`` and ``segue serve``: browser pages and servers for other tools."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from segue.cli.options import CERTFILE, KEYFILE, PLAIN_HTTP
from segue.errors import SegueError, SourceError
from segue.reports.terminal import interruptible
from segue.utils.extras import missing_packages
from segue.utils.inputs import missing_message, printable
from segue.utils.naming import short_name
from segue_web.access.addresses import LOOPBACK, page_host
from segue_web.access.encryption import encryption
from segue_web.access.passwords import own_token

if TYPE_CHECKING:
    from segue.formats.labels import Labels
    from segue.jobs.observer import Observer
    from segue_web.annotate import AnnotateBackend
    from segue_web.project.importing import Effect
    from segue_web.project.project import Project
    from segue_web.server.live import LivePage

Measure = Literal["davis", "foreground"]
Tool = Literal["label-studio", "x-anylabeling"]

MAX_LISTED = 20
"""Objects of an imported file that the terminal lists."""

MAX_NAME = 80
"""Characters of the name of a person."""

MAX_CONNECTIONS = 40
"""Tools that may be connected to `segue serve` at once. One more takes the place of one that has not sent its
request, and gets status 503 if there is none."""

PORT = Annotated[int, typer.Option(help="Port; 0 selects a free port.", min=0, max=65535)]
BROWSER = Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")]
PROMPTER = Annotated[
    str | None,
    typer.Option(
        help="Network that converts clicks to masks: segue-prompt, sam2-tiny ..., or a weight file.  "
        "[default: depends on the model]"
    ),
]


def annotate(
    video: Annotated[
        Path, typer.Argument(help="Video file, folder or pattern of images, or folder of videos.")
    ],
    project: Annotated[
        Path | None,
        typer.Option(
            help="Project folder; for several videos the folder of their projects.  "
            "[default: segue-out/NAME.project; for several videos segue-out]"
        ),
    ] = None,
    import_: Annotated[
        list[Path] | None,
        typer.Option("--import", help="Initial masks, or annotations of COCO, CVAT, labelme, VIA ..."),
    ] = None,
    import_again: Annotated[
        bool,
        typer.Option(help="Import even if the project has objects; imported masks replace its masks."),
    ] = False,
    model: Annotated[
        str,
        typer.Option(help="Tracking network: stcn-lite, sam2-tiny ...; `segue weights list` lists all."),
    ] = "stcn-lite",
    weights: Annotated[Path | None, typer.Option(help="Its weight file.  [default: its own weights]")] = None,
    prompter: PROMPTER = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="JSON file of classes and attributes, added to those of the project."),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(help="Class names, separated by commas, added to those of the project."),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, cuda:1 ...  [default: a GPU if there is one]")
    ] = None,
    user: Annotated[
        str, typer.Option(help="Your name, stored with every change. You can change it on the page.")
    ] = "",
    adopt: Annotated[
        bool,
        typer.Option(help="Open the project with a different or changed video of the same size and length."),
    ] = False,
    copy_to: Annotated[
        Path | None,
        typer.Option(help="Copy the saved project into this folder and exit; the project may be open."),
    ] = None,
    export: Annotated[
        str | None,
        typer.Option(
            help="Export the saved project and exit; the project may be open: davis, coco, cvat, "
            "prores, png16, exr, matte ..."
        ),
    ] = None,
    each_object: Annotated[bool, typer.Option(help="With --export: write each object separately.")] = False,
    premultiplied: Annotated[
        bool | None,
        typer.Option(
            "--premultiplied/--straight",
            help="With --export: colours of cut-outs multiplied by their opacity, or straight.  "
            "[default: premultiplied in OpenEXR, else straight]",
        ),
    ] = None,
    start: Annotated[
        int | None, typer.Option(min=0, help="With --export: first frame.  [default: 0]")
    ] = None,
    end: Annotated[
        int | None, typer.Option(min=1, help="With --export: end before this frame.  [default: the end]")
    ] = None,
    only_with_masks: Annotated[
        bool,
        typer.Option(help="With --export: begin and end with the first and last frame that has a mask."),
    ] = False,
    proxies: Annotated[
        bool,
        typer.Option(help="Show frames of large videos from a reduced copy, made in the cache folder."),
    ] = True,
    port: PORT = 0,
    browser: BROWSER = True,
) -> None:
    """Annotate in the browser: click an object, track it, correct a frame, export.

    Every change is saved immediately in the project folder, and the same command continues the project. Only
    this machine can open the page, at a secret address.

    Examples:

        segue annotate my.mp4

        segue annotate frames/ --project cat.project --import masks/ --no-browser --port 8080

        segue annotate my.mp4 --model sam2-tiny --prompter sam2-tiny

        segue annotate street.mp4 --classes car,person,bicycle

        segue annotate street.mp4 --labels schema.json

        segue annotate my.mp4 --copy-to backup.project

        segue annotate my.mp4 --export exr

        segue annotate videos/ --user Ann
    """
    need_web()
    user = user.strip()
    if len(user) > MAX_NAME or not user.isprintable():
        raise SegueError(f"--user: give a name of at most {MAX_NAME} characters, without control characters")
    _check_source(video)
    _check_exists(*(import_ or ()))
    from segue.video.sources.images import name_of_source

    name = name_of_source(video)
    videos = _videos_of(video)
    folder = project or Path("segue-out") / (f"{short_name(name)}.project" if videos is None else "")
    if videos is not None and (import_ or adopt or copy_to is not None or export is not None):
        raise SegueError(
            f"{video}: holds several videos; give one of them for --import, --adopt, --copy-to and --export"
        )
    spans = start is not None or end is not None or only_with_masks
    if export is None and (each_object or premultiplied is not None or spans):
        raise SegueError(
            "--each-object, --premultiplied, --straight, --start, --end and --only-with-masks "
            "say how --export writes; give it, too"
        )
    if end is not None and end <= (start or 0):
        raise SegueError(f"--end {end}: give a frame after the first one, {start or 0}")
    if export is not None:
        with interruptible():
            options: dict[str, Any] = {"each": each_object, "premultiplied": premultiplied}
            options |= {"first": start or 0, "last": None if end is None else end - 1}
            options["only_with_masks"] = only_with_masks
            target = _export(video, folder, export, adopt=adopt, **options)
        typer.echo(printable(f"exported: {target}"))
        return
    if copy_to is not None:
        from segue_web.project.store import Store

        Store.copy(folder, copy_to, None if adopt else video)
        typer.echo(f"copied: {copy_to}")
        return
    if labels is not None and classes is not None:
        raise SegueError("--labels has the classes of --classes, too; give one of them")
    from segue.formats.schema import read_schema
    from segue_web.video import Video

    # What is wrong with these is said before PyTorch is imported.
    opened = Video(video) if videos is None else None
    schema = None if labels is None else read_schema(labels)
    from segue.prompts import find_prompter
    from segue.registry import MODELS
    from segue.weights import load_for
    from segue_web.annotate import AnnotateBackend
    from segue_web.project.store import acting
    from segue_web.server import server
    from segue_web.video_list import VideoListBackend

    with interruptible(), acting(user):
        load_for("track", model, weights)  # what is wrong shows now, not at the first tracking
        prompter = prompter or MODELS.find(model).prompter
        find_prompter(prompter, device=device)
        names = [name.strip() for name in (classes or "").split(",") if name.strip()]
        about: dict[str, Any] = {"model": model, "weights": weights, "prompter": prompter, "device": device}
        about |= {"classes": names, "schema": schema, "user": user, "adopt": adopt}
        about["proxies"] = proxies

        def remember(prompter: str) -> None:
            about["prompter"] = prompter  # chosen in the page, and used for the next video, too

        def make(video: Video, place: Path) -> AnnotateBackend:
            return AnnotateBackend(video, place, **about, on_prompter=remember)

        if videos is not None:
            several = VideoListBackend(
                name, videos, folder, lambda path, place: make(Video(path), place), user
            )
            typer.echo(printable(f"projects of {len(videos)} videos: {folder}"))
            server.serve(several, port, browser, folder)
            return
        backend = make(opened or Video(video), folder)
        try:
            _import_into(backend, import_ or (), repeat=import_again)
        except BaseException:
            backend.close()
            raise
        typer.echo(printable(f"project: {folder}"))
        server.serve(backend, port, browser, folder)


def _export(video: Path, project: Path, export_format: str, *, adopt: bool, **options: Any) -> Path:
    """Export a project into its export folder, and return the path."""
    from segue_web.exports import claimed_path, find_export, suffix_of, write_export
    from segue_web.project.source import check_source
    from segue_web.project.store import Store
    from segue_web.video import Video
    from segue_web.viewing import read_project

    try:
        find_export(export_format)
    except SegueError as error:
        raise SegueError(f"--export: {error}") from None
    if not (project / "project.db").is_file():
        raise SegueError(f"{project}: there is no project to export")
    if not adopt:
        check_source(project, Store.source_of(project), video)
    opened = Video(video)
    try:
        annotations = read_project(project, opened, **options)
        suffix = suffix_of(export_format, annotations.each)
        with claimed_path(project / "exports", opened.name, export_format, suffix) as target:
            for _ in write_export(opened, annotations, export_format, target):
                pass
    finally:
        opened.close()
    return target


def _videos_of(place: Path) -> dict[str, Path] | None:
    """Videos below a folder by name; None for a single video, such as a folder of images."""
    if not place.is_dir():
        return None
    from segue_web.video_list import videos_of  # imports PyTorch

    return videos_of(place)


def _import_into(backend: AnnotateBackend, paths: Sequence[Path], *, repeat: bool) -> None:
    """Import files into a project as one change, and print the effects."""
    from segue.formats.reading import read_labels

    project = backend.project
    if not paths:
        return
    if project.has_had_objects and not repeat:
        typer.echo(
            "--import: the project has objects already, nothing was imported; --import-again imports into it"
        )
        return
    labels = [read_labels(path, backend.video) for path in paths]
    with project.change("import"):
        for path, one in zip(paths, labels, strict=True):
            backend.store_import(one, _listed_effects(project, path, one))


def _listed_effects(project: Project, path: Path, labels: Labels) -> list[Effect]:
    """Print the effects of importing a file, and return its content."""
    from segue.formats.reading import skipped_text
    from segue_web.project.importing import additions, effects

    changes = effects(project, labels)
    if labels.skipped:
        typer.echo(f"{path}: left out, for they are no areas: {skipped_text(labels)}")
    if added := additions(project, labels):
        typer.echo(f"{path}: added to the classes and attributes: {', '.join(added)}")
    for effect in changes[:MAX_LISTED]:
        where = "new object" if effect.target is None else f"object {effect.target}"
        typer.echo(f"{path}: {where}, {effect.name}: {effect.text}")
    if len(changes) > MAX_LISTED:
        typer.echo(f"{path}: and {len(changes) - MAX_LISTED} more objects")
    return changes


def serve(
    tool: Annotated[Tool, typer.Argument(help="Annotation tool to serve.")],
    model: Annotated[str, typer.Option(help="Network; `segue weights list` lists all.")] = "stcn-lite",
    weights: Annotated[Path | None, typer.Option(help="Its weight file.  [default: its own weights]")] = None,
    prompter: PROMPTER = None,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, cuda:1 ...  [default: a GPU if there is one]")
    ] = None,
    host: Annotated[
        str,
        typer.Option(help="Address to listen on; 0.0.0.0 allows other machines, with a token, by HTTPS."),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port.", min=1, max=65535)] = 9090,
    certfile: CERTFILE = None,
    keyfile: KEYFILE = None,
    plain_http: PLAIN_HTTP = False,
    media: Annotated[
        Path | None, typer.Option(help="Label Studio: its folder of local files (document root).")
    ] = None,
    label_studio: Annotated[
        str | None, typer.Option(help="Label Studio: its address, for uploaded files.")
    ] = None,
    frames: Annotated[
        int, typer.Option(help="Label Studio: number of frames to track an object at a time.", min=1)
    ] = 50,
) -> None:
    """Serve annotation tools: as ML backend of Label Studio or remote server of X-AnyLabeling.

    Files uploaded to Label Studio are read with the token in LABEL_STUDIO_API_KEY. Requests from other
    machines (`--host`) need the token in SEGUE_TOKEN; without it, the command prints a new token. The token
    must be encrypted: use `--certfile`, or `--plain-http` behind a proxy that encrypts. CVAT
    calls `segue_web.services.cvat` through an agent of its cvat-cli.

    Examples:

        segue serve label-studio --media /data --label-studio http://localhost:8080

        segue serve x-anylabeling --port 8000 --model sam2-tiny --prompter sam2-tiny

        segue serve label-studio --host 0.0.0.0 --certfile cert.pem --keyfile key.pem
    """
    need_web()
    from segue.registry import MODELS
    from segue_web.server.address import listening
    from segue_web.server.kit import for_programs, quiet_server
    from segue_web.services.assistant import Assistant

    context = encryption(host, certfile, keyfile, plain_http=plain_http)
    token, is_new = (None, False) if host in LOOPBACK else own_token()
    prompter_name = prompter or MODELS.find(model).prompter
    assistant = Assistant(model=model, weights=weights, prompter=prompter_name, device=device)
    if tool == "label-studio":
        from segue_web.services import label_studio as backend
        from segue_web.services.media import Media

        place = Media(media, label_studio, os.environ.get("LABEL_STUDIO_API_KEY"))
        app = backend.make_app(assistant, place, frames)
    else:
        from segue_web.services import x_anylabeling

        app = x_anylabeling.make_app(assistant)
    listener = listening(host, port)
    scheme = "http" if context is None else "https"
    notice = f"{tool} finds segue at {scheme}://{page_host(host)}:{port}"
    if is_new:
        notice += f" with the token {token}"
    typer.echo(f"{notice}  (Ctrl-C ends)")
    try:
        guarded = for_programs(app, token)
        quiet_server(guarded, context, limit_concurrency=MAX_CONNECTIONS).run(sockets=[listener])
    except KeyboardInterrupt:
        os._exit(130)  # downloads and networks at work are not waited for


def view(
    results: Annotated[Path, typer.Argument(help="Folder or .zip of masks, COCO, YouTube-VIS or CVAT file.")],
    video: Annotated[
        Path | None, typer.Option(help="Video of the results.  [default: their original video]")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="A second result, or the ground truth, to compare with.")
    ] = None,
    measure: Annotated[
        Measure | None,
        typer.Option(
            help="J and F of each object (davis), or recall, precision and F of all foreground "
            "(foreground).  [default: foreground for labels of CDnet2014, else davis]"
        ),
    ] = None,
    port: PORT = 0,
    browser: BROWSER = True,
) -> None:
    """View results in the browser, or compare them with other results or the ground truth.

    Results are outputs of `segue track`, `foreground` and `instances`, and masks of other programs.

    Examples:

        segue view segue-out/dog

        segue view segue-out/dog --against truth/

        segue view results/highway --video highway/input --against highway/groundtruth
    """
    need_web()
    _check_exists(results, against)
    if video is not None:
        _check_source(video)
    from segue_web.server import server
    from segue_web.video import Video
    from segue_web.viewing import ViewBackend, video_of

    server.serve(ViewBackend(Video(video or video_of(results)), results, against, measure), port, browser)


def _check_source(video: Path) -> None:
    """Raise an error unless the video exists; it may be a glob pattern of images. PyTorch is not imported."""
    from segue.video.sources.images import is_source

    if not is_source(video):
        raise SourceError(missing_message(video))


def _check_exists(*places: Path | None) -> None:
    """Raise an error unless files and folders exist; PyTorch is not imported."""
    for place in places:
        if place is not None and not place.exists():
            raise SourceError(missing_message(place))


def live_page(observer: Observer, port: int, browser: bool, events: bool) -> LivePage:
    """Make the page of a run; it forwards progress to an observer."""
    need_web()
    from segue_web.server.live import LivePage

    return LivePage(observer, port=port, browser=browser, events=events)


def need_web() -> None:
    """Raise an error unless the packages of the page are installed."""
    if missing := missing_packages("web"):
        raise SegueError(f"the page needs {missing}")
