"""Serve the page for a job, or for results that are looked at."""

from __future__ import annotations

import threading
import webbrowser
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from segue.errors import SegueError
from segue.extras import missing_packages
from segue.jobs.observer import Observer
from segue.jobs.values import AnnotateJob

if TYPE_CHECKING:
    from segue_web.live import LivePage
    from segue_web.server import Backend


def run_job(job: AnnotateJob, observer: Observer) -> None:
    """Serve the page of a film until it is closed.

    Args:
        job: the film, its project, and what tracks.
        observer: receives the folder of the project.

    Raises:
        SegueError: the film or what is imported cannot be read, or the extra ``web`` is missing.
    """
    need_web()
    from segue.prompts import find_prompter
    from segue.registry import MODELS
    from segue.weights import load_for
    from segue_web.annotate import AnnotateBackend
    from segue_web.film import Film
    from segue_web.label_files import read_complete_labels

    load_for("track", job.model.name, job.model.weights)  # what is wrong shows now, not at the first tracking
    prompter = job.prompter or MODELS.find(job.model.name).prompter
    find_prompter(prompter, device=job.device)
    film = Film(job.film)
    folder = job.project or _default_folder(film.name)
    backend = AnnotateBackend(
        film,
        folder,
        model=job.model.name,
        weights=job.model.weights,
        prompter=prompter,
        device=job.device,
        classes=job.classes,
    )
    if job.imports:
        film.wait()  # files name frames by number
    for path in job.imports:
        labels = read_complete_labels(path, film)
        count = backend.import_labels(labels)
        typer.echo(f"{path}: added {len(labels.names)} objects on {count} frames; nothing was replaced")
    observer.written("project", folder)
    serve_page(backend, job.port, job.browser)


def copy_project(film: Path, project: Path | None, target: Path) -> Path:
    """Copy the project of a video, also while a page has it open; returns the new folder."""
    from segue_web.store import Store

    Store.copy(project or _default_folder(film.stem if film.is_file() else film.resolve().name), target)
    return target


def _default_folder(name: str) -> Path:
    """Folder of the project of a video of this name."""
    return Path("segue-out") / f"{name}.project"


def live_page(observer: Observer, port: int, browser: bool) -> LivePage:
    """The page of a run, which also passes the progress on to an observer.

    Args:
        observer: receives the progress as well.
        port: of the page; 0 takes a free one.
        browser: open the page in the browser.

    Returns:
        An observer that is a context manager; the page is served inside its block.

    Raises:
        SegueError: the extra ``web`` is missing, or the port cannot be used.
    """
    need_web()
    from segue_web.live import LivePage

    return LivePage(observer, port=port, browser=browser)


def serve_page(backend: Backend, port: int, browser: bool) -> None:
    """Serve a page until Ctrl-C, at an address that is reported and, if wanted, opened in the browser.

    Args:
        backend: answers messages.
        port: of the page; 0 takes a free one.
        browser: open the page in the browser.
    """
    from segue_web.server import serve

    serve(backend, port, partial(report_address, browser=browser))


def report_address(address: str, browser: bool) -> None:
    """Report the address of a page that answers, and open it if that is wanted.

    Args:
        address: address of the page, with its secret.
        browser: open it in the browser.
    """
    typer.echo(f"Ctrl-C ends; the page is at {address}")
    if browser:  # some browsers come back only when they are closed
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()


def need_web() -> None:
    """See that the packages of the page are installed.

    Raises:
        SegueError: they are not.
    """
    if missing := missing_packages("web"):
        raise SegueError(f"the page needs {missing}")
