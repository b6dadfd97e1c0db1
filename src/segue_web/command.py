"""``segue annotate`` and ``segue view``: the page in the browser."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from segue.errors import SegueError
from segue.extras import missing_packages

if TYPE_CHECKING:
    from segue_web.server import Backend

Measure = Literal["davis", "foreground"]

PORT = Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535)]
BROWSER = Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")]


def annotate(
    film: Annotated[Path, typer.Argument(help="Video file or folder of pictures.")],
    project: Annotated[
        Path | None, typer.Option(help="Project folder.  [default: segue-out/NAME.project]")
    ] = None,
    import_: Annotated[
        list[Path] | None, typer.Option("--import", help="Masks, COCO, YouTube-VIS or CVAT to begin with.")
    ] = None,
    model: Annotated[
        str, typer.Option(help="What tracks: stcn-lite, stcn, sam2-tiny ...; `segue weights list` shows all.")
    ] = "stcn-lite",
    weights: Annotated[
        Path | None, typer.Option(help="Its weight file.  [default: the one that it has by itself]")
    ] = None,
    prompter: Annotated[
        str, typer.Option(help="What makes masks of clicks: segue-prompt, sam2-tiny ..., or a weight file.")
    ] = "segue-prompt",
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 ...")] = None,
    port: PORT = 0,
    browser: BROWSER = True,
) -> None:
    """Point, look and correct in the browser: click an object, track it, correct a frame, export.

    Everything is saved as it happens, in the project folder; the same command goes on with it. The page is
    for this machine alone, at an address with a secret.

    Examples:

        segue annotate my.mp4

        segue annotate frames/ --project cat.project --import masks/ --no-browser --port 8080

        segue annotate my.mp4 --model sam2-tiny --prompter sam2-tiny
    """
    _need_web()
    from segue.prompts import find_prompter
    from segue.weights import load_for
    from segue_web.annotate import AnnotateBackend
    from segue_web.film import Film
    from segue_web.labels import read_complete_labels

    load_for("track", model, weights)  # what is wrong with it is told now, not at the first tracking
    find_prompter(prompter, device=device)
    opened = Film(film)
    folder = project or Path("segue-out") / f"{opened.name}.project"
    backend = AnnotateBackend(opened, folder, model=model, weights=weights, prompter=prompter, device=device)
    for path in import_ or []:
        labels = read_complete_labels(path, opened)
        typer.echo(f"{path}: {len(labels.names)} objects on {backend.import_labels(labels)} frames")
    typer.echo(f"project: {folder}")
    _serve(backend, port, browser)


def view(
    results: Annotated[Path, typer.Argument(help="Folder or .zip of masks, COCO, YouTube-VIS or CVAT file.")],
    film: Annotated[
        Path | None, typer.Option(help="Film of the results.  [default: the one that they were made of]")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="A second result, or the truth, to compare with.")
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
    """Look at results in the browser, or compare two of them, or one with the truth.

    Results are what `segue track`, `foreground` and `instances` write, and masks of other programs.

    Examples:

        segue view segue-out/dog --film dog.mp4

        segue view segue-out/dog --film dog.mp4 --against truth/

        segue view results/highway --film highway/input --against highway/groundtruth
    """
    _need_web()
    from segue_web.film import Film
    from segue_web.viewing import ViewBackend, film_of

    _serve(ViewBackend(Film(film or film_of(results)), results, against, measure), port, browser)


def _serve(backend: Backend, port: int, browser: bool) -> None:
    from segue_web.server import serve

    def tell(address: str) -> None:
        typer.echo(f"the page is at {address}  (Ctrl-C ends)")
        if browser:
            webbrowser.open(address)

    serve(backend, port, tell)


def _need_web() -> None:
    if missing := missing_packages("web"):
        raise SegueError(f"the page needs {missing}")
