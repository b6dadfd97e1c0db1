"""Lock file, constraints and Docker image fit what the project declares."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import segue
from tests.needs import HOW
from tests.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]


def toml(name: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / name).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    found: dict[str, Any] = toml("pyproject.toml")["project"]
    return found


def declared(project: dict[str, Any]) -> set[tuple[str, str, str]]:
    """Name, versions and extra of every requirement."""
    groups = {"": project["dependencies"], **project["optional-dependencies"]}
    groups |= toml("pyproject.toml")["dependency-groups"]
    return {
        (canonicalize_name(requirement.name), str(requirement.specifier), extra)
        for extra, texts in groups.items()
        for requirement in map(Requirement, texts)
    }


def test_the_lock_file_was_made_of_the_requirements_as_they_are(project: dict[str, Any]) -> None:
    lock = toml("uv.lock")
    (own,) = (package for package in lock["package"] if package["name"] == project["name"])
    extra = re.compile(r"extra == '([^']+)'")
    locked = {
        (item["name"], item.get("specifier", ""), (extra.findall(item.get("marker", "")) or [""])[0])
        for item in own["metadata"]["requires-dist"]
    }
    groups = {
        (item["name"], item.get("specifier", ""), group)
        for group, items in own["metadata"]["requires-dev"].items()
        for item in items
    }
    locked |= groups
    normal = {(name, ",".join(sorted(text.split(","))), group) for name, text, group in locked}
    wanted = {(name, ",".join(sorted(text.split(","))), group) for name, text, group in declared(project)}
    assert normal == wanted, (
        "pyproject.toml has changed since: uv lock --default-index https://pypi.org/simple"
    )
    assert lock["requires-python"] == project["requires-python"]


def test_a_build_without_the_sources_fails(project: dict[str, Any]) -> None:
    """It reads the version there; hatch takes missing packages for empty ones."""
    path = ROOT / toml("pyproject.toml")["tool"]["hatch"]["version"]["path"]
    assert "version" not in project
    assert f'__version__ = "{segue.__version__}"' in path.read_text(encoding="utf-8")


def test_make_test_installs_all_that_tests_use(project: dict[str, Any]) -> None:
    """Every extra and every group, apart from those with a target of their own and large ones."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    installed = re.search(r"^ALL_PARTS := .*?[^\\]\n", makefile, re.M | re.S)
    assert installed is not None
    assert re.search(r"^\$\(VENV\)/\.installed-all:.*?\(ALL_PARTS\)", makefile, re.M | re.S)
    (extras,) = re.findall(r"--editable '\.\[([\w,]*)\]'", installed[0])
    groups = re.findall(r"--group (\w+)", installed[0])
    assert set(extras.split(",")) == {*project["optional-dependencies"]} - {
        "hf",
        "notebooks",
    }  # hf: too large
    assert set(groups) == {*toml("pyproject.toml")["dependency-groups"]} - {"mutate"}


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize("has_uv", [False, True])
def test_make_dev_shows_what_it_installs_and_takes_uv_where_it_is_there(tmp_path: Path, has_uv: bool) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("make", "sh", "uv") if has_uv else ("make", "sh"):
        found = shutil.which(name)
        if found is None:
            (tools / name).write_text("#!/bin/sh\n")
            (tools / name).chmod(0o755)
        else:
            (tools / name).symlink_to(found)
    ended = subprocess.run(
        ["make", "-n", "dev", f"VENV={tmp_path / 'venv'}"],
        env={"PATH": str(tools)}, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    (line,) = (line for line in ended.stdout.replace("\\\n", " ").splitlines() if "--group dev" in line)
    program = f"{tools / 'uv'} pip install" if has_uv else f"{tmp_path / 'venv'}/bin/python -m pip install"
    assert line.startswith(program), line
    assert "--quiet" not in line.partition("||")[0]
    assert "--constraint constraints.txt" in line
    parts = "--editable '.[mqtt,synth,web]' --group dev"
    assert line.count(parts) == 1 + has_uv, "an old uv gives way to pip"
    assert "docs/install.md" in line.rpartition("||")[2], "who cannot install is told where remedies stand"


def test_a_test_that_lacks_a_package_names_what_installs_it(project: dict[str, Any]) -> None:
    groups = toml("pyproject.toml")["dependency-groups"]
    for package, how in HOW.items():
        name = re.sub(r"^--group |^'\.\[|\]'$", "", how)
        listed = groups[name] if how.startswith("--group") else project["optional-dependencies"][name]
        names = {Requirement(text).name.replace("-", "_") for text in listed}
        assert package in names, (package, how)


def test_the_lock_file_has_the_torch_that_the_tests_ran_with(project: dict[str, Any]) -> None:
    (pinned,) = re.findall(r"^torch==(.+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.M)
    (torch,) = (r for r in map(Requirement, project["dependencies"]) if r.name == "torch")
    assert torch.specifier.contains(pinned)
    locked = {package["version"] for package in toml("uv.lock")["package"] if package["name"] == "torch"}
    assert locked == {pinned}


def test_files_copied_by_the_dockerfile_exist_and_are_not_ignored(project: dict[str, Any]) -> None:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    copies = (line.split()[1:-1] for line in lines if line.startswith("COPY "))
    copied = [name for names in copies if not names[0].startswith("--from=") for name in names]
    rules = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    for name in copied:
        assert (ROOT / name).exists(), name
        matching = [rule for rule in rules if fnmatch(name, rule.lstrip("!"))]
        assert matching[-1].startswith("!"), f".dockerignore hides {name}"
    needed = {"pyproject.toml", "hatch_build.py", "src", "README.md", *project["license-files"]}
    assert needed <= set(copied)
    (entry,) = (line.removeprefix("ENTRYPOINT ") for line in lines if line.startswith("ENTRYPOINT "))
    assert entry.strip('[]"') in project["scripts"]
    (extras,) = (line.removeprefix("ARG EXTRAS=") for line in lines if line.startswith("ARG EXTRAS="))
    assert set(extras.split(",")) <= set(project["optional-dependencies"])


@pytest.fixture
def composition(tmp_path: Path) -> Iterator[list[str]]:
    """The command of Docker for the example with cameras; its containers and its image are removed."""
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "info"], capture_output=True, check=False).returncode:
        pytest.skip("no Docker is running here")
    text = (ROOT / "examples/cameras/docker-compose.yml").read_text(encoding="utf-8")
    text = text.replace("build: ../..", f"build: {ROOT}").replace("127.0.0.1:8080:8080", "127.0.0.1::8080")
    (tmp_path / "docker-compose.yml").write_text(text)
    cameras = tmp_path / "cameras"
    cameras.mkdir(mode=0o777)
    cameras.chmod(0o777)
    (cameras / "cameras.toml").write_text('[cameras.lost]\nsource = "http://127.0.0.1:9/none"\n')
    command = [docker, "compose", "--project-name", "segue-test", "-f", str(tmp_path / "docker-compose.yml")]
    yield command
    subprocess.run([*command, "down", "--volumes", "--rmi", "local"], check=False)


