"""Runs ``segue train`` as a user would."""

from __future__ import annotations

from typer.testing import CliRunner

from segue.cli.main import app


def run(*arguments: object) -> str:
    """What the command writes; its errors are raised."""
    result = CliRunner().invoke(
        app, ["train", *map(str, arguments)], catch_exceptions=False, standalone_mode=False
    )
    if result.exception:
        raise result.exception
    return result.output
