"""Serve the page of a video, or for results that are looked at."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from segue.errors import SegueError
from segue.extras import missing_packages
from segue.inputs import printable
from segue.jobs.observer import Observer

if TYPE_CHECKING:
    from segue_web.live import LivePage

MOST_LISTED = 20
"""Objects of an imported file that the terminal lists."""


def serve_video(
    path: Path,
    project: Path | None,
    *,
    imports: Iterable[Path],
    model: str,
    weights: Path | None,
    prompter: str | None,
    device: str | None,
    classes: tuple[str, ...],
    port: int,
    browser: bool,
) -> None:
    """Serve the page of a video until it is closed."""
    need_web()
    from segue.prompts import find_prompter
    from segue.registry import MODELS
    from segue.weights import load_for
    from segue_web.annotate import AnnotateBackend
    from segue_web.importing import effects, read_import
    from segue_web.server import serve
    from segue_web.video import Video

    load_for("track", model, weights)  # what is wrong shows now, not at the first tracking
    prompter = prompter or MODELS.find(model).prompter
    find_prompter(prompter, device=device)
    video = Video(path)
    folder = project or _default_folder(video.name)
    backend = AnnotateBackend(
        video, folder, model=model, weights=weights, prompter=prompter, device=device, classes=classes
    )
    for path in imports:
        given = read_import(path, video)
        wanted = effects(backend.project, given)
        for effect in wanted[:MOST_LISTED]:
            where = "new object" if effect.target is None else f"object {effect.target}"
            typer.echo(f"{path}: {where}, {effect.name}: {effect.text}")
        if len(wanted) > MOST_LISTED:
            typer.echo(f"{path}: and {len(wanted) - MOST_LISTED} more objects")
        backend.import_all(given, wanted)
    typer.echo(printable(f"project: {folder}"))
    serve(backend, port, browser)


def copy_project(video: Path, project: Path | None, target: Path) -> Path:
    """Copy the project of a video, also while a page has it open; returns the new folder."""
    from segue_web.store import Store

    Store.copy(project or _default_folder(video.stem if video.is_file() else video.resolve().name), target)
    return target


def _default_folder(name: str) -> Path:
    """Folder of the project of a video of this name."""
    return Path("segue-out") / f"{name}.project"


def live_page(observer: Observer, port: int, browser: bool) -> LivePage:
    """The page of a run, which also passes the progress on to an observer."""
    need_web()
    from segue_web.live import LivePage

    return LivePage(observer, port=port, browser=browser)


def need_web() -> None:
    """See that the packages of the page are installed."""
    if missing := missing_packages("web"):
        raise SegueError(f"the page needs {missing}")
