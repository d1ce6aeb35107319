"""Examples that stand for inputs: larger than any memory, or arrays of any type."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastrf
from fastrf import LimitError, NetworkError

torch = pytest.importorskip("torch")

from tests.test_torch_asking import Function, said, same, small  # noqa: E402

nn = torch.nn


def test_a_large_example_is_not_made() -> None:
    field = fastrf.analyze(nn.Conv2d(3, 4, 3, padding=1), (3, 100_000, 100_000)).output
    assert field.box((0, 99_999)).tolist() == [[0, 2], [99_998, 100_000]]


def test_a_large_example_is_not_worked_out() -> None:
    shape = (3, 100_000, 100_000)
    assert fastrf.load(nn.Conv2d(3, 4, 3), (1, *shape)).input_shape == shape  # what fails is not run to find out why
    told = said(NetworkError, lambda: fastrf.analyze(nn.Conv2d(4, 4, 3), shape))
    assert "to have 4 channels, but got 3 channels instead; give inputs" in told

    def chooses(_: Any, x: Any) -> Any:
        return x if (x * 2).max() > 0 else -x

    def writes(_: Any, x: Any) -> Any:
        x[0, 0] = 0.0
        return x

    with fastrf.limits(memory="4MB"):
        told = said(LimitError, lambda: fastrf.load(Function(chooses), (3, 1000, 1000)))
        assert told.startswith("values that the model looks at")
        assert "fastrf.limits(memory=4000000)" in told
        assert "some are constant by position" in said(LimitError, lambda: fastrf.load(Function(writes), (3, 600, 600)))


def test_memory_that_the_model_itself_wants() -> None:
    def large(_: Any, x: Any) -> Any:
        return x + torch.ones(1 << 50)

    told = said(LimitError, lambda: fastrf.load(Function(large), (3, 8, 8)))
    assert told.startswith("Function with inputs (1, 3, 8, 8) makes more than memory holds: RuntimeError: ")
    assert told.endswith("; use a smaller input_shape")


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.uint8, np.int64, np.bool_])
def test_an_array_stands_for_its_shape_whatever_its_type(dtype: Any) -> None:
    plain = fastrf.analyze(small(), (3, 8, 9)).output
    assert same(fastrf.analyze(small(), np.zeros((1, 3, 8, 9), dtype)).output, plain)
    assert same(fastrf.analyze(small(), {"input": np.zeros((1, 3, 8, 9), dtype)}).output, plain)


def test_an_array_that_does_not_fit_in_any_type() -> None:
    told = said(NetworkError, lambda: fastrf.analyze(small(), np.zeros((8, 9, 3), np.uint8)))
    assert "but got 8 channels instead" in told  # what is left where the type is right


@pytest.mark.parametrize("ids", [np.int64, np.float64])
def test_arrays_of_ids_beside_a_picture(ids: Any) -> None:
    class Both(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.table, self.conv = nn.Embedding(9, 4), nn.Conv2d(3, 4, 3)

        def forward(self, ids: Any, picture: Any) -> Any:
            return self.table(ids) + self.conv(picture).mean((2, 3))[:, None]

    given = {"ids": np.zeros((1, 5), ids), "picture": np.zeros((1, 3, 8, 9), np.uint8)}
    assert (
        fastrf.analyze(Both(), given, wrt="ids").output.neuron_mask((2, 0)).tolist()
        == [False] * 2 + [True] + [False] * 2
    )
