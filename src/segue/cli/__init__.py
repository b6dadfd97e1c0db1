"""Command line: parse, call, show progress."""

from segue.cli.main import app, main

__all__ = ["app", "main"]
