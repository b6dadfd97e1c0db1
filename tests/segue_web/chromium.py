"""A browser for the tests of pages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.needs import needs

# The one without a window, if it is there, takes a sixth less of the processor.
PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, PROGRAMS)), None)
ABSENT = "no Chromium here (apt-get install chromium-headless-shell)"
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason=ABSENT)

FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)


@contextmanager
def launched() -> Iterator[Any]:
    """A Chromium of this machine; a test that asks where there is none is skipped."""
    playwright = needs("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip(ABSENT)
    with playwright.sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        yield chromium
        chromium.close()
