"""Which PyTorch `make` installs."""

from __future__ import annotations

import pytest

from tools.torch_index import CPU_INDEX, options

ADDRESS = "https://example.org/whl"


@pytest.mark.parametrize(
    ("wanted", "nvidia", "reachable", "system", "expected", "said"),
    [
        ("auto", False, True, "Linux", f"--extra-index-url {CPU_INDEX}", "without CUDA"),
        ("auto", True, True, "Linux", "", "there is an NVIDIA GPU"),
        ("auto", False, False, "Linux", "", "cannot be reached"),
        ("auto", False, True, "Darwin", "", "default package index"),
        ("none", False, True, "Linux", "", "default package index"),
        (ADDRESS, True, False, "Linux", f"--extra-index-url {ADDRESS}", "as TORCH_INDEX says"),
    ],
)
def test_cuda_is_installed_where_there_is_a_gpu(
    wanted: str,
    nvidia: bool,
    reachable: bool,
    system: str,
    expected: str,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX", raising=False)
    found, why = options(wanted, nvidia=lambda: nvidia, reach=lambda _: reachable, system=system)
    assert found == expected
    assert said in why
