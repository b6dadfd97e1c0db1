"""Every command that the documentation, a card or a help text shows has the options that it is shown with."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import segue
from segue.batch.plan import KNOWN_COLUMNS
from segue.cli.main import load_command
from segue.registry import COMMANDS

ROOT = Path(segue.__file__).parents[2]
TEXTS = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")]
PAGES = [*TEXTS, *sorted(ROOT.glob("docs/**/*.md")), *sorted(ROOT.glob("src/segue/assets/*.md"))]
LOADED = {entry.name: load_command(entry.name) for entry in COMMANDS}
ANY = {"batch", "run", "reproduce"}
"""Commands that hand words on to another one: its options may stand among theirs."""


def leaves() -> dict[tuple[str, ...], Any]:
    """Every command by its words."""
    found: dict[tuple[str, ...], Any] = {}
    for name, command in LOADED.items():
        below = getattr(command, "commands", None)
        found |= {(name,): command} if below is None else {(name, word): each for word, each in below.items()}
    return found


LEAVES = leaves()
PARAMETERS = [item for command in LEAVES.values() for item in command.params]
EVERY_OPTION = {word for item in PARAMETERS for word in (*item.opts, *item.secondary_opts)}
OF_BENCHMARKS = {
    word
    for path in [*ROOT.glob("benchmarks/**/*.py"), *ROOT.glob("research/*.py")]
    for word in re.findall(r'"(--[a-z][\w-]*)"', path.read_text(encoding="utf-8"))
}


def shown(text: str) -> Iterator[str]:
    """The commands in the code of a page: in blocks, whose lines may go on, and within lines."""
    blocks = re.findall(r"^ *```\w*\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    for line in "\n".join(blocks).replace("\\\n", " ").splitlines():
        yield from re.findall(r"(?:^|[$|(] *)(segue \w.*)", line.split("  #")[0].strip())
    yield from (code for code in in_sentences(text) if code.partition(" ")[0] == "segue")


def in_sentences(text: str) -> list[str]:
    """The code within the lines of a page."""
    return re.findall(r"(?<!`)`([^`]+)`(?!`)", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def examples(help_text: str) -> Iterator[str]:
    """The commands in a help text, each a paragraph of its own."""
    for paragraph in re.split(r"\n\s*\n", help_text):
        words = " ".join(paragraph.split())
        if words.startswith("segue "):
            yield words


def unknown(line: str) -> list[str]:
    """The options in a shown command that it does not have."""
    try:
        words = shlex.split(line.replace("...", ""))
    except ValueError:  # part of a sentence with an apostrophe
        words = line.split()
    path = tuple(words[1:3]) if tuple(words[1:3]) in LEAVES else tuple(words[1:2])
    if path not in LEAVES:
        return []
    known = {word for item in LEAVES[path].params for word in (*item.opts, *item.secondary_opts)}
    known |= {"--help", "-h"} | (EVERY_OPTION if words[1] in ANY else set())
    given = [word.partition("=")[0] for word in words[len(path) + 1 :] if re.fullmatch(r"--?[a-z]\S*", word)]
    return [word for word in given if word not in known]


@pytest.mark.skipif(not PAGES[0].exists(), reason="the documentation is not beside the package")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_on_pages_have_their_options(page: Path) -> None:
    lines = list(shown(page.read_text(encoding="utf-8")))
    assert {line: unknown(line) for line in lines if unknown(line)} == {}


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_examples_of_help_have_their_options(path: tuple[str, ...]) -> None:
    lines = list(examples(LEAVES[path].help or ""))
    assert {line: unknown(line) for line in lines if unknown(line)} == {}


@pytest.mark.skipif(not PAGES[0].exists(), reason="the documentation is not beside the package")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_options_in_sentences_are_those_of_some_command(page: Path) -> None:
    codes = in_sentences(page.read_text(encoding="utf-8"))
    known = EVERY_OPTION | OF_BENCHMARKS
    assert [code for code in codes if code.startswith("--") and code.split()[0] not in known] == []


def test_the_help_of_batch_names_every_column_of_a_list() -> None:
    named = set(re.findall(r"`(\w+)`", LEAVES["batch",].help or ""))
    assert named >= KNOWN_COLUMNS
