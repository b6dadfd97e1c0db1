"""The log of ``segue watch``: each line says when, and of which camera."""

from __future__ import annotations

import json
import re
import sys
import warnings
from contextvars import copy_context

import pytest

from segue.utils.threads import context_thread
from segue_watch.log import CAMERA, CameraWarning, Log, LogFormat


def written(form: LogFormat, capfd: pytest.CaptureFixture[str]) -> list[str]:
    """What a log makes of two equal warnings in a thread of a camera, and of a notice about all."""

    def warn() -> None:
        warnings.warn("gate: no room\nleft", CameraWarning, stacklevel=1)

    def watch() -> None:
        CAMERA.set("gate")
        for _ in range(2):  # the second one a week later
            thread = context_thread(warn, "any")
            thread.start()
            thread.join()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", sys.__stderr__)
        patch.setattr(sys, "stdout", sys.__stdout__)
        with Log(form) as log:
            copy_context().run(watch)
            log.notice("", "page is there")
            log.event("{}")
    said = capfd.readouterr()
    assert said.out == "{}\n"
    return said.err.splitlines()


def test_lines_begin_with_date_and_camera(capfd: pytest.CaptureFixture[str]) -> None:
    lines = written("lines", capfd)
    date = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
    assert [re.sub(f"^{date} ", "", line) for line in lines] == [
        *["gate: warning: no room left"] * 2,
        "page is there",
    ]


def test_lines_of_json_name_the_camera(capfd: pytest.CaptureFixture[str]) -> None:
    lines = [json.loads(line) for line in written("json", capfd)]
    assert [(line["level"], line["camera"], line["text"]) for line in lines] == [
        *[("warning", "gate", "no room left")] * 2,
        ("info", "", "page is there"),
    ]
