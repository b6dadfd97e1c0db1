"""A disk with little room, which needs no rights of its own: a tmpfs in a namespace of mounts."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest


class SmallDisk:
    """A folder that is a disk of so many bytes for the commands that are given :attr:`command` in front.

    Args:
        folder: an empty folder, where they have it.
        size: bytes of the disk.

    Attributes:
        command: words in front of a command.
        here: where this process sees the disk.
    """

    def __init__(self, folder: Path, size: int) -> None:
        script = f"mount -t tmpfs -o size={size} none {folder} && echo mounted && exec cat"
        try:
            self._holder = subprocess.Popen(
                ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except OSError:
            pytest.skip("needs unshare, of Linux")
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != b"mounted\n":
            self._holder.communicate()
            pytest.skip("this system lets nobody but root have namespaces")
        process = str(self._holder.pid)
        self.command = [
            "nsenter",
            "--target",
            process,
            "--user",
            "--mount",
            "--preserve-credentials",
            "--wd=.",
        ]
        self.here = Path("/proc") / process / "root" / folder.relative_to("/")

    def fill(self) -> None:
        """Leave no room."""
        with (self.here / "ballast").open("wb", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(bytes(4096))
            except OSError:
                pass

    def free(self) -> None:
        """Give the room back."""
        (self.here / "ballast").unlink()

    def close(self) -> None:
        """Forget the disk; nobody may use it any more."""
        self._holder.communicate()
