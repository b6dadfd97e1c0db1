"""Freed memory stays with a prepared process; importing segue changes nothing."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

FAULTS = """
import resource
from segue.utils.allocation import apart_from_heap, prepare_process
prepare_process()
with apart_from_heap():
    pass
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def work():
    maps = [b"1" * (4 << 20) for _ in range(8)]
work()
before = faults()
for _ in range(10):
    work()
print(faults() - before)
"""
"""Prints the page faults of allocating eight times 4 MiB ten times: 81,920 pages of 4 KiB if each is new."""


def faults(**more: str) -> int:
    environment = {name: text for name, text in os.environ.items() if not name.startswith("MALLOC_")}
    command = [sys.executable, "-c", FAULTS]
    done = subprocess.run(command, env=environment | more, capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep freed memory by themselves")
def test_a_prepared_process_uses_freed_memory_again_without_page_faults() -> None:
    kept = faults()
    given_back = faults(MALLOC_TRIM_THRESHOLD_="131072", MALLOC_MMAP_THRESHOLD_="131072")
    assert given_back > 4 * max(kept, 1), f"{kept} page faults, {given_back} where memory is given back"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep freed memory by themselves")
def test_importing_segue_sets_nothing_of_the_heap_or_the_environment() -> None:
    code = """
import ctypes, os
before = dict(os.environ)
real, asked = ctypes.CDLL, []
class Library(real):
    def __getattr__(self, name):
        asked.append(name)
        return super().__getattr__(name)
ctypes.CDLL = Library
import segue.sessions
import segue.models
print(before == dict(os.environ))
from segue.utils.allocation import apart_from_heap, release_freed_memory
with apart_from_heap():
    release_freed_memory()
print(sum(name in ("mallopt", "malloc_trim") for name in asked))
segue.utils.allocation.prepare_process()
print(sum(name == "mallopt" for name in asked) > 0)
"""
    environment = {name: text for name, text in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True", "0", "True"]


PRODUCTS = """
import resource
import numpy as np
from segue.utils.allocation import reserve_products
reserve_products()
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + (4 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
assert (np.ones((200, 200)) @ np.ones((200, 200)) == 200).all()
try:
    reserve_products.__wrapped__()
except MemoryError as error:
    print(error)
"""
"""Multiplies matrices where no memory is left; prints what is said of a place without any."""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc and RLIMIT_AS")
def test_products_have_their_memory_before_it_ends() -> None:
    made = subprocess.run(
        [sys.executable, "-c", PRODUCTS],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        check=False,
    )
    assert (made.returncode, made.stderr) == (0, "")
    assert "out of memory" in made.stdout
