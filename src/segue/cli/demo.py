"""``segue demo``: the bundled sample, with the bundled weights."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from segue.cli.track import track


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Output folder.")] = Path("segue-out/demo"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing output.")] = False,
) -> None:
    """Follow the objects of the bundled sample video; needs no network and no files of yours.

    Example:

        segue demo --output out/demo
    """
    with resources.as_file(resources.files("segue") / "assets" / "sample") as sample:
        track(
            source=str(sample / "video.mp4"),
            mask=[str(sample / "first.png")],
            output=output,
            side_by_side=True,
            overwrite=overwrite,
        )
