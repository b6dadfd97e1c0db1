"""The command ``segue``.

It ends with 0 done, 1 defect, 2 something the user can repair, 3 done but some events did not reach their
receiver, 130 interrupted.
"""

from __future__ import annotations

import errno
import io
import os
import re
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from contextvars import copy_context
from functools import cache
from itertools import takewhile
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

import segue
from segue.errors import OutOfMemoryError, SegueError, SeveralProblemsError, memory_errors, memory_is_short
from segue.options import with_option_names
from segue.registry import COMMANDS
from segue.utils.allocation import prepare_process
from segue.utils.cancel import interrupt_on_signals
from segue.utils.inputs import missing_message, printable
from segue.utils.notices import be_quiet

COMMAND_ROOM = 448 << 20
"""Bytes of address space for loading OpenCV, NumPy and others; PyTorch needs more."""


VIDEO_NAME = re.compile(r".+\.[A-Za-z][A-Za-z0-9]{1,4}", re.DOTALL)
"""Form of the names of files; no command has a dot."""

PAGE = "annotate"
"""The command for a video without a command."""

HELP = """Video segmentation: track objects, find what moves, find and name every object.

\b
  segue my.mp4                              click, find, track in the browser
  segue track my.mp4 --box 120,80,310,260   track an object in every frame
  segue foreground street.mp4               find what moves
  segue instances street.mp4                find people, cars ... with classes
"""


def _quiet_option() -> Any:
    """Add ``--quiet`` to a command without such an option."""
    alone = typer.Typer()
    alone.command()(_with_quiet)
    (option,) = (item for item in typer.main.get_command(alone).params if "--quiet" in item.opts)
    return option


def _hush(requested: bool) -> None:
    if requested:
        be_quiet()


def _with_quiet(
    quiet: Annotated[
        bool,
        typer.Option("--quiet", "-q", callback=_hush, expose_value=False, help="Hide progress and notices."),
    ] = False,
) -> None:
    """Signature with the option of :func:`_quiet_option`."""


class LazyGroup(TyperGroup):
    """Imports a command when it runs, since most need PyTorch, which takes seconds."""

    _words: Sequence[str] = ()  # those of the command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] not in self.commands and _is_path(args[0]):
            if not os.path.exists(args[0]):  # noqa: PTH110  pathlib is not loaded yet
                raise SegueError(missing_message(args[0]))
            args = [PAGE, *args]
        name, _, rest = super().resolve_command(ctx, args)
        check_numbers(rest)
        self._words = [*rest]
        command = None if name is None else load_command(name)
        check_paths(command, rest)
        return name, command, rest

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            # Typer takes --help for similar to --lr, for both begin with two dashes.
            if possible := getattr(error, "possibilities", None):
                from difflib import get_close_matches

                requested = str(getattr(error, "option_name", "")).lstrip("-")
                close = get_close_matches(requested, [name.lstrip("-") for name in possible])
                error.possibilities = [f"--{name}" for name in close]  # type: ignore[attr-defined]
            if type(error).__name__ == "UsageError" and (surplus := _surplus(error, self._words)):
                error.message = surplus_text(surplus)  # type: ignore[attr-defined]
            raise

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands with the full first line of their help."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.help or "") for name, command in self.commands.items()])


def _is_path(word: str) -> bool:
    """Whether a word in the place of a command is a path or looks like one."""
    looks_like_path = os.sep in word or VIDEO_NAME.fullmatch(word) is not None
    return looks_like_path or os.path.exists(word)  # noqa: PTH110  pathlib is not loaded yet


_NUMBERS = frozenset({"--box", "--point"})
"""Options whose value is several numbers."""

_NUMBER = re.compile(r"-?[0-9.]+,?")


def check_numbers(words: Sequence[str]) -> None:
    """Raise an error for numbers of a box or point separated by blanks."""
    for place, word in enumerate(words):
        name, mark, value = word.partition("=")
        if name in _NUMBERS:
            numbers = [value] if mark else []
            numbers += takewhile(_NUMBER.fullmatch, words[place + 1 :])
            if len(numbers) > 1 and _NUMBER.fullmatch(numbers[0]):
                joined = ",".join(number.rstrip(",") for number in numbers)
                raise SegueError(
                    f"{name} {' '.join(numbers)}: separate its numbers by commas: {name} {joined}"
                )


def check_paths(command: Any, words: Sequence[str]) -> None:
    """Raise an error for an option with an empty path, which would mean the working directory."""
    empty = {words[place - 1] for place, word in enumerate(words) if not word and place}
    empty |= {word[:-1] for word in words if word.startswith("--") and word.endswith("=")}
    if not empty:
        return
    from pathlib import Path  # imported late to keep start-up short

    command = getattr(command, "commands", {}).get(words[0], command)
    for option in getattr(command, "params", ()):
        # An output may also be an address.
        is_path = option.type_descriptor.annotation is Path or "--output" in option.opts
        if is_path and (names := empty.intersection(option.opts)):
            raise SegueError(f"{names.pop()}: the path is empty; is a variable of the shell not set?")


