"""The registry of formats imports one when it is used, and says of each where it is."""

from __future__ import annotations

from copy import copy
from pathlib import Path

import pytest

from segue.errors import SinkError
from segue.registry import FORMATS, SINKS, Format, SinkEntry, register
from segue.sinks.outputs import format_of, output_paths


def test_every_format_is_where_its_line_says() -> None:
    entries = {entry.name: entry for entry in FORMATS}
    assert SINKS is FORMATS
    assert dict(FORMATS.files()) == {name: entry.file for name, entry in entries.items()}
    assert [*entries] == [*FORMATS.names]


def test_a_format_of_this_process_is_known_by_its_ending(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_entries", "registered"):
        monkeypatch.setitem(vars(FORMATS), name, copy(vars(FORMATS)[name]))
    register(SinkEntry("mine", "mine.abc", lambda path, run: None))
    register(Format("readable", read=lambda files, video: ()))
    assert format_of("out.abc") == "mine"
    assert format_of(Path("x.json")) == "coco", "the first of several"
    with pytest.raises(SinkError, match="'readable' is only read"):
        output_paths("out", ["readable"])
    with pytest.raises(SinkError):
        register(Format("coco"))
