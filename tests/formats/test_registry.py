"""The registry of formats imports one when it is used, and says of each where it is."""

from __future__ import annotations

import json
from copy import copy
from pathlib import Path

import numpy as np
import pytest

from segue.errors import SinkError
from segue.formats.labels import Labels
from segue.formats.reading import read_labels
from segue.masks import encode_rle, write_index_mask
from segue.registry import FORMATS, SINKS, Format, SinkEntry, register
from segue.sinks.outputs import format_of, output_paths


def test_formats_are_listed_with_their_files() -> None:
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


def test_the_output_folder_of_a_run_is_read_by_the_first_file_that_comes_back(tmp_path: Path) -> None:
    labels = Labels((8, 8), {3: "cat"}, {0: {3: encode_rle(np.eye(8, dtype=np.bool_))["counts"]}})
    labels.ids = {3: 3}
    images = tmp_path / "images"
    images.mkdir()
    write_index_mask(images / "00000.png", np.zeros((8, 8), np.uint8))
    (tmp_path / "out").mkdir()
    labels.save(tmp_path / "out" / "cvat.xml", images)
    labels.save(tmp_path / "out" / "overlay.mp4", images)
    labels.save(tmp_path / "out" / "mots.txt", images, format="mots")
    (tmp_path / "out" / "job.json").write_text("{}")
    found = read_labels(tmp_path / "out", images)
    assert found.names == {3: "class 3"}, "of several the first: run lengths of MOTS"
    record = {"outputs": {"formats": ["overlay", "cvat"]}}  # a later run, which left files of the earlier one
    (tmp_path / "out" / "job.json").write_text(json.dumps(record))
    assert read_labels(tmp_path / "out", images).class_of == {3: "cat"}
    (tmp_path / "out" / "job.json").write_text("[]")
    assert read_labels(tmp_path / "out", images).names == {3: "class 3"}
    (tmp_path / "out" / "mots.txt").unlink()
    assert read_labels(tmp_path / "out", images).class_of == {3: "cat"}
