"""Outputs are claimed by one writer at a time, in whatever order writers begin, end, fail and are cleared."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from segue.utils.files import Claim, PartialFile, claim, remove_abandoned

NAMES = ("film", "film-2", "other.mp4")


class ExportsMachine(RuleBasedStateMachine):
    """Exports of several pages and commands into one folder."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.open: dict[str, tuple[Claim, Path]] = {}
        self.complete: dict[str, str] = {}
        self.count = 0

    def teardown(self) -> None:
        for taken, _ in self.open.values():
            taken.release()
        shutil.rmtree(self.folder)

    @rule(name=st.sampled_from(NAMES))
    def begin(self, name: str) -> None:
        taken = claim(self.folder / name)
        assert (taken is None) == (name in self.open or name in self.complete)
        if taken is not None:
            self.count += 1
            partial = PartialFile(taken.path).path
            partial.mkdir()
            (partial / "content").write_text(str(self.count))
            self.open[name] = taken, partial

    @rule(name=st.sampled_from(NAMES))
    def end(self, name: str) -> None:
        if name in self.open:
            taken, partial = self.open.pop(name)
            self.complete[name] = (partial / "content").read_text()
            partial.rename(taken.path)
            taken.release()

    @rule(name=st.sampled_from(NAMES))
    def fail(self, name: str) -> None:
        """A writer is gone and has left its hidden folder, as a killed process does."""
        if name in self.open:
            self.open.pop(name)[0].release()

    @rule()
    def clear(self) -> None:
        """A page starts."""
        remove_abandoned(self.folder)
        hidden = {path.name for path in self.folder.iterdir() if path.name.endswith(".partial")}
        assert hidden == {partial.name for _, partial in self.open.values()}

    @invariant()
    def nothing_is_lost_or_replaced(self) -> None:
        for name, text in self.complete.items():
            assert (self.folder / name / "content").read_text() == text
        for _, partial in self.open.values():
            assert (partial / "content").is_file()


def run(steps: int, examples: int) -> None:
    about = [HealthCheck.too_slow]
    limits = settings(
        max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=about
    )
    run_state_machine_as_test(ExportsMachine, settings=limits)  # type: ignore[no-untyped-call]


def test_a_few_writers_share_a_folder() -> None:
    run(12, 15)


@pytest.mark.slow
def test_many_writers_share_a_folder() -> None:
    run(60, 300)
