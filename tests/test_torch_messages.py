"""What is said of a model that cannot be captured: one line, without what torch says of itself."""

from __future__ import annotations

from typing import Any

import pytest

import fastrf

torch = pytest.importorskip("torch")
nn = torch.nn


def saying(said: str) -> Any:
    class Says(nn.Module):  # type: ignore[misc,name-defined]
        def forward(self, _: Any) -> Any:
            raise ValueError(said)

    return nn.Sequential(nn.Identity(), Says())


SAID = {
    "size must be\na multiple of 32": r"in module '1' \(Says\): ValueError: size must be a multiple of 32; give",
    "not this\n  * (one)\n  * (other)": r"ValueError: not this; give",
    'a || b INTERNAL ASSERT FAILED at "x.cpp":1, please report a bug to PyTorch. It must be': r"Error: It must be",
    'a INTERNAL ASSERT FAILED at "x.cpp":1, please report a bug to PyTorch.': r"Error: a check within torch failed;",
    "word " * 100: r"word word \.\.\.; give",
    "w" * 400: r"ww \.\.\.; give",
    "": r"in module '1' \(Says\): ValueError; give",
}


@pytest.mark.parametrize("said", SAID)
def test_what_an_error_says_is_one_whole_line(said: str) -> None:
    with pytest.raises(fastrf.NetworkError, match=SAID[said]) as caught:
        fastrf.load(saying(said), (1, 4))
    assert not any(part in str(caught.value) for part in ("\n", "INTERNAL", "expected one of"))


@pytest.mark.parametrize("given", [{"xs": {"a": (1, 6), "b": (2, 6)}}, {"xs": [(1, 6), (2, 6)]}])
def test_shapes_within_containers_are_told_to_be_tensors(given: Any) -> None:
    class Sums(nn.Module):  # type: ignore[misc,name-defined]
        def forward(self, xs: Any) -> Any:
            first, second = xs.values() if isinstance(xs, dict) else xs
            return torch.relu(first) + torch.relu(second)

    with pytest.raises(fastrf.FastRFError, match="give tensors in place of the shapes within lists and mappings"):
        fastrf.load(Sums(), given)


def test_a_constant_that_an_export_cannot_trace() -> None:
    class Scales(nn.Conv1d):  # type: ignore[misc,name-defined]
        def forward(self, x: Any) -> Any:
            self.weight.data.mul_(2.0)
            return super().forward(x)

    with pytest.raises(fastrf.NetworkError, match="give capture='record', which follows it") as caught:
        fastrf.load(Scales(1, 1, 3), (1, 8), capture="export")
    assert "issue" not in str(caught.value)
    assert fastrf.load(Scales(1, 1, 3), (1, 8), capture="record").outputs


def test_a_run_that_stops_before_any_module_returns() -> None:
    class Puts(nn.Module):  # type: ignore[misc,name-defined]
        def forward(self, x: Any) -> Any:
            return x[x > 1]

    with pytest.raises(fastrf.NetworkError, match=r"it selects by values \(index\) before any module has returned"):
        fastrf.load(Puts(), (1, 6), capture="record")
