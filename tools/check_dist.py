"""Check a wheel and a source archive: their files, and that the wheel installs and runs by itself.

Every extra of an install line of the documentation is installed from the wheel, without a package index: the
other packages are those of the running interpreter. ``make dist`` builds both archives and calls this.

Example::

    python tools/check_dist.py dist
"""

from __future__ import annotations

import email
import os
import re
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

PIP_INSTALL = re.compile(r"pip install ([^`\n#]*)")
OURS = re.compile(r"['\"]?(?:\.|segue|segue-[\d.]+-py3-none-any\.whl)(\[[\w,-]+\])?['\"]?")


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


def documented_extras(texts: Iterable[str]) -> list[str]:
    """Extras of segue that the install lines of some texts name.

    Args:
        texts: Markdown. A line installs segue if an argument of ``pip install`` is ``.``, ``segue`` or a
            wheel of segue, with or without extras.

    Returns:
        The brackets that stand in them, sorted, each once: ``""`` for none, ``"[web]"``, ``"[hf,web]"``.
    """
    words = [word for text in texts for line in PIP_INSTALL.findall(text) for word in line.split()]
    return sorted({match[1] or "" for word in words if (match := OURS.fullmatch(word.rstrip(",")))})


def faults_of_installation(wheel: Path, extras: Iterable[str]) -> list[str]:
    """Install a wheel into an empty environment, with each group of extras, and run ``segue demo`` there.

    Args:
        wheel: a ``.whl`` file.
        extras: as :func:`documented_extras` returns them.

    Returns:
        One line for each command that fails, and for each extra that the wheel does not have.
    """
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        known = set(email.message_from_bytes(archive.read(name)).get_all("Provides-Extra", []))
    faults = []
    with tempfile.TemporaryDirectory() as folder:
        environment = Path(folder, "environment")
        venv.create(environment, with_pip=False)
        binaries = next(path for path in (environment / "bin", environment / "Scripts") if path.is_dir())
        python = binaries / ("python" if os.name == "posix" else "python.exe")
        own = subprocess.run(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        others = [path for path in sys.path if "site-packages" in path]
        Path(own, "packages_of_the_tools.pth").write_text("\n".join(others), encoding="utf-8")
        pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-index"]
        settings = {**os.environ, "PIP_CONFIG_FILE": os.devnull}
        settings.pop("PYTHONPATH", None)
        own_wheel = [*pip, "--force-reinstall", "--no-deps", str(wheel.resolve())]  # not that of the tools
        subprocess.run(own_wheel, cwd=folder, env=settings, check=True)
        for brackets in extras:
            unknown = set(filter(None, brackets.strip("[]").split(","))) - known
            faults += [f"{wheel.name} has no extra {extra}" for extra in sorted(unknown)]
            command = [*pip, "--find-links", str(wheel.resolve().parent), f"segue{brackets}"]
            if subprocess.run(command, cwd=folder, env=settings, check=False).returncode:
                faults.append(f"pip install segue{brackets} fails")
        demo: list[str | Path] = [binaries / "segue", "demo", "--output", str(Path(folder, "demo"))]
        if subprocess.run(demo, cwd=folder, env=settings, check=False).returncode:
            faults.append(f"segue demo fails with {wheel.name}")
    return faults


def main(folder: Path) -> int:
    """Check the one wheel and the one source archive of a folder.

    Returns:
        0 if nothing is wrong.
    """
    (wheel,) = folder.glob("*.whl")
    (archive,) = folder.glob("*.tar.gz")
    faults = faults_of_wheel(wheel, kept_files(ROOT, "src"))
    faults += faults_of_archive(archive, kept_files(ROOT))
    pages = [ROOT / name for name in sorted(kept_files(ROOT, "*.md"))]
    extras = documented_extras(page.read_text(encoding="utf-8") for page in pages)
    faults += faults_of_installation(wheel, extras)
    for line in faults:
        print(line, file=sys.stderr)
    if not faults:
        print(f"{wheel.name}: installed without an index as segue{', segue'.join(extras)}; segue demo ran")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
