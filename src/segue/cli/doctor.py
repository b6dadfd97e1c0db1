"""``segue doctor``: information for bug reports."""

from __future__ import annotations

from typing import Annotated

import typer

from segue.cli.machine import facts, self_test, summary
from segue.utils.inputs import printable


def doctor(
    device: Annotated[str | None, typer.Option(help="Device for the self-test: cpu, cuda, mps.")] = None,
    test: Annotated[
        bool, typer.Option("--test/--no-test", help="Track the bundled video as a self-test.")
    ] = True,
    bench: Annotated[
        bool, typer.Option(help="Time networks on the bundled video and print a table.")
    ] = False,
    tune: Annotated[
        bool,
        typer.Option(help="Measure the fastest layer algorithms on this machine, which should be idle."),
    ] = False,
) -> None:
    """Print information for a bug report: versions, devices, codecs, extras, layers, and a self-test.

    Examples:

        segue doctor

        segue doctor --no-test

        segue doctor --bench --device cuda

        segue doctor --tune
    """
    if tune:
        from segue.cli.timing import tune_machine  # late: it imports PyTorch

        for line in tune_machine():
            typer.echo(printable(line))
        return
    for name, value in facts():
        typer.echo(printable(f"{name}: {value}"))
    failed = False
    if test:
        try:
            typer.echo(f"self-test: {self_test(device)}")
        except (RuntimeError, ImportError, OSError) as error:  # also a library that cannot be loaded
            typer.echo(printable(f"self-test: FAILED ({error})"))
            failed = True
    if bench:
        from segue.cli.timing import table  # late: it imports PyTorch

        typer.echo()
        for line in table(device):
            typer.echo(line)
        typer.echo()
    typer.echo(f"summary: {summary()}{'; the self-test failed' if failed else ''}")
    if failed:
        raise typer.Exit(1)
