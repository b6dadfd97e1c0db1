"""Serve the page for a job, or for results that are looked at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from segue.errors import SegueError
from segue.extras import missing_packages
from segue.jobs.observer import Observer
from segue.jobs.values import AnnotateJob

if TYPE_CHECKING:
    from segue_web.live import LivePage

MOST_LISTED = 20
"""Objects of an imported file that the terminal lists."""


def run_job(job: AnnotateJob, observer: Observer) -> None:
    """Serve the page of a video until it is closed."""
    need_web()
    from segue.prompts import find_prompter
    from segue.registry import MODELS
    from segue.weights import load_for
    from segue_web.annotate import AnnotateBackend
    from segue_web.importing import effects, read_import
    from segue_web.server import serve
    from segue_web.video import Video

    load_for("track", job.model.name, job.model.weights)  # what is wrong shows now, not at the first tracking
    prompter = job.prompter or MODELS.find(job.model.name).prompter
    find_prompter(prompter, device=job.device)
    video = Video(job.film)
    folder = job.project or _default_folder(video.name)
    backend = AnnotateBackend(
        video,
        folder,
        model=job.model.name,
        weights=job.model.weights,
        prompter=prompter,
        device=job.device,
        classes=job.classes,
    )
    for path in job.imports:
        given = read_import(path, video)
        wanted = effects(backend.project, given)
        for effect in wanted[:MOST_LISTED]:
            where = "new object" if effect.target is None else f"object {effect.target}"
            typer.echo(f"{path}: {where}, {effect.name}: {effect.text}")
        if len(wanted) > MOST_LISTED:
            typer.echo(f"{path}: and {len(wanted) - MOST_LISTED} more objects")
        backend.import_all(given, wanted)
    observer.written("project", folder)
    serve(backend, job.port, job.browser)


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