def _surplus(error: Any, words: Sequence[str]) -> list[str]:
    """Surplus words in an error about unexpected arguments."""
    command = getattr(error.ctx, "command", None)
    if command is None or hasattr(command, "commands"):
        return []
    if error.ctx.info_name in words:  # that of a group
        words = words[words.index(error.ctx.info_name) + 1 :]
    try:
        return list(command.make_parser(error.ctx).parse_args([*words])[1])
    except Exception:  # something else is wrong with them
        return []


def surplus_text(surplus: Sequence[str]) -> str:
    """Advice about surplus words, such as file names from a shell pattern."""
    from pathlib import Path  # imported late to keep start-up short

    from segue.utils.naming import first_few
    from segue.video.sources.kinds import is_image

    text = f"{len(surplus)} words too many ({first_few(surplus, 2)})"
    files = [*map(Path, surplus)]
    if not all(path.is_file() for path in files):
        return text
    folders = {path.parent for path in files}
    if len(folders) == 1 and all(map(is_image, files)):
        pattern = f"{files[0].parent}/*{files[0].suffix}"
        return f"{text}: give the folder, {files[0].parent}, or the pattern in quotes, '{pattern}'"
    return f"{text}: give one source; `segue batch` takes several"


@cache
def load_command(name: str) -> Any:
    """Import a command or group, cached for batches."""
    entry = COMMANDS.find(name)
    if memory_is_short(COMMAND_ROOM):  # libraries crash as they are loaded
        raise OutOfMemoryError(f"a command needs about {COMMAND_ROOM >> 20} MB to begin")
    entry_object = entry.load()
    loaded = typer.Typer(rich_markup_mode="markdown")
    if isinstance(entry_object, typer.Typer):
        loaded.add_typer(entry_object, name=name)
    else:
        loaded.command(name, cls=getattr(entry_object, "command_class", None))(entry_object)
    command = get_group(loaded).commands[name]
    for each in getattr(command, "commands", {name: command}).values():
        if not any("--quiet" in option.opts for option in each.params):
            each.params.append(_quiet_option())
    return command


app = typer.Typer(
    name="segue",
    cls=LazyGroup,
    help=HELP,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # the list of commands is plain: Rich alone takes as long as all of the rest
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _unloaded() -> None:
    """Placeholder for a command that :class:`LazyGroup` has not imported."""


for _entry in COMMANDS:
    app.command(_entry.name, help=_entry.help)(_unloaded)


def _print_version(requested: bool) -> None:
    if requested:
        typer.echo(f"segue {segue.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Options of ``segue`` itself."""


def main(words: Sequence[str] | None = None) -> None:
    """Run the command line; user errors print one line and exit with code 2.

    Args:
        words: those after ``segue``; None are the ones this process was started with.
    """
    try:
        with interrupt_on_signals():  # where a command does not handle them itself
            _run(words)
    except KeyboardInterrupt:
        sys.exit(130)


def _run(words: Sequence[str] | None) -> None:
    prepare_process()
    name = None if words is None else "segue"  # how the process was started
    words = [*map(_with_home, sys.argv[1:] if words is None else words)]
    # Names of files need not be valid text; a name that cannot be shown is no reason to fail at the end.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    warnings.showwarning = lambda message, *_: _complain("warning", message)
    try:
        with memory_errors("give it smaller frames, or fewer --workers"):
            copy_context().run(app, words, prog_name=name)  # what --quiet says ends with the command
    except SegueError as error:
        for problem in error.problems if isinstance(error, SeveralProblemsError) else [error]:
            _complain("error", problem)
        sys.exit(error.exit_status)
    except OSError as error:
        if error.filename is not None:  # no permission, a name too long: only the system knows beforehand
            _complain("error", f"{os.fspath(error.filename)}: {error.strerror}")
            sys.exit(2)
        if error.errno not in (errno.ENOSPC, errno.EIO):
            raise
        _complain("error", f"the standard output cannot be written ({error.strerror})")
        # Python would fail once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(2)


def _with_home(word: str) -> str:
    """Expand ``~`` also after =, @, : and blanks, where shells do not."""
    return re.sub(r"(?:^|(?<=[=@:\s]))~(?=/|$)", lambda _: os.path.expanduser("~"), word)  # noqa: PTH111  a text


def _complain(kind: str, message: object) -> None:
    """Print a message on one line, with control characters escaped."""
    with suppress(OSError):  # a terminal that is gone ends no run, and the exit code says it, too
        print(f"{kind}: {printable(_with_options(str(message)))}", file=sys.stderr)


def _with_options(text: str) -> str:
    """Replace Python argument names in a message by command-line options."""
    if "=" not in text:
        return text
    from segue.jobs.values import ForegroundJob, InstancesJob, TrackJob

    return with_option_names(text, (TrackJob, ForegroundJob, InstancesJob))
