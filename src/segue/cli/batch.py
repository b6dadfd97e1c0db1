"""``segue batch``: many videos, on all cores of this machine or on a Ray cluster."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from secrets import token_hex
from typing import Any

import pooch
import torch
import typer
from typer.core import TyperCommand

from segue.batch.engines import open_engine
from segue.batch.ledger import STATES, Ledger, only_process
from segue.batch.names import SUBFOLDER
from segue.batch.places import hide_secrets, is_remote
from segue.batch.plan import Task, measured, read_tasks
from segue.batch.publish import check_free, clear_leftovers, make_folder
from segue.batch.ray_cluster import IDENTITY
from segue.batch.resume import check_known
from segue.batch.run import public, run_batch, write_batch_report
from segue.batch.scheduler import Scheduler
from segue.batch.work import JobConfig, check
from segue.cli.main import load_command
from segue.cli.options import Options, Values, command
from segue.cli.tables import bars
from segue.errors import SegueError
from segue.inputs import exists, printable
from segue.registry import MODELS
from segue.video.partial import write_complete, writing
from segue.weights.checkpoint import sha256
from segue.weights.loading import weights_digest

LEDGER = "ledger.sqlite"

WEIGHT_SUFFIXES = frozenset({".safetensors", ".pth", ".pt", ".ckpt", ".h5", ".npz", ".pkl", ".onnx"})
"""Endings of the files that hold weights."""

DOABLE = ("track", "foreground", "instances")


class BatchCommand(TyperCommand):
    """Takes its own options, and keeps those of the command that is done in ``context.args``."""

    def handed_on(self, args: list[str]) -> str:
        """The command that the other options are for."""
        return value_of(args, "--do") or "track"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        own = _by_name(self.get_params(ctx))
        handed: dict[str, Any] = {}
        mine: list[str] = []
        theirs: list[str] = []
        rest = list(args)
        while rest:
            word = rest.pop(0)
            name, has_value, _ = word.partition("=")
            option, whose = own.get(name), mine
            if option is None and word.startswith("-") and word != "-":
                to = self.handed_on(args)
                handed = handed or _options_of(to, ctx)
                if name not in handed:
                    raise SegueError(f"{ctx.info_name}: there is no option {name}, nor has `segue {to}` one")
                option, whose = handed[name], theirs
            whose.append(word)
            if option is not None and takes_value(option) and not has_value:
                whose += rest[:1]
                del rest[:1]
        super().parse_args(ctx, mine)
        ctx.args = theirs
        return theirs


def _options_of(command: str, context: Any) -> dict[str, Any]:
    if command not in DOABLE:
        raise SegueError(f"--do {command}: choose from {', '.join(DOABLE)}")
    return _by_name(load_command(command).get_params(context))


def _by_name(params: Iterable[Any]) -> dict[str, Any]:
    return {name: item for item in params for name in (*item.opts, *item.secondary_opts)}


def takes_value(option: Any) -> bool:
    """Whether an option is followed by a value."""
    return not (getattr(option, "is_flag", False) or getattr(option, "count", False))


def value_of(args: list[str], name: str) -> str | None:
    """The value that an option has among the arguments."""
    for place, word in enumerate(args):
        if word == name and place + 1 < len(args):
            return args[place + 1]
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    return None


def _asked(sources: list[str] | None = None, status: bool = False) -> None:
    """What a batch is asked.

    Args:
        sources: folders, patterns, films or lists.
        status: say how far the batch of this output is.
    """


def _batch(context: typer.Context, asked: Values, running: Values) -> None:
    """Do many videos on all cores, or on a Ray cluster; what is done stays done.

    SOURCES are folders, patterns, films, or lists: text with a source a line, CSV or Parquet with the columns
    `source`, `name`, `mask`, `box`, `point`, `auto`, `roi`, `options`. Options not listed here are handed to
    the command that is done. Each video gets a folder of its own in the output, which appears when it is
    complete. A worker that dies is replaced, and its video is gone on with; a rotten file costs one line in
    the report.

    Examples:

        segue batch films/ --do foreground --model mustan-slim --format png -o results

        segue batch list.csv --do track -o results            # prompts from the columns of list.csv

        segue batch list.csv --do track -o results --resume   # after Ctrl-C, a crash or a power cut

        segue batch --status -o results

        segue batch s3://bucket/films --do instances -o s3://bucket/results --address ray://head:10001
    """
    how, sources = JobConfig(**running, options=tuple(context.args)), asked["sources"]
    if asked["status"]:
        with Ledger(_home(how.output) / LEDGER, create=False) as ledger:
            _tell(ledger, how.json_lines)
        return
    if how.command not in DOABLE:
        raise SegueError(f"--do {how.command}: choose from {', '.join(DOABLE)}")
    if not sources and not (how.resume or how.retry_failed):
        raise SegueError("say which videos: a folder, a pattern, films, or a list")
    if do_tasks(read_tasks(sources) if sources else [], how):
        raise typer.Exit(1)


batch = command(
    _batch,
    Options(_asked, "sources! status"),
    Options(
        JobConfig,
        "command:do output:output,o workers threads gpus address tries scratch resume retry_failed "
        "json_lines quiet:quiet,q",
    ),
    kind=BatchCommand,
)


def do_tasks(tasks: Sequence[Task], how: JobConfig) -> int:
    """Do videos, and say what became of them; gives the number of those that have failed."""
    home = _home(how.output)
    if (home / LEDGER).exists() and not (how.resume or how.retry_failed):
        raise SegueError(
            f"{home}: there is a batch already; give --resume, --retry-failed, or another output"
        )
    tasks = [replace(task, source=_absolute(task.source)) for task in tasks]
    how = replace(
        how,
        output=_absolute(how.output),
        scratch=(how.scratch or home).absolute(),
        folder=str(Path.cwd()),
    )
    options = check(how, tasks)
    with writing(home):
        make_folder(home)
    try:
        with only_process(home / "lock"), Ledger(home / LEDGER) as ledger:
            how = replace(how, batch=ledger.identity(token_hex(16)))
            write_complete(home / IDENTITY, how.batch.encode())
            if not is_remote(how.output):
                clear_leftovers(Path(how.output))
            options = options or check(how, list(islice(ledger.tasks(*STATES), 1)))
            settings = {"do": how.command, "options": list(how.options), "weights": weights_in(options)}
            ledger.settle(settings)
            ledger.add(measured(tasks))
            for notice in check_known(ledger, how.output, how.batch, retry_failed=how.retry_failed):
                typer.echo(public(notice), err=True)
            _run_waiting(ledger, how, home)
            return _tell(ledger, how.json_lines)
    except KeyboardInterrupt:
        typer.echo("interrupted; give the same command with --resume to go on", err=True)
        raise typer.Exit(130) from None


def _run_waiting(ledger: Ledger, how: JobConfig, home: Path) -> None:
    waiting = list(ledger.queued())
    if not waiting:
        return
    if not is_remote(how.output):
        for task in waiting:
            check_free(how.output, task.name, how.batch)
    devices = _devices(how.gpus) if how.address is None else []
    count = how.workers or (max(1, int(len(devices) / how.gpus)) if devices else None)
    engine = open_engine(how, count and min(count, len(waiting)), devices)
    copies = is_remote(how.output) and how.address is not None
    try:
        scheduler = Scheduler(waiting, tries=how.tries, memory=engine.memory, copies=copies)
        with _progress(ledger, how.quiet, how.json_lines) as show:
            run_batch(ledger, scheduler, engine, pictures=home / "pictures", show=show)
    finally:
        engine.close()
        ledger.save()
        write_batch_report(ledger, home / "pictures", home / "report.html")
        typer.echo(printable(f"report: {home / 'report.html'}"), err=True)


def weights_in(options: Mapping[str, Any]) -> dict[str, str]:
    """Digests of all weights that options of a command name, by the name of a network or the path of a file.

    Args:
        options: values of all options, given or default.
    """
    found: dict[str, str] = {}
    listed = [item for value in options.values() for item in (value if isinstance(value, list) else [value])]
    for text in (str(item) for item in listed if isinstance(item, (str, Path))):
        for part in re.split("[+,]", text):
            if part in MODELS.names and (digest := weights_digest(part)) is not None:
                found[part] = digest
            elif Path(part).suffix in WEIGHT_SUFFIXES and exists(Path(part)) and Path(part).is_file():
                found[part] = sha256(part)
    return found


def _absolute(place: str) -> str:
    """A path that means the same in every process; addresses do anyway."""
    return place if is_remote(place) else str(Path(place).absolute())


def _home(output: str) -> Path:
    """Folder of the ledger: in the output, or for one elsewhere in the cache folder of the user."""
    if not is_remote(output):
        return Path(output) / SUBFOLDER
    return Path(pooch.os_cache("segue")) / "batch" / hashlib.sha256(output.encode()).hexdigest()[:16]


def _devices(gpus: float) -> list[str]:
    """The GPUs of this machine, if they are wanted."""
    if not gpus:
        return []
    found = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    if not found:
        raise SegueError("--gpus: this machine has no GPU that PyTorch can use")
    return found


def _tell(ledger: Ledger, json_lines: bool) -> int:
    """Say what became of the videos; the number of those that failed."""
    counts = ledger.counts()
    if json_lines:
        typer.echo(json.dumps({"event": "status", **counts}))
    else:
        typer.echo(", ".join(f"{count} {state}" for state, count in counts.items()))
        for row in ledger.rows("failed"):
            text = f"{row.name} ({hide_secrets(row.source)}), {row.tries} tries: {row.error}"
            typer.echo(printable(f"failed: {text}"))
    return counts["failed"]


@contextmanager
def _progress(ledger: Ledger, quiet: bool, json_lines: bool) -> Iterator[Callable[[list[Any]], None]]:
    """A function that shows the news of each round, for a person or as JSON lines for a machine."""
    begun, frames = time.perf_counter(), {}
    finished = 0
    with bars("note", quiet=quiet) as bar:
        counts = ledger.counts()
        task = bar.add_task("videos", total=sum(counts.values()), completed=counts["done"], note="")

        def show(events: list[Any]) -> None:
            nonlocal finished
            for event in events:
                if event.kind == "beat":
                    frames[event.worker] = event.frames
                else:
                    frames.pop(event.worker, None)
                    finished += event.frames if event.kind == "done" else 0
                    if json_lines:
                        news = {"event": event.kind, "worker": event.worker, "frames": event.frames}
                        typer.echo(json.dumps(news | ({"error": event.error} if event.error else {})))
            counts = ledger.counts()
            speed = (finished + sum(frames.values())) / (time.perf_counter() - begun)
            note = f"{speed:.1f} frames/s, {counts['running']} in work, {counts['failed']} failed"
            bar.update(task, completed=counts["done"] + counts["failed"], note=note)

        yield show