@pytest.mark.slow
def test_the_image_is_built_serves_its_page_by_token_and_ends_in_time(
    composition: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGUE_TOKEN", "a-token-of-a-test-0123456789")

    def compose(*words: str) -> str:
        ran = subprocess.run([*composition, *words], capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.strip()

    compose("up", "--build", "--detach")
    image = compose("images", "--quiet").splitlines()[0]
    size = subprocess.check_output(["docker", "image", "inspect", "--format", "{{.Size}}", image], text=True)
    assert int(size) < 1.5e9
    address = f"http://{compose('port', 'cameras', '8080')}/"

    def status(token: str) -> int:
        request = Request(address, headers={"Authorization": f"Bearer {token}"})
        try:
            with urlopen(request, timeout=10) as answer:
                return int(answer.status)
        except HTTPError as error:
            return error.code
        except OSError:  # it is still beginning
            return 0

    wait_for(lambda: status("a-token-of-a-test-0123456789") == 200)
    assert status("another-token-of-a-test-0123") == 401
    check = yaml.safe_load(Path(composition[-1]).read_text())["services"]["cameras"]["healthcheck"]["test"]
    compose("exec", "--no-TTY", "cameras", *check[1:])  # although its camera is lost
    begin = time.monotonic()
    compose("stop")
    assert time.monotonic() - begin < 15
    assert "137" not in compose("ps", "--all", "--format", "{{.ExitCode}}"), "it was not killed"


def test_the_hook_of_ruff_has_the_version_that_is_locked() -> None:
    (hook,) = re.findall(
        r"ruff-pre-commit\n    rev: v(.+)", (ROOT / ".pre-commit-config.yaml").read_text("utf-8")
    )
    (locked,) = (package["version"] for package in toml("uv.lock")["package"] if package["name"] == "ruff")
    assert hook == locked


CONDA = {"opencv-python-headless": "py-opencv", "torch": "pytorch"}
"""Names of packages in conda-forge, where they differ from those of PyPI."""


def test_the_conda_recipe_needs_what_the_project_needs() -> None:
    recipe = yaml.safe_load((ROOT / "packaging/conda/recipe.yaml").read_text(encoding="utf-8"))
    declared = toml("pyproject.toml")
    project = declared["project"]
    needed = {f"python {project['requires-python']}"}
    for item in map(Requirement, project["dependencies"]):
        needed.add(f"{CONDA.get(item.name, item.name)} {item.specifier}")
    assert set(recipe["requirements"]["run"]) == needed
    assert {*declared["build-system"]["requires"]} <= {
        item.replace(" ", "") for item in recipe["requirements"]["host"]
    }
    assert recipe["context"]["version"] == segue.__version__
    (script,) = (f"{name} = {place}" for name, place in project["scripts"].items())
    assert recipe["build"]["python"]["entry_points"] == [script]


def test_contributing_lists_what_make_installs() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    listed = {
        target: {name.strip() for name in re.split(r"[,;]", packages)} - {"the same", "those of `make dev`"}
        for target, packages in re.findall(r"^\| `make (\w+)` \| (.+) \|$", text, re.MULTILINE)
    }
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    dev = parts_of(re.search(r"^DEV_PARTS := (.*)$", makefile, re.MULTILINE))
    everything = parts_of(re.search(r"^ALL_PARTS := ((?:.*\\\n)*.*)$", makefile, re.MULTILINE))
    documentation = parts_of(re.search(r"installed-docs:.*?\n((?:\t.*\n)+)", makefile))
    assert listed == {"dev": dev, "test": everything - dev, "docs": documentation}


def parts_of(found: re.Match[str] | None) -> set[str]:
    """The packages of the extras and groups that a recipe of the Makefile names."""
    assert found is not None
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = [name for names in re.findall(r"\.\[([\w,]+)\]", found[1]) for name in names.split(",")]
    required = [item for name in extras for item in project["project"]["optional-dependencies"][name]]
    required += [
        item for name in re.findall(r"--group (\w+)", found[1]) for item in project["dependency-groups"][name]
    ]
    names = (re.match(r"[\w.-]+", item) for item in required)
    return {name[0] for name in names if name is not None}
