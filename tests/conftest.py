"""Fixtures that all tests share.

Networks are imported where they are used: the process that hands out the tests needs none of them.
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from segue.models.cutie import Cutie
    from segue.models.sam2 import SAM2
    from segue.models.seqformer import SeqFormer
    from segue.models.stcn import STCN
    from segue.models.stm import STM
    from segue.models.xmem import XMem
    from tests.cli.running import Command
    from tests.golden_arrays import Golden

# The modules of the tests make many objects, and little that is not needed any more.
gc.disable()

# A busy machine is no defect, and a failure must come back when the tests are run again.
settings.register_profile("segue", deadline=None, derandomize=True)
settings.load_profile("segue")

# `make test &`, nohup and some CI start this process with Ctrl-C ignored, and so would every child be: the
# tests of interruption need what a terminal gives.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Results are synced to the disk, which takes milliseconds each time; in memory there is nothing to do.
MEMORY = Path("/dev/shm")
if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > 4 << 30:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))

# PyMatting is compiled for fifty seconds when it is first used; not compiled it needs two for these images.
os.environ.setdefault("NUMBA_DISABLE_JIT", "1")

WEIGHTS = "SEGUE_TEST_WEIGHTS"
"""Variable with the folder of weights that are made once, see tests/fill.py."""

ROOT = Path(__file__).resolve().parent.parent

NETWORKS = {
    f"{name}_network" for name in ("stcn", "stm", "xmem", "cutie", "cutie_small", "seqformer", "sam2")
}
"""Fixtures of this file that take a second to make."""


def pytest_configure(config: pytest.Config) -> None:
    """Give all processes of this run one folder for weights that are made once."""
    if WEIGHTS not in os.environ:
        root = Path(os.environ.get("PYTEST_DEBUG_TEMPROOT") or tempfile.gettempdir())
        _remove_weights_of_killed_runs(root)
        folder = tempfile.TemporaryDirectory(prefix=f"segue-weights-{os.getpid()}-", dir=root)
        os.environ[WEIGHTS] = folder.name
        config.add_cleanup(folder.cleanup)


def _remove_weights_of_killed_runs(root: Path) -> None:
    """Remove the folders of processes that are gone: each has up to two gigabytes, often of memory."""
    for folder in root.glob("segue-weights-*-*"):
        try:
            os.kill(int(folder.name.split("-")[2]), 0)
        except ProcessLookupError:
            shutil.rmtree(folder, ignore_errors=True)
        except (ValueError, PermissionError):  # a folder of something else, or of another user
            pass


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that are jobs of their own, in a browser or of rendered scenes, and those of numbers.

    Files that share a network come first, so that one process of several makes most of these networks.
    """
    sharing = {item.path for item in items if not NETWORKS.isdisjoint(_fixtures(item))}
    items.sort(key=lambda item: item.path not in sharing)
    for item in items:
        names = _fixtures(item)
        if "chromium" in names:
            item.add_marker(pytest.mark.browser)
        elif any(name == "golden" or name.endswith("_network") for name in names):
            item.add_marker(pytest.mark.numbers)
        elif item.path.is_relative_to(ROOT / "tests" / "segue_isd"):
            item.add_marker(pytest.mark.scenes)


def _fixtures(item: pytest.Item) -> Sequence[str]:
    return getattr(item, "fixturenames", ())


