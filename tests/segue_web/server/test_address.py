"""The address of a page is used again in its folder, and its secret stays one."""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import threading
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest
from starlette.applications import Starlette

from segue_web.server.address import FILE, REDIRECT, Address, listen, proof, read_address
from segue_web.server.kit import LocalServer
from tests.ports import free_port

on_posix = pytest.mark.skipif(os.name != "posix", reason="modes and links of files are those of POSIX")


def used(folder: Path, port: int = 0) -> Address:
    """The address of a server that has begun and ended."""
    listener, address = listen(port, folder)
    with closing(listener):
        assert listener.getsockname()[:2] == ("127.0.0.1", address.port)
    return address


def test_a_folder_keeps_its_address(tmp_path: Path) -> None:
    first = used(tmp_path)

    assert used(tmp_path) == first
    assert used(tmp_path, first.port) == first


@on_posix
def test_the_owner_alone_can_read_it(tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        used(tmp_path)
    finally:
        os.umask(previous)

    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


@on_posix
def test_an_address_that_others_can_read_is_used_no_more(tmp_path: Path) -> None:
    first = used(tmp_path)
    (tmp_path / FILE).chmod(0o644)

    assert used(tmp_path).token != first.token
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


@on_posix
def test_a_link_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    target = tmp_path / "other"
    used(folder)
    (folder / FILE).rename(target)
    (folder / FILE).symlink_to(target)
    before = target.read_text()

    used(folder)

    assert target.read_text() == before
    assert not (folder / FILE).is_symlink()


def test_a_copy_of_a_folder_has_an_address_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    first = used(tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "two")

    assert used(tmp_path / "two").token != first.token
    assert used(tmp_path / "one") == first


def test_at_another_port_there_is_another_secret(tmp_path: Path) -> None:
    first = used(tmp_path)
    with closing(socket.create_server(("127.0.0.1", first.port))):
        second = used(tmp_path)

    assert second.port != first.port
    assert second.token != first.token
    assert used(tmp_path, port := free_port()).token not in (first.token, second.token)
    assert used(tmp_path).port == port


@pytest.mark.parametrize(
    "damage", [{"token": "short"}, {"port": 70000}, {"port": "80"}, {"port": True}, {"folder": None}, {}]
)
def test_a_damaged_file_is_replaced(tmp_path: Path, damage: dict[str, object]) -> None:
    first = used(tmp_path)
    path = tmp_path / FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | damage) if damage else "{")

    assert read_address(tmp_path) is None
    assert used(tmp_path).token != first.token


def test_a_proof_needs_the_secret_and_holds_for_one_challenge() -> None:
    assert len({proof("a", "1"), proof("b", "1"), proof("a", "2")}) == 3


@on_posix
@pytest.mark.parametrize("keeps", [True, False])
def test_no_secret_stands_in_the_arguments_of_the_browser(
    keeps: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are in the list of processes, which every user of the machine reads."""
    arguments, modes, texts = list[str](), list[int](), list[str]()
    opened = threading.Event()

    def open_browser(address: str) -> None:
        path = Path(url2pathname(urlsplit(address).path))
        arguments.append(address)
        modes.append(stat.S_IMODE(path.stat().st_mode))
        texts.append(path.read_text("utf-8"))
        opened.set()

    monkeypatch.setattr("webbrowser.open", open_browser)
    previous = os.umask(0)
    try:
        server = LocalServer(lambda _: Starlette(), 0, True, 1000, tmp_path if keeps else None)
        if keeps:
            (tmp_path / REDIRECT).symlink_to(tmp_path / "elsewhere")
        server.start()
        assert opened.wait(60)
    finally:
        os.umask(previous)
        server.stop()

    token = urlsplit(server.address).path.strip("/")
    assert len(token) > 20
    assert token not in arguments[0]
    assert f'url={server.address}"' in texts[0]
    assert modes == [0o600]
    assert not Path(url2pathname(urlsplit(arguments[0]).path)).exists()
    assert not (tmp_path / "elsewhere").exists()
