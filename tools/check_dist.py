"""Check a wheel and a source archive: their files, and that the wheel runs without the source tree.

``make dist`` builds them and calls this.

Example::

    python tools/check_dist.py dist
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOT_IN_THE_ARCHIVE = (".ci", ".github")
"""What only the repository uses; the source archive has every other file that git keeps: tests read them."""


def kept_files(root: Path, *paths: str) -> set[str]:
    """Files that git keeps, as paths relative to the root.

    Args:
        root: of the repository.
        paths: limits the list, as those of ``git ls-files``.

    Returns:
        Their paths, with slashes.
    """
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--", *paths], cwd=root, check=True, capture_output=True, text=True
    )
    return {name for name in listing.stdout.split("\0") if name}


def faults_of_wheel(wheel: Path, kept: Iterable[str]) -> list[str]:
    """What is wrong with the files of a wheel.

    Args:
        wheel: a ``.whl`` file.
        kept: files of the source tree below ``src``, as ``src/PACKAGE/...``.

    Returns:
        One line for each file that is missing or does not belong there.
    """
    wanted = {name.removeprefix("src/") for name in kept}
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
    return _differences(wheel, wanted, found)


def faults_of_archive(archive: Path, kept: Iterable[str]) -> list[str]:
    """What is wrong with the files of a source archive; as :func:`faults_of_wheel`."""
    with tarfile.open(archive) as tar:
        found = {name.partition("/")[2] for name in tar.getnames()} - {"PKG-INFO"}
    wanted = {name for name in kept if name.partition("/")[0] not in NOT_IN_THE_ARCHIVE}
    return _differences(archive, wanted, found)


def _differences(path: Path, wanted: set[str], found: set[str]) -> list[str]:
    missing = [f"{path.name}: {name} is missing" for name in sorted(wanted - found)]
    return missing + [f"{path.name}: {name} does not belong there" for name in sorted(found - wanted)]


def run_wheel(wheel: Path) -> int:
    """Install a wheel into an empty environment and run ``segue demo`` there.

    Its dependencies are those of the running interpreter, so that nothing is downloaded.

    Returns:
        The exit status of ``segue demo``.
    """
    with tempfile.TemporaryDirectory() as folder:
        environment = Path(folder, "environment")
        venv.create(environment, with_pip=False)
        python = next(
            path
            for path in (environment / "bin" / "python", environment / "Scripts" / "python.exe")
            if path.exists()
        )
        packages = Path(folder, "packages")
        with zipfile.ZipFile(wheel) as archive:  # a pure wheel is its files
            archive.extractall(packages)
        libraries = os.pathsep.join([str(packages), *(path for path in sys.path if "site-packages" in path)])
        return subprocess.run(
            [python, "-m", "segue", "demo", "--output", str(Path(folder, "demo"))],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": libraries},
            check=False,
        ).returncode


def main(folder: Path) -> int:
    """Check the one wheel and the one source archive of a folder.

    Returns:
        0 if nothing is wrong.
    """
    (wheel,) = folder.glob("*.whl")
    (archive,) = folder.glob("*.tar.gz")
    faults = faults_of_wheel(wheel, kept_files(ROOT, "src"))
    faults += faults_of_archive(archive, kept_files(ROOT))
    for line in faults:
        print(line, file=sys.stderr)
    return run_wheel(wheel) or bool(faults)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