def pytest_collection_finish() -> None:
    """What was imported and collected stays: the garbage collector need not look at it again and again."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()
    if server := sys.modules.get("uvicorn.server"):
        cast(Any, server).asyncio = _QuickAsyncio()


class _QuickAsyncio:
    """For the servers of pages, which look every .1 s whether they are to end: two such waits for each."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.01))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name the tests that `make test` runs again and that pass then: they wait for less than they should."""
    passed = terminalreporter.stats.get("passed", ())
    if config.getoption("lf", False) and passed:
        terminalreporter.section("failed in the first run, passed in the second")
        for report in passed:
            terminalreporter.write_line(f"FLAKY {report.nodeid}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, bool, bool]:
    """Give back the threads of PyTorch and OpenCV: with more of them all later tests would take longer."""
    before = _threads()
    done = yield
    for (module, name), count in before.items():
        if _threads()[module, name] != count:
            getattr(sys.modules[module], f"set{name}")(count)
    return done


def _threads() -> dict[tuple[str, str], int]:
    return {
        (module, name): getattr(sys.modules[module], f"get{name}")()
        for module, name in (("torch", "_num_threads"), ("cv2", "NumThreads"))
        if module in sys.modules
    }


@pytest.fixture(autouse=True)
def slow_tests_take_their_time(request: pytest.FixtureRequest) -> None:
    """Variables set how long some of them run: the limit for tests that hang is not for them."""
    if request.node.get_closest_marker("slow"):
        faulthandler.cancel_dump_traceback_later()


@pytest.fixture(autouse=True)
def secrets_of_this_test_alone() -> Iterator[None]:
    """What a test masks in messages is no secret of the next one."""
    yield
    if redaction := sys.modules.get("segue.utils.redaction"):
        redaction.forget_secrets()


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of specs, golden arrays and real data beside the project; skips where it is absent."""
    folder = Path(os.environ.get("SEGUE_SHARED", ROOT.parent / "shared"))
    if not (folder / "golden").is_dir():
        pytest.skip(f"no shared data at {folder} (set SEGUE_SHARED)")
    return folder


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Takes features of the processor away, such as ``avx512``, beside those that the environment does."""

    def take(*names: str) -> None:
        from segue.inference.cpu.features import WITHOUT

        monkeypatch.setenv(WITHOUT, ",".join([*names, os.environ.get(WITHOUT, "")]))

    return take


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs ``segue`` in an empty folder, inside the test's process."""
    from tests.cli.running import command_in

    monkeypatch.chdir(tmp_path)
    return command_in(capsys)


@pytest.fixture
def workers_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Videos of batches and tables are done in the test's process; a worker takes seconds to start."""
    from tests.batch.here import WorkersHere

    monkeypatch.setattr("segue.batch.run.LocalWorkers", WorkersHere)


@pytest.fixture
def saved_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs save their sessions after every frame, however long that takes."""
    monkeypatch.setattr("segue.jobs.frame_loop.SAVE_EVERY_SECONDS", -1.0)
    monkeypatch.setattr("segue.jobs.frame_loop.SAVE_SHARE", 1e9)


@pytest.fixture
def golden() -> Callable[[str], Golden]:
    """Reader of golden files by name: the full arrays where present, else the small copies."""
    from tests.golden_arrays import best_golden

    return best_golden


def golden_network(build: Callable[[], Any], topic: str) -> Iterator[Any]:
    """A network with the golden weights, in evaluation mode.

    Preparing a network for inference takes longer than most sessions of a test: it is kept for all of them.
    """
    from segue.weights import prepare
    from tests.fill import fill

    network = fill(build, topic)
    kept = prepare(network, device="cpu")
    yield network
    del kept


@pytest.fixture(scope="session")
def stcn_network() -> Iterator[STCN]:
    """STCN with the golden weights, in evaluation mode; do not change it."""
    from segue.models.stcn import STCN

    yield from golden_network(STCN, "stcn")


@pytest.fixture(scope="session")
def stm_network() -> Iterator[STM]:
    """STM with the golden weights, in evaluation mode; do not change it."""
    from segue.models.stm import STM

    yield from golden_network(STM, "stm")


@pytest.fixture(scope="session")
def xmem_network() -> Iterator[XMem]:
    """XMem with the golden weights, in evaluation mode; do not change it."""
    from segue.models.xmem import XMem

    yield from golden_network(XMem, "xmem")


@pytest.fixture(scope="session")
def cutie_network() -> Iterator[Cutie]:
    """Cutie base with the golden weights, in evaluation mode; do not change it."""
    from segue.models.cutie import Cutie

    yield from golden_network(Cutie, "cutie")


@pytest.fixture(scope="session")
def cutie_small_network() -> Iterator[Cutie]:
    """Cutie small with the golden weights, in evaluation mode; do not change it."""
    from segue.models.cutie import Cutie

    yield from golden_network(partial(Cutie, "small"), "cutie-small")


@pytest.fixture(scope="session")
def seqformer_network() -> SeqFormer:
    """SeqFormer with ResNet-50 and the golden weights, in evaluation mode; do not change it."""
    from segue.models.seqformer import SeqFormer
    from tests.fill import fill_plainly

    return cast(SeqFormer, fill_plainly(lambda: SeqFormer("r50")))


@pytest.fixture(scope="session")
def sam2_network() -> Iterator[SAM2]:
    """SAM 2.1 tiny with the golden weights, in evaluation mode; do not change it."""
    from segue.models.sam2 import SAM2

    yield from golden_network(partial(SAM2, "tiny"), "sam2")
