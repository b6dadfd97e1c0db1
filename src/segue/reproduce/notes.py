"""Notes on how a row was run: options, weights, and image sizes."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from itertools import pairwise

from segue.reproduce.asked import How
from segue.reproduce.protocols import protocol_of
from segue.reproduce.tables import Table, TableRow
from segue.reproduce.trained import names_its_start, training_of
from segue.sessions.foreground import SHORT_SIDE

NON_RESULT_OPTIONS = frozenset(
    {"--device", "--devices", "--workers", "--log-every", "--save-every", "--quiet"}
)
"""Options that say how something is done and not what: no number of a table depends on them."""


def notes_of(row: TableRow, model: str, table: Table, how: How) -> Iterator[str]:
    """Notes below a table about a finished row."""
    given = how.run.of(model, row.key)
    if protocol_of(table.dataset).command == "foreground":
        yield seen_as((*table.options, *row.options, *given))
    if words := result_options(given):
        yield f"with further options: {shlex.join(words)}"
    if row.training is None:
        return
    if row.key in how.weights:
        yield f"not trained here; weights of {how.weights[row.key]}"
        return
    if words := result_options(how.train.of(row.training.network, row.key)):
        yield f"trained with further options: {shlex.join(words)}"
    yield from _start_of(row, how)


def _start_of(row: TableRow, how: How) -> Iterator[str]:
    """Published initial weights of a training."""
    training = training_of(row)
    start = training.start
    if start is None:
        return
    if names_its_start(training, how, row.key):
        yield f"the training begins as its options say, not from {start.name}"
    elif start.name in how.weights:
        yield f"the training begins from {how.weights[start.name]}"
    else:
        words = result_options(how.train.of(start.training.network))
        yield f"the training begins from one of {start.training.network} here: {shlex.join(words)}"


def result_options(words: Sequence[str]) -> list[str]:
    """The options among words that results may depend on."""
    found: list[str] = []
    kept = True
    for word in words:
        if word.startswith("--"):
            kept = word.partition("=")[0] not in NON_RESULT_OPTIONS
        if kept:
            found.append(word)
    return found


def seen_as(options: Sequence[str]) -> str:
    """Preprocessing of a foreground network by the options of its command; the last one counts."""
    given = _last(options, "--short-side")
    side = SHORT_SIDE if given is None else int(given)
    left_out = (_last(options, "--without") or "").split(",")
    align = "without alignment" if "align" in left_out else "with frames aligned"
    rain = "rain as it is" if "rain" in left_out else "rain removed"
    size = f"at a short side of {side} at most" if side else "at the size of the video"
    return f"seen {align}, {rain}, {size}"


def _last(words: Sequence[str], option: str) -> str | None:
    """The last value of an option among words."""
    values = [word for before, word in pairwise(words) if before == option]
    values += [word.partition("=")[2] for word in words if word.startswith(f"{option}=")]
    return values[-1] if values else None
